//! Incremental fetch sessions (KIP-227): the broker remembers what a consumer fetches, so that a
//! request names only what changed and an answer only what is new.

use crate::types::{Offset, Uuid};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Instant, Rng};

/// A session that was used within this time is not given up for a new one
/// (`FetchSession.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const KEPT_AT_LEAST: Duration = Duration::from_secs(120);

/// The epoch with which a client asks for a new session.
const EPOCH_INITIAL: i32 = 0;
/// The epoch with which a client wants none.
const EPOCH_FINAL: i32 = -1;

/// How a fetch names a topic: by name up to version 12, by id from 13 on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKey {
    Name(Arc<str>),
    Id(Uuid),
}

/// What a consumer wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub topic: TopicKey,
    pub partition: i32,
    pub from: Offset,
    pub bytes_max: i32,
    /// −1: not checked.
    pub leader_epoch: i32,
    /// −1: not checked for divergence.
    pub last_fetched_epoch: i32,
}

/// What an answer says of one partition, as far as a session decides on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub has_news: bool,
    pub failed: bool,
    pub high_watermark: i64,
    pub log_start: i64,
}

/// A session request that cannot be taken; the client starts a new session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("no such fetch session")]
    NotFound,
    #[error("the fetch session is at another epoch")]
    InvalidEpoch,
    #[error("the fetch session names topics the other way")]
    TopicIds,
}

/// What a request asks of its session.
pub struct SessionRequest {
    pub id: i32,
    pub epoch: i32,
    pub uses_ids: bool,
    pub wanted: Vec<Wanted>,
    pub forgotten: Vec<(TopicKey, i32)>,
}

/// What is to be read for a request, and how its answer is told.
pub struct SessionFetch {
    pub wanted: Vec<Wanted>,
    kind: Kind,
}

enum Kind {
    Sessionless,
    /// Answer everything, then remember it.
    Full {
        uses_ids: bool,
    },
    Incremental {
        session: Arc<Mutex<Session>>,
        id: i32,
    },
}

struct Session {
    epoch: i32,
    uses_ids: bool,
    used: Instant,
    /// In the order in which they are read; one that was just served goes to the end, for fairness.
    partitions: BTreeMap<u64, Cached>,
    places: HashMap<(TopicKey, i32), u64>,
    place_next: u64,
}

struct Cached {
    wanted: Wanted,
    /// As last told; −1 makes the next answer tell it again.
    high_watermark: i64,
    log_start: i64,
}

/// All fetch sessions of a broker.
pub struct Sessions {
    /// `max.incremental.fetch.session.cache.slots`
    slots_max: usize,
    /// Held for a lookup, an insertion or a pass over at most `slots_max` entries.
    sessions: Mutex<HashMap<i32, Arc<Mutex<Session>>>>,
}

impl Sessions {
    pub fn new(slots_max: usize) -> Sessions {
        Sessions {
            slots_max,
            sessions: Mutex::new(HashMap::new()),
        }
    }

