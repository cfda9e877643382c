//! Fetch, key 1, versions 4–18.
//!
//! Reads ranges of log files below the high watermark (read_uncommitted) or the last stable offset
//! (read_committed), and waits for `min_bytes` up to `max_wait`. The records leave as they lie: no
//! byte of them is looked at. v7: incremental sessions (KIP-227). v9: the client's leader epoch is
//! checked. v12: divergence from an older leader's log is told (KIP-595). v13: topics by id.
//! Not done: fetching as a replica, which needs a cluster; replica ids are refused as unknown.

use super::answer::{Call, Outcome};
use super::context::{RequestContext, Staged};
use super::fetch_response::{FetchAnswer, PartitionAnswer};
use super::meters::Meters;
use crate::metadata::ImageHandle;
use crate::protocol::ErrorCode;
use crate::protocol::messages::FetchRequest;
use crate::replica::{
    EpochError, FirstBatch, Isolation, Partition, Read, ReadError, ReadOutcome, Replicas,
    SessionFetch, SessionRequest, Sessions, Told, TopicKey, Waiter, Wanted,
};
use crate::runtime::{Instant, Reply, Runtime, sleep_until};
use crate::types::Offset;
use std::sync::Arc;
use std::time::Duration;

/// What the handler works on.
pub(super) struct Parts<'a> {
    pub(super) replicas: &'a Arc<Replicas>,
    pub(super) sessions: &'a Arc<Sessions>,
    pub(super) image: &'a ImageHandle,
    pub(super) runtime: &'a Runtime,
    pub(super) meters: &'a Arc<Meters>,
    /// `fetch.max.bytes`
    pub(super) bytes_max: u32,
}

pub(super) fn serve(mut call: Call, reply: &mut Reply, parts: &Parts<'_>) -> Outcome {
    let back = call.back();
    match call.request() {
        Ok(request) => back.send(handle(&request, &call.context, parts), reply),
        Err(refusal) => Outcome::Close(refusal),
    }
}

/// The first version whose errors name the current leader (KIP-951).
const NAMES_LEADER: i16 = 16;

/// One fetch that is under way.
struct Fetch {
    replicas: Arc<Replicas>,
    sessions: Arc<Sessions>,
    image: ImageHandle,
    runtime: Runtime,
    meters: Arc<Meters>,
    session: SessionFetch,
    isolation: Isolation,
    bytes_min: u64,
    /// `None`: the request names a negative limit, and no read is made.
    bytes_max: Option<u64>,
    /// Another broker asks.
    as_replica: bool,
    version: i16,
}

/// What one pass over the partitions found.
struct Pass {
    partitions: Vec<PartitionAnswer>,
    bytes: u64,
    /// Something that the client must hear at once.
    urgent: bool,
}

fn handle(
    request: &FetchRequest,
    context: &RequestContext,
    parts: &Parts<'_>,
) -> Staged<FetchAnswer> {
    let now = parts.runtime.clock.monotonic();
    let bytes_max = u32::try_from(request.max_bytes).ok();
    let bytes_max = bytes_max.map(|max| u64::from(max.min(parts.bytes_max)));
    let bytes_min = u64::try_from(request.min_bytes).unwrap_or(0);
    let bytes_min = bytes_min.min(bytes_max.unwrap_or(0));
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let Some(isolation) = isolation_level(request.isolation_level) else {
        let asked = session_request(request, context.version);
        return Staged::Ready(whole_refusal(&asked, ErrorCode::UnknownServerError));
    };
    let session = match parts
        .sessions
        .begin(session_request(request, context.version), now)
    {
        Ok(session) => session,
        Err(error) => return Staged::Ready(FetchAnswer::refused(ErrorCode::from(error))),
    };
    let fetch = Fetch {
        replicas: parts.replicas.clone(),
        sessions: parts.sessions.clone(),
        image: parts.image.clone(),
        runtime: parts.runtime.clone(),
        meters: parts.meters.clone(),
        session,
        isolation,
        bytes_min,
        bytes_max,
        as_replica: request.replica_id.max(request.replica_state.replica_id) >= 0,
        version: context.version,
    };
    let pass = fetch.pass();
    if wait.is_zero() || pass.urgent || pass.bytes >= bytes_min || fetch.session.wanted.is_empty() {
        return Staged::Ready(fetch.answer(pass));
    }
    Staged::later(fetch.wait(now + wait))
}

