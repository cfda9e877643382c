//! One broker: the only place that builds the parts and wires them; stops them in reverse order.

use crate::api::{self, Api, Identity, Outcome};
use crate::config::{BrokerConfig, LiveConfig};
use crate::controller::{self, BrokerEpoch, Controller, Creations, ProducerIds, Registration};
use crate::coordinator::group::{GroupCoordinator, GroupSettings};
use crate::http;
use crate::log::{LogManager, ManagerError, ManagerOptions, Unformatted};
use crate::metadata::{
    Delta, EndpointImage, ImageHandle, MetadataImage, MetadataListener, SUPPORTED_FEATURES,
};
use crate::monitor::Monitor;
use crate::net::{
    Acceptor, Admission, CloseReason, ConnectionLimits, Limits, ListenerLimits, Peer, Served,
    Service,
};
use crate::node::{Coordination, DynamicConfig};
use crate::quorum::{self, LoadError, QuorumError, SingleQuorum};
use crate::replica::{Replicas, Sessions, start_cleaners, start_moves, start_upkeep};
use crate::runtime::{Listener, Reply, Runtime};
use crate::telemetry::Telemetry;
use crate::types::NodeId;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::info;

/// Large requests held at a time when `queued.max.request.bytes` sets no limit.
///
/// Apache Kafka bounds their count (`queued.max.requests`, 500) and leaves their size to the heap. A
/// quarter of a gigabyte keeps every core busy and a small machine alive.
const REQUEST_MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// A broker that is running.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
/// # rt.block_on(async {
/// let dir = tempfile::tempdir()?;
/// let mut properties = ottla::config::Properties::new();
/// properties.set("listeners", "PLAINTEXT://127.0.0.1:0");
/// properties.set("log.dirs", dir.path().to_str().expect("a path in UTF-8"));
/// let (config, _) = ottla::config::BrokerConfig::from_properties(&properties)?;
///
/// let server = ottla::Server::start(config, ottla::runtime::os::runtime()).await?;
/// println!("point a client at {}", server.bootstrap());
/// server.stop().await;
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Server {
    runtime: Runtime,
    listening: Vec<(String, SocketAddr)>,
    identity: Identity,
    acceptor: Acceptor,
    replicas: Arc<Replicas>,
    quorum: SingleQuorum,
    groups: Arc<GroupCoordinator>,
    image: ImageHandle,
    meters: Arc<api::Meters>,
    epoch: BrokerEpoch,
    fatal: oneshot::Receiver<String>,
}