    /// Sessions held now.
    pub fn count(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Resolves what a request wants.
    pub fn begin(
        &self,
        request: SessionRequest,
        now: Instant,
    ) -> Result<SessionFetch, SessionError> {
        let SessionRequest {
            id,
            epoch,
            uses_ids,
            wanted,
            forgotten,
        } = request;
        if epoch == EPOCH_INITIAL || epoch == EPOCH_FINAL {
            if id != 0 {
                self.sessions.lock().remove(&id);
            }
            let kind = if epoch == EPOCH_FINAL {
                Kind::Sessionless
            } else {
                Kind::Full { uses_ids }
            };
            return Ok(SessionFetch { wanted, kind });
        }
        let session = self
            .sessions
            .lock()
            .get(&id)
            .cloned()
            .ok_or(SessionError::NotFound)?;
        let mut cached = session.lock();
        if cached.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if cached.uses_ids != uses_ids {
            return Err(SessionError::TopicIds);
        }
        cached.update(wanted, &forgotten);
        cached.epoch = next_epoch(epoch);
        cached.used = now;
        let wanted: Vec<Wanted> = cached
            .partitions
            .values()
            .map(|c| c.wanted.clone())
            .collect();
        drop(cached);
        if wanted.is_empty() {
            self.sessions.lock().remove(&id);
            return Ok(SessionFetch {
                wanted,
                kind: Kind::Sessionless,
            });
        }
        Ok(SessionFetch {
            wanted,
            kind: Kind::Incremental { session, id },
        })
    }

    /// Decides which partitions the answer names: `keep[i]` for the i-th partition wanted. Returns
    /// the session's id for the answer, 0 for none.
    pub fn finish(
        &self,
        fetch: SessionFetch,
        told: &[Told],
        now: Instant,
        rng: &dyn Rng,
    ) -> (i32, Vec<bool>) {
        assert_eq!(
            fetch.wanted.len(),
            told.len(),
            "each partition wanted is told of"
        );
        match fetch.kind {
            Kind::Sessionless => (0, vec![true; told.len()]),
            Kind::Full { uses_ids } => {
                let session = Session::new(uses_ids, fetch.wanted, told, now);
                (
                    self.insert(session, now, rng).unwrap_or(0),
                    vec![true; told.len()],
                )
            }
            Kind::Incremental { session, id } => {
                let mut session = session.lock();
                let keep = fetch.wanted.iter().zip(told).map(|(wanted, told)| {
                    session.tell((wanted.topic.clone(), wanted.partition), *told)
                });
                let keep = keep.collect();
                (id, keep)
            }
        }
    }

    fn insert(&self, session: Session, now: Instant, rng: &dyn Rng) -> Option<i32> {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.slots_max {
            let oldest = sessions
                .iter()
                .map(|(id, session)| (session.lock().used, *id))
                .min()?;
            if now.saturating_duration_since(oldest.0) < KEPT_AT_LEAST {
                return None;
            }
            sessions.remove(&oldest.1);
        }
        loop {
            let [a, b, c, d, ..] = rng.next_u64().to_be_bytes();
            let id = i32::from_be_bytes([a & 0x7f, b, c, d]);
            if id != 0 && !sessions.contains_key(&id) {
                sessions.insert(id, Arc::new(Mutex::new(session)));
                return Some(id);
            }
        }
    }
}

impl Session {
    fn new(uses_ids: bool, wanted: Vec<Wanted>, told: &[Told], now: Instant) -> Session {
        let mut session = Session {
            epoch: next_epoch(EPOCH_INITIAL),
            uses_ids,
            used: now,
            partitions: BTreeMap::new(),
            places: HashMap::new(),
            place_next: 0,
        };
        for (wanted, told) in wanted.into_iter().zip(told) {
            let key = (wanted.topic.clone(), wanted.partition);
            session.want(wanted);
            session.tell(key, *told);
        }
        session
    }

    fn update(&mut self, wanted: Vec<Wanted>, forgotten: &[(TopicKey, i32)]) {
        for wanted in wanted {
            self.want(wanted);
        }
        for key in forgotten {
            if let Some(place) = self.places.remove(key) {
                self.partitions.remove(&place);
            }
        }
    }

    fn want(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        let known = self
            .places
            .get(&key)
            .and_then(|place| self.partitions.get_mut(place));
        if let Some(cached) = known {
            cached.wanted = wanted;
            return;
        }
        let place = self.next_place();
        self.places.insert(key, place);
        self.partitions.insert(
            place,
            Cached {
                wanted,
                high_watermark: -1,
                log_start: -1,
            },
        );
    }

    /// Whether the answer names the partition.
    fn tell(&mut self, key: (TopicKey, i32), told: Told) -> bool {
        // A request that came later may have forgotten it.
        let Some(&place) = self.places.get(&key) else {
            return true;
        };
        let Some(mut cached) = self.partitions.remove(&place) else {
            return true;
        };
        let changed = cached.high_watermark != told.high_watermark
            || cached.log_start != told.log_start
            || told.failed;
        cached.high_watermark = if told.failed { -1 } else { told.high_watermark };
        cached.log_start = told.log_start;
        let place = if told.has_news {
            let last = self.next_place();
            self.places.insert(key, last);
            last
        } else {
            place
        };
        self.partitions.insert(place, cached);
        changed || told.has_news
    }

    fn next_place(&mut self) -> u64 {
        self.place_next += 1;
        self.place_next
    }
}

/// Wraps past the largest to 1: 0 would mean a new session.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::os::OsRng;

