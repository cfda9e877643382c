//! One broker and its clients in one simulated thread.

use super::client::{Client, Refused, batch, idempotent_batch};
use super::history::{Found, History, Place, Unanswered, Value};
use ottla::Server;
use ottla::config::{BrokerConfig, Properties};
use ottla::protocol::ErrorCode;
use ottla::runtime::Clock;
use ottla::sim::{self, SimClock, SimDisk, SimRng};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use turmoil::net::TcpStream;

pub(crate) const PORT: u16 = 9092;
pub(crate) const DATA: &str = "/data";
pub(crate) const GROUP: &str = "readers";

/// Topics of the workload: the first syncs every append before it is answered.
pub(crate) const SYNCED: &str = "synced";
pub(crate) const UNSYNCED: &str = "unsynced";
const PARTITIONS: i32 = 2;

/// How often a client asks again for what is not there yet.
const TRIES: u32 = 100;

/// Simulated time after which a run is taken for stuck.
const RUN_MAX: Duration = Duration::from_secs(120);

/// A small broker: few partitions of internal topics, frequent checkpoints, metadata that is often cut behind
/// snapshots.
pub(crate) fn config() -> BrokerConfig {
    config_with(&[])
}

/// The same with some settings more, or others.
pub(crate) fn config_with(settings: &[(&str, &str)]) -> BrokerConfig {
    let mut properties = Properties::embedded();
    for (key, value) in [
        ("node.id", "1"),
        ("listeners", "PLAINTEXT://0.0.0.0:9092"),
        ("advertised.listeners", "PLAINTEXT://broker:9092"),
        ("log.dirs", DATA),
        ("offsets.topic.num.partitions", "2"),
        ("log.flush.offset.checkpoint.interval.ms", "1000"),
        ("log.flush.start.offset.checkpoint.interval.ms", "1000"),
        ("auto.create.topics.enable", "false"),
        ("metadata.log.max.record.bytes.between.snapshots", "1000"),
        ("metadata.max.retention.bytes", "4000"),
        ("internal.metadata.log.segment.bytes", "2000"),
    ]
    .iter()
    .chain(settings)
    {
        properties.set(*key, *value);
    }
    BrokerConfig::from_properties(&properties)
        .expect("a configuration that works")
        .0
}

/// Runs a broker on `disk` until `clients` are done or the disk is dead; how long that took.
/// Errors of the broker's start are the caller's to judge.
pub(crate) fn run<F>(
    seed: u64,
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    clients: Vec<(String, F)>,
) -> Result<Duration, String>
where
    F: Future<Output = turmoil::Result> + 'static,
{
    run_with(config, seed, disk, clock, clients)
}

/// The same with another configuration.
pub(crate) fn run_with<F>(
    config: fn() -> BrokerConfig,
    seed: u64,
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    clients: Vec<(String, F)>,
) -> Result<Duration, String>
where
    F: Future<Output = turmoil::Result> + 'static,
{
    let mut world = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(RUN_MAX)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(0))
        .max_message_latency(Duration::from_millis(3))
        .tcp_capacity(1024)
        .build();
    let failure = Rc::new(RefCell::new(None));
    {
        let (disk, clock, failure) = (disk.clone(), clock.clone(), failure.clone());
        world.host("broker", move || {
            let runtime = sim::runtime(seed, &disk, &clock);
            let (disk, failure) = (disk.clone(), failure.clone());
            async move {
                match Server::start(config(), runtime).await {
                    Ok(server) => {
                        disk.died().await;
                        server.kill().await;
                    }
                    Err(error) if disk.is_dead() => drop(error),
                    Err(error) => *failure.borrow_mut() = Some(error.to_string()),
                }
                Ok(())
            }
        });
    }
    for (name, client) in clients {
        world.client(name, client);
    }
    loop {
        let done = world.step().map_err(|error| error.to_string())?;
        if let Some(error) = failure.borrow_mut().take() {
            return Err(format!("the broker did not start: {error}"));
        }
        if done || disk.is_dead() {
            break;
        }
    }
    let took = world.elapsed();
    drop(world);
    // The next run starts a clock of its own.
    clock.advance(i64::try_from(took.as_millis()).expect("a run is short"));
    Ok(took)
}

