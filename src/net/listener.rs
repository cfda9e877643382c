//! Accepts connections and watches over them.

use super::admission::{Admission, ConnectionLimits, Place};
use super::buffers::Buffers;
use super::connection::{Activity, Connection, Ended, PERMIT_BYTES, Shared};
use super::service::{Peer, Service};
use crate::runtime::{Instant, Listener, Runtime, Stream, next_connection, sleep_until};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

/// What connections may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest frame, in bytes (`socket.request.max.bytes`).
    pub frame_bytes_max: usize,
    /// Bytes of large requests held at a time, over all connections (`queued.max.request.bytes`).
    pub request_memory_bytes: usize,
    /// A connection that is silent for longer is closed (`connections.max.idle.ms`).
    pub idle_max: Duration,
    pub connections: ConnectionLimits,
}

/// Accepts connections for one service, on any number of listeners.
#[derive(Clone)]
pub struct Acceptor {
    runtime: Runtime,
    shared: Arc<Shared>,
    idle_max: Duration,
    admission: Arc<Admission>,
    open: Arc<Open>,
}

struct Open {
    started: Instant,
    ids: AtomicU64,
    /// In order of their ids, so that one seed is one order of events. Held for one insertion, removal
    /// or pass.
    connections: Mutex<BTreeMap<u64, Serving>>,
}

/// A connection as the watch sees it.
struct Serving {
    listener: Arc<str>,
    activity: Arc<Activity>,
    /// Cancelled to have it closed.
    close: CancellationToken,
}

impl Acceptor {
    pub fn new(runtime: Runtime, service: Arc<dyn Service>, limits: Limits) -> Acceptor {
        let permits = (limits.request_memory_bytes / PERMIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let shared = Arc::new(Shared {
            service,
            buffers: Buffers::default(),
            frame_bytes_max: limits.frame_bytes_max,
            request_memory: Semaphore::new(permits as usize),
            request_memory_permits: permits,
        });
        let open = Arc::new(Open {
            started: runtime.clock.monotonic(),
            ids: AtomicU64::new(0),
            connections: Mutex::new(BTreeMap::new()),
        });
        Acceptor {
            admission: Admission::new(runtime.clock.clone(), limits.connections),
            idle_max: limits.idle_max,
            runtime,
            shared,
            open,
        }
    }

    /// Accepts on `listener` until the runtime's tasks are told to stop.
    pub fn listen(&self, name: Arc<str>, listener: Box<dyn Listener>) {
        let acceptor = self.clone();
        self.runtime.tasks.spawn(async move {
            let runtime = &acceptor.runtime;
            while let Some((stream, addr)) = next_connection(runtime, &name, &*listener).await {
                acceptor.admit(&name, stream, addr).await;
            }
        });
    }

    /// Closes connections that have been idle for too long, and those beyond the limits when the limits
    /// are lowered, until told to stop.
    pub fn watch(&self) {
        let acceptor = self.clone();
        let pause =
            (acceptor.idle_max / 10).clamp(Duration::from_millis(100), Duration::from_secs(30));
        self.runtime.tasks.spawn(async move {
            let mut next = acceptor.runtime.clock.monotonic() + pause;
            loop {
                let changed = acceptor.admission.changed();
                acceptor.close_excess();
                tokio::select! {
                    biased;
                    () = acceptor.runtime.tasks.stopping() => return,
                    () = changed => {}
                    () = sleep_until(next) => {
                        acceptor.close_idle();
                        next = acceptor.runtime.clock.monotonic() + pause;
                    }
                }
            }
        });
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.admission.count()
    }

    /// Where the limits can be changed.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    fn close_idle(&self) {
        let now = self.runtime.clock.monotonic() - self.open.started;
        let oldest = now.saturating_sub(self.idle_max).as_millis();
        for serving in self.open.connections.lock().values() {
            if u128::from(serving.activity.last_ms()) < oldest {
                serving.close.cancel();
            }
        }
    }

    /// While there are more connections than allowed, those that did nothing for longest are closed.
    fn close_excess(&self) {
        let Some(max) = self.admission.exceeded() else {
            return;
        };
        let connections = self.open.connections.lock();
        let mut staying = connections.values().filter(|c| !c.close.is_cancelled());
        let excess = staying.clone().count().saturating_sub(max);
        let mut closable: Vec<&Serving> = staying
            .by_ref()
            .filter(|c| self.admission.may_close(&c.listener))
            .collect();
        closable.sort_by_key(|c| c.activity.last_ms());
        for serving in closable.iter().take(excess) {
            info!(max, "closed the connection that was idle for longest");
            serving.close.cancel();
        }
    }

    /// Serves the connection once there is a place for it. Others wait behind it meanwhile.
    async fn admit(&self, listener: &Arc<str>, stream: Box<dyn Stream>, addr: SocketAddr) {
        tokio::select! {
            biased;
            () = self.runtime.tasks.stopping() => {}
            place = self.admission.admit(listener, addr.ip()) => match place {
                Ok(place) => self.serve(listener, stream, addr, place),
                Err(reason) => info!(%addr, %reason, "closed a new connection"),
            }
        }
    }

    fn serve(&self, listener: &Arc<str>, stream: Box<dyn Stream>, addr: SocketAddr, place: Place) {
        let open = self.open.clone();
        let id = open.ids.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::new(open.started));
        let close = CancellationToken::new();
        let serving = Serving {
            listener: listener.clone(),
            activity: activity.clone(),
            close: close.clone(),
        };
        open.connections.lock().insert(id, serving);
        self.close_excess();
        let peer = Peer {
            addr,
            listener: listener.clone(),
        };
        let mut connection = Connection::new(stream, peer, self.shared.clone(), activity);
        let tasks = self.runtime.tasks.clone();
        self.runtime.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = tasks.stopping() => {}
                () = close.cancelled() => debug!(%addr, "closed an idle connection"),
                ended = connection.serve() => match ended {
                    Ended::ByClient | Ended::Socket(_) => debug!(%addr, reason = %ended, "connection ended"),
                    Ended::Frame(_) | Ended::Refused(_) | Ended::Stalled => {
                        info!(%addr, reason = %ended, "closed a connection");
                    }
                    Ended::Panicked => error!(%addr, reason = %ended, "closed a connection"),
                },
            }
            open.connections.lock().remove(&id);
            drop(place);
        });
    }
}