    fn wanted(topic: &str, partition: i32) -> Wanted {
        Wanted {
            topic: TopicKey::Name(topic.into()),
            partition,
            from: Offset(0),
            bytes_max: 1000,
            leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn request(id: i32, epoch: i32, wanted: Vec<Wanted>) -> SessionRequest {
        SessionRequest {
            id,
            epoch,
            uses_ids: false,
            wanted,
            forgotten: Vec::new(),
        }
    }

    const QUIET: Told = Told {
        has_news: false,
        failed: false,
        high_watermark: 5,
        log_start: 0,
    };
    const NEWS: Told = Told {
        has_news: true,
        ..QUIET
    };

    fn open(sessions: &Sessions, wanted: Vec<Wanted>, now: Instant) -> i32 {
        let fetch = sessions.begin(request(0, 0, wanted), now).unwrap();
        let told = vec![QUIET; fetch.wanted.len()];
        sessions.finish(fetch, &told, now, &OsRng).0
    }

    fn now() -> Instant {
        Instant::now()
    }

    #[tokio::test]
    async fn an_incremental_answer_names_only_what_changed() {
        let sessions = Sessions::new(10);
        let id = open(
            &sessions,
            vec![wanted("a", 0), wanted("a", 1), wanted("a", 2)],
            now(),
        );
        assert_ne!(id, 0);

        let fetch = sessions.begin(request(id, 1, vec![]), now()).unwrap();
        let moved = Told {
            high_watermark: 6,
            ..QUIET
        };
        let (same, keep) = sessions.finish(fetch, &[QUIET, NEWS, moved], now(), &OsRng);
        assert_eq!(same, id);
        assert_eq!(keep, [false, true, true]);
    }

    #[tokio::test]
    async fn a_partition_just_served_is_read_last_the_next_time() {
        let sessions = Sessions::new(10);
        let id = open(&sessions, vec![wanted("a", 0), wanted("a", 1)], now());
        let fetch = sessions.begin(request(id, 1, vec![]), now()).unwrap();
        sessions.finish(fetch, &[NEWS, QUIET], now(), &OsRng);
        let fetch = sessions.begin(request(id, 2, vec![]), now()).unwrap();
        let order: Vec<i32> = fetch.wanted.iter().map(|w| w.partition).collect();
        assert_eq!(order, [1, 0]);
    }

    #[tokio::test]
    async fn an_error_is_told_again_until_it_is_over() {
        let sessions = Sessions::new(10);
        let id = open(&sessions, vec![wanted("a", 0)], now());
        let failed = Told {
            failed: true,
            ..QUIET
        };
        for (epoch, told, named) in [(1, failed, true), (2, failed, true), (3, QUIET, true)] {
            let fetch = sessions.begin(request(id, epoch, vec![]), now()).unwrap();
            assert_eq!(sessions.finish(fetch, &[told], now(), &OsRng).1, [named]);
        }
        let fetch = sessions.begin(request(id, 4, vec![]), now()).unwrap();
        assert_eq!(sessions.finish(fetch, &[QUIET], now(), &OsRng).1, [false]);
    }

    #[tokio::test]
    async fn unknown_ids_and_wrong_epochs_are_refused() {
        let sessions = Sessions::new(10);
        let id = open(&sessions, vec![wanted("a", 0)], now());
        let refusal = |id, epoch| sessions.begin(request(id, epoch, vec![]), now()).err();
        assert_eq!(refusal(id.wrapping_add(1), 1), Some(SessionError::NotFound));
        assert_eq!(refusal(id, 2), Some(SessionError::InvalidEpoch));
        let mut by_id = request(id, 1, vec![]);
        by_id.uses_ids = true;
        assert_eq!(
            sessions.begin(by_id, now()).err(),
            Some(SessionError::TopicIds)
        );
    }

    #[tokio::test]
    async fn a_full_cache_gives_no_session_until_one_is_old() {
        let sessions = Sessions::new(1);
        let start = now();
        assert_ne!(open(&sessions, vec![wanted("a", 0)], start), 0);
        assert_eq!(open(&sessions, vec![wanted("b", 0)], start), 0);
        assert_ne!(
            open(&sessions, vec![wanted("c", 0)], start + KEPT_AT_LEAST),
            0
        );
        assert_eq!(sessions.count(), 1);
    }

    #[tokio::test]
    async fn forgetting_every_partition_ends_the_session() {
        let sessions = Sessions::new(10);
        let id = open(&sessions, vec![wanted("a", 0)], now());
        let mut last = request(id, 1, vec![]);
        last.forgotten = vec![(TopicKey::Name("a".into()), 0)];
        let fetch = sessions.begin(last, now()).unwrap();
        assert!(fetch.wanted.is_empty());
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn the_epoch_wraps_to_one() {
        assert_eq!(next_epoch(i32::MAX), 1);
    }
}
