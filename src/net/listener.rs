//! Accepts connections and watches over them.

use super::admission::{Admission, ConnectionLimits, Place};
use super::buffers::Buffers;
use super::connection::{Activity, Connection, Ended, PERMIT_BYTES, Shared};
use super::service::{Peer, Service};
use crate::runtime::{Instant, Listener, Runtime, Stream, sleep_until};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

/// How long the accept loop rests when the process has no file descriptor left.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

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
    /// Looked through by the idle watch; held for one insertion, removal or pass.
    connections: Mutex<HashMap<u64, (Arc<Activity>, CancellationToken)>>,
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
            connections: Mutex::new(HashMap::new()),
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
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = acceptor.runtime.tasks.stopping() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, addr)) => acceptor.admit(&name, stream, addr).await,
                    Err(error) => {
                        // Out of descriptors, most likely: those who are connected go on.
                        warn!(listener = %name, %error, "could not accept a connection");
                        sleep_until(acceptor.runtime.clock.monotonic() + ACCEPT_BACK_OFF).await;
                    }
                }
            }
        });
    }

    /// Closes connections that have been idle for too long, until told to stop.
    pub fn watch_idle(&self) {
        let acceptor = self.clone();
        let pause =
            (acceptor.idle_max / 10).clamp(Duration::from_millis(100), Duration::from_secs(30));
        self.runtime.tasks.spawn(async move {
            loop {
                let next = acceptor.runtime.clock.monotonic() + pause;
                tokio::select! {
                    biased;
                    () = acceptor.runtime.tasks.stopping() => return,
                    () = sleep_until(next) => acceptor.close_idle(),
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
        for (activity, close) in self.open.connections.lock().values() {
            if u128::from(activity.last_ms()) < oldest {
                close.cancel();
            }
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
        open.connections
            .lock()
            .insert(id, (activity.clone(), close.clone()));
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