/// Why a broker does not start. Nothing was written that the next start would stumble over.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} for listener {name}: {error}")]
    Listen {
        name: String,
        address: String,
        error: io::Error,
    },
    #[error("{0}")]
    Storage(#[from] ManagerError),
    #[error("the metadata log cannot be used: {0}")]
    Metadata(#[from] LoadError),
    #[error("{0}")]
    MetadataLog(#[from] crate::log::OpenError),
    #[error("{0}")]
    Logs(#[from] crate::log::LoadError),
    #[error("the broker cannot take part: {0}")]
    Quorum(#[from] QuorumError),
}

impl Server {
    /// Opens the data directories (an empty one is formatted), recovers what a crash left, and
    /// serves. Returns once clients are answered.
    pub async fn start(config: BrokerConfig, runtime: Runtime) -> Result<Server, StartError> {
        let config = Arc::new(config);
        // Tasks of this broker stop with it, not with others in the same process.
        let runtime = Runtime {
            tasks: runtime.tasks.child(),
            ..runtime
        };
        let started = start(config, runtime.clone()).await;
        if started.is_err() {
            runtime.tasks.stop();
        }
        started
    }

    /// Where clients connect: the first listener, with the port that it was given.
    pub fn bootstrap(&self) -> SocketAddr {
        self.listening[0].1
    }

    /// Every listener's name and address.
    pub fn listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    pub fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    pub fn node_id(&self) -> NodeId {
        self.identity.node_id
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.acceptor.connections()
    }

    /// Serves `/health` and `/metrics` over HTTP on `host:port` until the broker stops; port 0 picks a free
    /// one. Gives the address. Nobody is asked who he is: keep it on loopback, or behind something.
    pub async fn serve_http(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        let listener = self.runtime.net.bind(host, port).await?;
        let address = listener.local_addr()?;
        let monitor = Monitor {
            node_id: self.identity.node_id,
            meters: self.meters.clone(),
            replicas: self.replicas.clone(),
            image: self.image.clone(),
            acceptor: self.acceptor.clone(),
        };
        http::serve(&self.runtime, listener, Arc::new(monitor));
        Ok(address)
    }

    /// Returns, with the reason, once the broker cannot go on: the log directory of the metadata has failed.
    /// Whoever started it should stop it then, as `ottla run` does.
    pub async fn failed(&mut self) -> String {
        match (&mut self.fatal).await {
            Ok(reason) => reason,
            // The broker is stopping.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops cleanly: answers what is under way, closes the logs, and leaves word that the next
    /// start need not recover.
    pub async fn stop(self) {
        self.runtime.tasks.stop();
        self.groups.stop();
        self.runtime.tasks.stopped().await;
        let epoch = self.epoch.0;
        let (replicas, quorum) = (self.replicas.clone(), self.quorum.clone());
        self.runtime
            .tasks
            .blocking(move || {
                quorum.close();
                replicas.close(epoch);
            })
            .await;
        info!(node = %self.identity.node_id, "stopped");
    }

    /// Ends at once, as a killed process does: nothing is flushed, closed or marked as clean.
    pub async fn kill(self) {
        self.runtime.tasks.stop();
        self.runtime.tasks.stopped().await;
    }
}

type Bound = (Arc<str>, Box<dyn Listener>, SocketAddr);

async fn start(config: Arc<BrokerConfig>, runtime: Runtime) -> Result<Server, StartError> {
    // The port first: a second broker by mistake must not touch the data of the first.
    let listeners = bind(&config, &runtime).await?;
    let listening: Vec<(String, SocketAddr)> = listeners
        .iter()
        .map(|(name, _, address)| (name.to_string(), *address))
        .collect();

    let Opened {
        logs,
        image,
        quorum,
    } = {
        let (config, runtime) = (config.clone(), runtime.clone());
        let tasks = runtime.tasks.clone();
        let opened = tasks.blocking(move || open(&config, &runtime)).await;
        opened.ok_or(QuorumError::Stopping)??
    };
    let cluster_id: Arc<str> = logs.cluster_id().into();
    let was_clean = logs.previous_broker_epoch().is_some();
    let live = Arc::new(LiveConfig::new(config.clone()));
    let dynamic = DynamicConfig::start(config.node_id, live.clone(), &image.load());
    quorum.follow(Arc::new(dynamic));
    let replicas = Replicas::open(runtime.clone(), logs, image.load(), live.clone()).await?;
    quorum.follow(replicas.clone());
    let identity = Identity {
        cluster_id,
        node_id: config.node_id,
    };

    let controller = Controller::new(
        Arc::new(quorum.clone()),
        image.clone(),
        runtime.rng.clone(),
        live.clone(),
    );
    let registration = registration(&config, &runtime, &listening, &replicas);
    let epoch = controller.register_broker(registration).await?;
    if !was_clean {
        // What a log held beyond what was recovered is gone; its offsets get a new epoch.
        controller.renew_leader_epochs(config.node_id).await?;
    }

    let producer_ids = Arc::new(ProducerIds::new(controller.clone(), config.node_id, epoch));
    let creations = Creations::new(
        controller.clone(),
        runtime.tasks.clone(),
        config.offsets.clone(),
    );
    let groups = Arc::new(GroupCoordinator::new(
        GroupSettings::from_config(&config.groups, &config.offsets),
        i32::try_from(config.offsets.topic_partitions).unwrap_or(i32::MAX),
        &runtime,
    ));
    let coordination = Coordination::start(
        config.node_id,
        groups.clone(),
        replicas.clone(),
        image.clone(),
    );
    quorum.follow(Arc::new(coordination));

    let meters = Arc::new(api::Meters::default());
    let api = Api {
        identity: identity.clone(),
        config: config.clone(),
        live: live.clone(),
        runtime: runtime.clone(),
        image: image.clone(),
        replicas: replicas.clone(),
        sessions: Arc::new(Sessions::new(config.fetch.session_slots as usize)),
        controller: controller.clone(),
        producer_ids,
        creations,
        groups: groups.clone(),
        meters: meters.clone(),
        telemetry: Telemetry::new(runtime.rng.clone(), config.net.telemetry_bytes_max),
    };
    let limits = limits(&live.load().config);
    let keeping = replicas.clone();
    let kept = runtime.tasks.blocking(move || keeping.keep_spare());
    kept.await; // before clients can write
    let acceptor = Acceptor::new(runtime.clone(), Arc::new(Front(api)), limits);
    quorum.follow(Arc::new(Doorkeeper {
        live,
        admission: acceptor.admission().clone(),
    }));
    for (name, listener, _) in listeners {
        acceptor.listen(name, listener);
    }
    acceptor.watch();
    let fatal = controller::report_directories(
        controller,
        config.node_id,
        replicas.clone(),
        image.clone(),
        &runtime,
    );
    start_upkeep(replicas.clone(), &runtime, &config);
    quorum.start_upkeep();
    start_cleaners(replicas.clone());
    start_moves(&replicas);
    Ok(Server {
        runtime,
        listening,
        identity,
        acceptor,
        replicas,
        quorum,
        groups,
        image,
        meters,
        epoch,
        fatal,
    })
}

/// The data directories, and the metadata in them.
struct Opened {
    logs: LogManager,
    image: ImageHandle,
    quorum: SingleQuorum,
}

/// Opens the data directories, formatted if they are new, then the metadata. Blocks.
fn open(config: &BrokerConfig, runtime: &Runtime) -> Result<Opened, StartError> {
    let options = ManagerOptions {
        dirs: config.directories.log_dirs.clone(),
        metadata_dir: Some(config.directories.metadata_dir.clone()),
        node_id: config.node_id,
        unformatted: Unformatted::FormatAs {
            cluster_id: runtime.rng.uuid().to_string(),
        },
    };
    let logs = LogManager::open(runtime, options)?;
    let now = runtime.clock.wall();
    let (log, _recovered) =
        logs.open_metadata_log(quorum::log_config(&config.metadata_log), now)?;
    let image = ImageHandle::new(MetadataImage::default());
    let directory = logs.metadata_directory().clone();
    let quorum = SingleQuorum::open(
        runtime.clone(),
        log,
        directory,
        config.node_id,
        image.clone(),
        |formatted| controller::first_records(formatted, config),
        &config.metadata_log,
    )?;
    Ok(Opened {
        logs,
        image,
        quorum,
    })
}

async fn bind(config: &BrokerConfig, runtime: &Runtime) -> Result<Vec<Bound>, StartError> {
    let mut bound: Vec<Bound> = Vec::new();
    for listener in &config.listeners.bound {
        let host = listener.host.as_deref().unwrap_or("");
        let refused = |error| StartError::Listen {
            name: listener.name.clone(),
            address: format!("{host}:{}", listener.port),
            error,
        };
        let socket = runtime
            .net
            .bind(host, listener.port)
            .await
            .map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        bound.push((listener.name.as_str().into(), socket, address));
    }
    Ok(bound)
}

fn registration(
    config: &BrokerConfig,
    runtime: &Runtime,
    listening: &[(String, SocketAddr)],
    replicas: &Replicas,
) -> Registration {
    let endpoints = config.listeners.advertised.iter().map(|advertised| {
        let bound = listening.iter().find(|(name, _)| *name == advertised.name);
        let bound_port = bound.map_or(0, |(_, address)| address.port());
        EndpointImage {
            listener: advertised.name.clone(),
            host: advertised.host.clone().unwrap_or_else(host_name),
            port: if advertised.port == 0 {
                bound_port
            } else {
                advertised.port
            },
            security: advertised.protocol.code(),
        }
    });
    Registration {
        id: config.node_id,
        incarnation: runtime.rng.uuid(),
        endpoints: endpoints.collect(),
        features: SUPPORTED_FEATURES.to_vec(),
        rack: config.rack.clone(),
        directories: replicas.directory_ids(),
    }
}

/// What the machine calls itself, for listeners on every address.
fn host_name() -> String {
    let name = rustix::system::uname();
    match name.nodename().to_str() {
        Ok(name) if !name.is_empty() => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}

fn limits(config: &BrokerConfig) -> Limits {
    let net = &config.net;
    let memory = net.queued_request_bytes_max.unwrap_or(REQUEST_MEMORY_BYTES);
    Limits {
        frame_bytes_max: net.request_bytes_max as usize,
        request_memory_bytes: usize::try_from(memory).unwrap_or(usize::MAX),
        idle_max: net
            .connection_idle_ms_max
            .map_or(Duration::MAX, Duration::from_millis),
        connections: connection_limits(config),
    }
}

fn connection_limits(config: &BrokerConfig) -> ConnectionLimits {
    let net = &config.net;
    let listeners = &config.listeners;
    // The largest number is how Kafka writes "no limit".
    let limit = |count: u32| (count < i32::MAX as u32).then_some(count);
    let of_listener = net.of_listeners.iter().map(|(name, limits)| {
        let limits = ListenerLimits {
            count_max: limits.count_max.and_then(limit),
            rate_max: limits.rate_max.and_then(limit),
        };
        (name.clone(), limits)
    });
    let overrides = net.connections_per_ip_overrides.iter();
    ConnectionLimits {
        all: ListenerLimits {
            count_max: limit(net.connections_max),
            rate_max: limit(net.connection_creation_rate_max),
        },
        of_listener: of_listener.collect(),
        // With one listener there is nobody else to be closed for it.
        protected: (listeners.bound.len() > 1).then(|| listeners.inter_broker.clone()),
        per_ip_max: limit(net.connections_per_ip_max),
        per_ip_overrides: overrides.map(|(ip, count)| (*ip, *count)).collect(),
    }
}

/// Tells the sockets whenever other limits are in force.
struct Doorkeeper {
    live: Arc<LiveConfig>,
    admission: Arc<Admission>,
}

impl MetadataListener for Doorkeeper {
    fn on_change(&self, delta: &Delta, _: &MetadataImage) {
        if delta.broker_configs_changed {
            let live = self.live.load();
            self.admission.set_limits(connection_limits(&live.config));
        }
    }
}

/// The APIs as what stands behind the sockets.
struct Front(Api);

impl Service for Front {
    fn call(&self, peer: &Peer, frame: Bytes, reply: &mut Reply) -> Served {
        match self.0.call(peer.addr, &peer.listener, frame, reply) {
            Outcome::Done => Served::Done,
            Outcome::Later(answer) => Served::Later(Box::pin(async move {
                answer.await.map_err(|refusal| CloseReason::new(&refusal))
            })),
            Outcome::Close(refusal) => Served::Close(CloseReason::new(&refusal)),
        }
    }
}
