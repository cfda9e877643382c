//! Who may connect: how many at once, in all, on one listener and from one address, and how many a
//! second (Kafka's `ConnectionQuotas`).

use crate::runtime::{Clock, Instant, sleep_until};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// So much earlier than evenly may connections come: Kafka takes the rate over about this time.
const BURST: Duration = Duration::from_secs(10);

/// What connections are held to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Over all listeners.
    pub all: ListenerLimits,
    /// Of single listeners, by name, beside what holds for all.
    pub of_listener: HashMap<String, ListenerLimits>,
    /// A listener that is held to its own limits only: brokers must reach each other on it whatever
    /// clients do. For its connections others are closed.
    pub protected: Option<String>,
    /// Connections at a time from one address (`max.connections.per.ip`).
    pub per_ip_max: Option<u32>,
    /// The same for single addresses (`max.connections.per.ip.overrides`).
    pub per_ip_overrides: HashMap<IpAddr, u32>,
}

/// `None` is "no limit".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at a time (`max.connections`).
    pub count_max: Option<u32>,
    /// New connections a second (`max.connection.creation.rate`).
    pub rate_max: Option<u32>,
}

/// Counts connections, and lets new ones in as the limits allow.
pub struct Admission {
    clock: Arc<dyn Clock>,
    /// Held for one look or one change.
    state: Mutex<State>,
    /// A place has become free, or the limits are others.
    changed: Notify,
}

#[derive(Default)]
struct State {
    limits: ConnectionLimits,
    all: Taken,
    by_listener: HashMap<Arc<str>, Taken>,
    by_ip: HashMap<IpAddr, u32>,
}

/// What is taken of some [`ListenerLimits`].
#[derive(Default)]
struct Taken {
    count: u32,
    /// When the connections so far would have come, had they come evenly and no faster than allowed.
    even: Option<Instant>,
}

/// A connection's place; free again when dropped.
pub(super) struct Place {
    admission: Arc<Admission>,
    listener: Arc<str>,
    ip: IpAddr,
}

/// An address has all the connections that it may have.
#[derive(Debug, thiserror::Error)]
#[error("too many connections from {ip}: {max} are allowed")]
pub(super) struct TooManyFromAddress {
    ip: IpAddr,
    max: u32,
}

/// Why a connection is not in.
enum Out {
    UntilAPlaceIsFree,
    Until(Instant),
    Refused(TooManyFromAddress),
}

impl Admission {
    pub(super) fn new(clock: Arc<dyn Clock>, limits: ConnectionLimits) -> Arc<Admission> {
        let state = State {
            limits,
            ..State::default()
        };
        Arc::new(Admission {
            clock,
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Connections open now.
    pub(super) fn count(&self) -> usize {
        self.state.lock().all.count as usize
    }

    /// How many connections are allowed, if there are more than that.
    pub(super) fn exceeded(&self) -> Option<usize> {
        let state = self.state.lock();
        let max = state.limits.all.count_max?;
        (state.all.count > max).then_some(max as usize)
    }

    /// Whether connections of this listener may be closed for the sake of others.
    pub(super) fn may_close(&self, listener: &str) -> bool {
        !self.state.lock().limits.is_protected(listener)
    }

    /// Ends with the next change of limits, or when a place becomes free.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Other limits from now on.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.state.lock().limits = limits;
        self.changed.notify_waiters();
    }

    /// Takes a place for a connection, however long that takes: it waits as if it had not been
    /// accepted yet. One address too many is refused at once.
    pub(super) async fn admit(
        self: &Arc<Admission>,
        listener: &Arc<str>,
        ip: IpAddr,
    ) -> Result<Place, TooManyFromAddress> {
        // One machine has one address, whichever way it comes.
        let ip = ip.to_canonical();
        loop {
            let changed = self.changed.notified();
            let now = self.clock.monotonic();
            let out = match self.state.lock().take(listener, ip, now) {
                Ok(()) => break,
                Err(out) => out,
            };
            match out {
                Out::UntilAPlaceIsFree => changed.await,
                Out::Until(due) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(due) => {}
                    }
                }
                Out::Refused(reason) => return Err(reason),
            }
        }
        Ok(Place {
            admission: self.clone(),
            listener: listener.clone(),
            ip,
        })
    }
}

impl ConnectionLimits {
    fn is_protected(&self, listener: &str) -> bool {
        self.protected.as_deref() == Some(listener)
    }
}

impl State {
    fn take(&mut self, listener: &Arc<str>, ip: IpAddr, now: Instant) -> Result<(), Out> {
        let all = if self.limits.is_protected(listener) {
            ListenerLimits::default()
        } else {
            self.limits.all
        };
        let own = self.limits.of_listener.get(&**listener).copied();
        let own = own.unwrap_or_default();
        let of_listener = self.by_listener.entry(listener.clone()).or_default();
        if self.all.is_full(&all) || of_listener.is_full(&own) {
            return Err(Out::UntilAPlaceIsFree);
        }
        let due = self.all.due(&all, now).max(of_listener.due(&own, now));
        if due > now {
            return Err(Out::Until(due));
        }
        let override_of = self.limits.per_ip_overrides.get(&ip).copied();
        if let Some(max) = override_of.or(self.limits.per_ip_max)
            && self.by_ip.get(&ip).copied().unwrap_or(0) >= max
        {
            return Err(Out::Refused(TooManyFromAddress { ip, max }));
        }
        self.all.take(&all, now);
        of_listener.take(&own, now);
        *self.by_ip.entry(ip).or_default() += 1;
        Ok(())
    }
}