/// Up to version 12 the error stands at each partition as well: the first versions have no other place.
fn whole_refusal(asked: &SessionRequest, error: ErrorCode) -> FetchAnswer {
    let partitions = asked.wanted.iter().filter(|_| !asked.uses_ids);
    FetchAnswer {
        error,
        session_id: asked.id,
        partitions: partitions
            .map(|wanted| PartitionAnswer::refused(wanted, error))
            .collect(),
    }
}

/// Which records a client asks to see; `None` for a number that stands for nothing, which Kafka answers with
/// UNKNOWN_SERVER_ERROR (`IsolationLevel.forId`).
pub(super) fn isolation_level(level: i8) -> Option<Isolation> {
    match level {
        0 => Some(Isolation::ReadUncommitted),
        1 => Some(Isolation::ReadCommitted),
        _ => None,
    }
}

fn session_request(request: &FetchRequest, version: i16) -> SessionRequest {
    let uses_ids = version >= 13;
    let key = |name: &str, id| {
        if uses_ids {
            TopicKey::Id(id)
        } else {
            TopicKey::Name(name.into())
        }
    };
    let mut wanted = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let key = key(&topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.iter().map(|partition| Wanted {
            topic: key.clone(),
            partition: partition.partition,
            from: Offset(partition.fetch_offset),
            bytes_max: partition.partition_max_bytes,
            leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let key = key(&topic.topic, topic.topic_id);
        forgotten.extend(
            topic
                .partitions
                .iter()
                .map(|partition| (key.clone(), *partition)),
        );
    }
    SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        uses_ids,
        wanted,
        forgotten,
    }
}

impl Fetch {
    /// Reads all partitions once.
    fn pass(&self) -> Pass {
        let wanted = &self.session.wanted;
        let mut pass = Pass {
            partitions: Vec::with_capacity(wanted.len()),
            bytes: 0,
            urgent: false,
        };
        for wanted in wanted {
            // The first batch of the first partition that has one is sent whole, whatever its
            // size, or a client with small limits would never get past it.
            let first = if pass.bytes == 0 {
                FirstBatch::Whole
            } else {
                FirstBatch::IfItFits
            };
            let left = self.bytes_max.map(|max| max.saturating_sub(pass.bytes));
            let answer = self.read(wanted, left, first);
            pass.bytes += answer.bytes();
            pass.urgent |= answer.is_urgent();
            pass.partitions.push(answer);
        }
        pass
    }

    fn read(&self, wanted: &Wanted, bytes_left: Option<u64>, first: FirstBatch) -> PartitionAnswer {
        let partition = match self.partition(wanted) {
            Ok(partition) => partition,
            Err(code) => return PartitionAnswer::refused(wanted, code),
        };
        if let Err(error) = partition.check_epoch(wanted.leader_epoch) {
            let answer = PartitionAnswer::failed(wanted, error.into());
            // A reader that is ahead of this broker knows more of the leader than it does.
            return match error {
                EpochError::Fenced => self.naming_leader(answer, &partition),
                EpochError::Unknown => answer,
            };
        }
        if self.as_replica {
            // No broker but this one is a replica of anything.
            let answer = PartitionAnswer::failed(wanted, ErrorCode::NotLeaderOrFollower);
            return self.naming_leader(answer, &partition);
        }
        let (Ok(own_max), Some(bytes_left)) = (u64::try_from(wanted.bytes_max), bytes_left) else {
            // What Kafka answers to a negative limit (`UnifiedLog.read` throws).
            return PartitionAnswer::failed(wanted, ErrorCode::UnknownServerError);
        };
        let read = Read {
            from: wanted.from,
            bytes_max: own_max.min(bytes_left),
            isolation: self.isolation,
            first,
            last_fetched_epoch: wanted.last_fetched_epoch,
        };
        let outcome = partition.read(&read);
        let mut answer = PartitionAnswer::empty(wanted);
        let bounds = partition.bounds();
        answer.high_watermark = bounds.high_watermark.get();
        answer.last_stable = bounds.last_stable.get();
        answer.log_start = bounds.log_start.get();
        match outcome {
            Ok(ReadOutcome::Records { slice, aborted }) => {
                answer.records = slice;
                answer.aborted = aborted;
            }
            Ok(ReadOutcome::Diverging { epoch, end }) => {
                answer.diverging = Some((epoch.get(), end.get()));
            }
            Err(ReadError::OutOfRange) => {
                return PartitionAnswer::failed(wanted, ErrorCode::OffsetOutOfRange);
            }
            Err(ReadError::Offline) => {
                // Old clients do not know the better answer.
                let old = self.version <= 5;
                let code = if old {
                    ErrorCode::NotLeaderOrFollower
                } else {
                    ErrorCode::KafkaStorageError
                };
                return PartitionAnswer::failed(wanted, code);
            }
        }
        answer
    }

    fn partition(&self, wanted: &Wanted) -> Result<Arc<Partition>, ErrorCode> {
        let found = match &wanted.topic {
            TopicKey::Name(name) => self.replicas.find(name, wanted.partition, &self.image),
            TopicKey::Id(id) => self.replicas.find_by_id(id, wanted.partition, &self.image),
        };
        found.map_err(ErrorCode::from)
    }

    fn naming_leader(&self, mut answer: PartitionAnswer, partition: &Partition) -> PartitionAnswer {
        if self.version < NAMES_LEADER {
            return answer;
        }
        if let Some(known) = self
            .image
            .load()
            .partition(partition.name().topic.as_str(), partition.name().partition)
        {
            let leader = known.leader.map_or(-1, |id| id.get());
            answer.current_leader = Some((leader, known.leader_epoch.get()));
        }
        answer
    }

    /// Waits for bytes, at most until `deadline`, and reads again.
    async fn wait(self, deadline: Instant) -> FetchAnswer {
        let partitions: Vec<(usize, Arc<Partition>)> = self
            .session
            .wanted
            .iter()
            .enumerate()
            .filter_map(|(index, wanted)| Some((index, self.partition(wanted).ok()?)))
            .collect();
        let waiter = Waiter::new(1);
        let _over = Finish(&waiter);
        for (_, partition) in &partitions {
            partition.waiters().register(&waiter);
        }
        loop {
            // Looked at after registering, so that nothing that was appended meanwhile is missed.
            let readable: u64 = partitions
                .iter()
                .map(|(index, partition)| self.readable(&self.session.wanted[*index], partition))
                .sum();
            let changed = partitions.iter().any(|(index, partition)| {
                let wanted = &self.session.wanted[*index];
                partition.is_closed()
                    || !partition.leads()
                    || partition.check_epoch(wanted.leader_epoch).is_err()
            });
            if readable >= self.bytes_min || changed {
                break;
            }
            waiter.again(self.bytes_min - readable);
            tokio::select! {
                biased;
                () = waiter.woken() => {}
                () = sleep_until(deadline) => break,
            }
        }
        let pass = self.pass();
        self.answer(pass)
    }

    /// Bytes that a read would give now, as they count towards `min_bytes`.
    fn readable(&self, wanted: &Wanted, partition: &Partition) -> u64 {
        let own_max = u64::try_from(wanted.bytes_max).unwrap_or(0);
        partition
            .readable_bytes(wanted.from, self.isolation)
            .min(own_max)
    }

    fn answer(self, pass: Pass) -> FetchAnswer {
        self.meters.fetched(pass.bytes);
        let mut partitions = pass.partitions;
        let told: Vec<Told> = partitions.iter().map(PartitionAnswer::told).collect();
        let now = self.runtime.clock.monotonic();
        let (session_id, keep) = self
            .sessions
            .finish(self.session, &told, now, &*self.runtime.rng);
        let mut keep = keep.into_iter();
        partitions.retain(|_| keep.next().unwrap_or(true));
        FetchAnswer {
            error: ErrorCode::None,
            session_id,
            partitions,
        }
    }
}

/// Ends a wait, also when the connection goes away in the middle of it.
struct Finish<'a>(&'a Arc<Waiter>);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}