/// Connects as soon as the broker listens.
pub(crate) async fn connect() -> Client<TcpStream> {
    loop {
        match TcpStream::connect(("broker", PORT)).await {
            Ok(stream) => return Client::over(stream),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// What one run of the workload needs.
#[derive(Clone)]
pub(crate) struct Scene {
    pub seed: u64,
    pub clock: Arc<SimClock>,
    pub history: Arc<Mutex<History>>,
    /// Requests of each client.
    pub requests: u32,
}

type Ended = std::pin::Pin<Box<dyn Future<Output = turmoil::Result>>>;

/// Creates topics, writes to them with and without idempotence, reads, and commits offsets.
pub(crate) fn workload(scene: &Scene) -> Vec<(String, Ended)> {
    let mut clients: Vec<(String, Ended)> = Vec::new();
    clients.push(("creator".to_owned(), Box::pin(ends(create(scene.clone())))));
    for id in 0..2 {
        let name = format!("idempotent-{id}");
        clients.push((name, Box::pin(ends(produce_idempotent(scene.clone(), id)))));
    }
    clients.push((
        "plain".to_owned(),
        Box::pin(ends(produce_plain(scene.clone()))),
    ));
    clients.push((
        "reader".to_owned(),
        Box::pin(ends(read_and_commit(scene.clone()))),
    ));
    clients
}

/// A connection that breaks ends a client: it was told nothing more.
async fn ends(client: impl Future<Output = io::Result<()>>) -> turmoil::Result {
    match client.await {
        Ok(()) => Ok(()),
        Err(error) if is_broken_connection(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_broken_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

impl Scene {
    fn rng(&self, client: u64) -> SimRng {
        SimRng::new(self.seed ^ client.wrapping_mul(0x0001_0000_01b3))
    }

    /// Waits as long as a client may think.
    async fn think(&self, rng: &SimRng) {
        tokio::time::sleep(Duration::from_millis(rng.below(20))).await;
    }
}

fn place(rng: &SimRng) -> Place {
    let topic = if rng.chance(1, 2) { SYNCED } else { UNSYNCED };
    (
        topic.to_owned(),
        i32::try_from(rng.below(2)).expect("a small number"),
    )
}

fn values(rng: &SimRng, client: &str, request: u32) -> Vec<Value> {
    let count = 1 + rng.below(3);
    let padding = "x".repeat(rng.index(1500));
    (0..count)
        .map(|n| {
            format!("{client}/{request}/{n}/{padding}")
                .into_bytes()
                .into()
        })
        .collect()
}

/// Whether the topic is not there yet, or not to be written to just now: try again.
fn comes_later(refused: &Refused) -> bool {
    matches!(
        refused.0,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotCoordinator
    )
}

async fn create(scene: Scene) -> io::Result<()> {
    let rng = scene.rng(1);
    let mut client = connect().await;
    for (topic, configs) in [(SYNCED, &[("flush.messages", "1")][..]), (UNSYNCED, &[])] {
        if client
            .create_topic(topic, PARTITIONS, configs)
            .await?
            .is_ok()
        {
            scene.history.lock().topics.insert(topic.to_owned());
        }
    }
    for n in 0..scene.requests / 4 {
        scene.think(&rng).await;
        let topic = format!("more-{n}");
        if client.create_topic(&topic, 1, &[]).await?.is_ok() {
            scene.history.lock().topics.insert(topic);
        }
    }
    Ok(())
}

async fn produce_plain(scene: Scene) -> io::Result<()> {
    let rng = scene.rng(2);
    let mut client = connect().await;
    for request in 0..scene.requests {
        let (place, values) = (place(&rng), values(&rng, "plain", request));
        let acks = if rng.chance(1, 2) { 1 } else { -1 };
        scene.history.lock().attempt(&place, &values);
        for _ in 0..TRIES {
            let batch = batch(scene.clock.wall(), &values);
            match client.produce(&place.0, place.1, acks, batch).await? {
                Ok(base) => {
                    scene.history.lock().acknowledge(&place, base, &values);
                    break;
                }
                Err(refused) if comes_later(&refused) => scene.think(&rng).await,
                Err(Refused(ErrorCode::KafkaStorageError)) => break,
                Err(refused) => panic!("a plain batch was refused: {refused:?}"),
            }
        }
        scene.think(&rng).await;
    }
    Ok(())
}

async fn produce_idempotent(scene: Scene, id: u32) -> io::Result<()> {
    let rng = scene.rng(3 + u64::from(id));
    let mut client = connect().await;
    let producer = match client.producer_id().await? {
        Ok(producer) => producer,
        Err(refused) => panic!("no producer id: {refused:?}"),
    };
    let place = place(&rng);
    let mut base_sequence = 0;
    for request in 0..scene.requests {
        let values = values(&rng, &format!("idempotent-{id}"), request);
        {
            let mut history = scene.history.lock();
            history.attempt(&place, &values);
            let unanswered = Unanswered {
                place: place.clone(),
                producer,
                base_sequence,
                values: values.clone(),
            };
            history.unanswered.insert(id, unanswered);
        }
        let mut answered = false;
        for _ in 0..TRIES {
            let batch = idempotent_batch(scene.clock.wall(), producer, base_sequence, &values);
            match client.produce(&place.0, place.1, -1, batch).await? {
                Ok(base) => {
                    let mut history = scene.history.lock();
                    history.acknowledge(&place, base, &values);
                    history.unanswered.remove(&id);
                    answered = true;
                    break;
                }
                Err(refused) if comes_later(&refused) => scene.think(&rng).await,
                Err(Refused(ErrorCode::KafkaStorageError)) => break,
                Err(refused) => panic!("an idempotent batch was refused: {refused:?}"),
            }
        }
        if !answered {
            break;
        }
        base_sequence += i32::try_from(values.len()).expect("a few values");
        scene.think(&rng).await;
    }
    Ok(())
}

async fn read_and_commit(scene: Scene) -> io::Result<()> {
    let rng = scene.rng(7);
    let mut client = connect().await;
    for _ in 0..TRIES {
        match client.find_coordinator(GROUP).await? {
            Ok(()) => break,
            Err(refused) if comes_later(&refused) => scene.think(&rng).await,
            Err(refused) => panic!("no coordinator: {refused:?}"),
        }
    }
    let mut next = std::collections::BTreeMap::new();
    for _ in 0..scene.requests {
        scene.think(&rng).await;
        let place = place(&rng);
        let offset = next.entry(place.clone()).or_insert(0);
        let Ok((records, _)) = client.fetch(&place.0, place.1, *offset).await? else {
            continue;
        };
        scene.history.lock().see(&place, &records);
        let Some(last) = records.last() else {
            continue;
        };
        *offset = last.offset + 1;
        let key = (GROUP.to_owned(), place.clone());
        {
            let mut history = scene.history.lock();
            history
                .commits_attempted
                .entry(key.clone())
                .or_default()
                .insert(*offset);
        }
        if client
            .commit(GROUP, &place.0, place.1, *offset)
            .await?
            .is_ok()
        {
            scene
                .history
                .lock()
                .commits_acknowledged
                .insert(key, *offset);
        }
    }
    Ok(())
}

/// Sends again what got no answer, as an idempotent producer does after a restart. The broker must
/// take it, or know it already.
pub(crate) async fn repeat_unanswered(
    history: &Mutex<History>,
    clock: &SimClock,
) -> io::Result<()> {
    let unanswered = history.lock().unanswered.clone();
    let mut client = connect().await;
    for (id, it) in unanswered {
        let batch = idempotent_batch(clock.wall(), it.producer, it.base_sequence, &it.values);
        match client.produce(&it.place.0, it.place.1, -1, batch).await? {
            Ok(base) => {
                let mut history = history.lock();
                history.acknowledge(&it.place, base, &it.values);
                history.unanswered.remove(&id);
            }
            // The topic had not been created yet.
            Err(Refused(ErrorCode::UnknownTopicOrPartition)) => {}
            Err(refused) => panic!("a repeated batch was refused: {refused:?}"),
        }
    }
    Ok(())
}

/// Reads all that the broker has.
pub(crate) async fn find(history: &History) -> io::Result<Found> {
    let mut client = connect().await;
    let mut found = Found::default();
    let written: BTreeSet<String> = history
        .attempted
        .keys()
        .map(|place| place.0.clone())
        .collect();
    for topic in history.topics.union(&written) {
        let mut partition = 0;
        while let Ok(records) = client.read_all(topic, partition, 0).await? {
            found.topics.insert(topic.clone());
            found.records.insert((topic.clone(), partition), records);
            partition += 1;
        }
    }
    for (group, place) in history.commits_attempted.keys() {
        // Nobody coordinates the group if its topic was never made.
        let mut committed = -1;
        for _ in 0..TRIES {
            match client.committed(group, &place.0, place.1).await? {
                Ok(offset) => {
                    committed = offset;
                    break;
                }
                Err(refused) if comes_later(&refused) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(refused) => panic!("committed offsets cannot be read: {refused:?}"),
            }
        }
        found
            .committed
            .insert((group.clone(), place.clone()), committed);
    }
    Ok(found)
}