impl Taken {
    fn is_full(&self, limits: &ListenerLimits) -> bool {
        limits.count_max.is_some_and(|max| self.count >= max)
    }

    /// When the rate allows another connection.
    fn due(&self, limits: &ListenerLimits, now: Instant) -> Instant {
        let even = self.even.filter(|_| limits.rate_max.is_some());
        even.map_or(now, |even| even.checked_sub(BURST).unwrap_or(now))
    }

    fn take(&mut self, limits: &ListenerLimits, now: Instant) {
        self.count += 1;
        if let Some(rate) = limits.rate_max {
            let step = Duration::from_secs(1) / rate.max(1);
            self.even = Some(self.even.map_or(now, |even| even.max(now)) + step);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.all.count -= 1;
        if let Some(own) = state.by_listener.get_mut(&self.listener) {
            own.count -= 1;
        }
        if let Some(from_here) = state.by_ip.get_mut(&self.ip) {
            *from_here -= 1;
            if *from_here == 0 {
                state.by_ip.remove(&self.ip);
            }
        }
        drop(state);
        self.admission.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::os::OsClock;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn admission(limits: ConnectionLimits) -> Arc<Admission> {
        Admission::new(Arc::new(OsClock), limits)
    }

    fn at_most(count: u32) -> ConnectionLimits {
        ConnectionLimits {
            all: ListenerLimits {
                count_max: Some(count),
                rate_max: None,
            },
            ..ConnectionLimits::default()
        }
    }

    async fn is_let_in(admission: &Arc<Admission>, ip: IpAddr) -> Option<Place> {
        let listener = "A".into();
        let admitted = admission.admit(&listener, ip);
        let admitted = tokio::time::timeout(Duration::from_millis(1), admitted).await;
        admitted.ok()?.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_too_many_waits_until_another_goes() {
        let admission = admission(at_most(1));
        let first = is_let_in(&admission, HERE).await.unwrap();
        assert!(is_let_in(&admission, THERE).await.is_none());
        drop(first);
        assert!(is_let_in(&admission, THERE).await.is_some());
        assert_eq!(admission.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_let_in_when_the_limit_is_raised() {
        let admission = admission(at_most(1));
        let _first = is_let_in(&admission, HERE).await.unwrap();
        let start = Instant::now();
        let listener = "A".into();
        let raise = async {
            sleep_until(start + Duration::from_secs(1)).await;
            admission.set_limits(at_most(2));
        };
        let (admitted, ()) = tokio::join!(admission.admit(&listener, HERE), raise);
        assert!(admitted.is_ok());
        assert_eq!((Instant::now() - start).as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_can_have_fewer_places_than_there_are() {
        let mut limits = at_most(5);
        let own = at_most(1).all;
        limits.of_listener.insert("A".to_owned(), own);
        let admission = admission(limits);
        let _first = is_let_in(&admission, HERE).await.unwrap();
        assert!(is_let_in(&admission, HERE).await.is_none());
        let other = admission.admit(&"B".into(), HERE).await;
        assert!(other.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_protected_listener_is_let_in_beyond_what_holds_for_all() {
        let mut limits = at_most(1);
        limits.all.rate_max = Some(1);
        limits.protected = Some("BROKERS".to_owned());
        let own = ListenerLimits {
            count_max: Some(20),
            rate_max: None,
        };
        limits.of_listener.insert("BROKERS".to_owned(), own);
        let admission = admission(limits);
        let _client = is_let_in(&admission, HERE).await.unwrap();
        let mut brokers = Vec::new();
        let start = Instant::now();
        for _ in 0..20 {
            brokers.push(admission.admit(&"BROKERS".into(), HERE).await.ok());
        }
        assert_eq!(start, Instant::now(), "nobody had to wait");
        assert_eq!(admission.exceeded(), Some(1));
        assert!(admission.may_close("A") && !admission.may_close("BROKERS"));
        // It has limits of its own.
        let listener = "BROKERS".into();
        let one_more = admission.admit(&listener, HERE);
        let one_more = tokio::time::timeout(Duration::from_millis(1), one_more).await;
        assert!(one_more.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_too_often_is_refused_and_others_are_not() {
        let admission = admission(ConnectionLimits {
            per_ip_max: Some(1),
            per_ip_overrides: HashMap::from([(THERE, 2)]),
            ..ConnectionLimits::default()
        });
        let _here = is_let_in(&admission, HERE).await.unwrap();
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(admission.admit(&"A".into(), mapped).await.is_err());
        let _one = is_let_in(&admission, THERE).await.unwrap();
        let _two = is_let_in(&admission, THERE).await.unwrap();
        assert!(admission.admit(&"A".into(), THERE).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn more_connections_a_second_than_allowed_are_spread_out() {
        let mut limits = ConnectionLimits::default();
        limits.all.rate_max = Some(2);
        let admission = admission(limits);
        let start = Instant::now();
        for _ in 0..60 {
            assert!(admission.admit(&"A".into(), HERE).await.is_ok());
        }
        let took = Instant::now() - start;
        // Twenty of them at once, as if they had come in the ten seconds before.
        assert_eq!(took.as_secs(), 19);
    }
}
