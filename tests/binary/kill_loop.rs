//! The real binary under load on the machine's own disk, killed with SIGKILL at moments that a seed draws,
//! started again and held to what it has acknowledged.
//!
//! `OTTLA_KILLS=N` kills it so often, `OTTLA_SEEDS=FIRST..END` tries other seeds, and
//! `OTTLA_KILL_DIR=DIR` keeps the data of each seed there instead of in a directory for temporary files.

#![expect(
    clippy::disallowed_methods,
    reason = "it looks at a broker from outside"
)]

use crate::common::client::{Client, Refused, idempotent_batch};
use crate::common::crash::{seeds, shown};
use crate::common::history::{Found, History, Place, Promise, Unanswered, Value};
use crate::common::process::{Broker, ottla};
use crate::common::{names_in, until};
use ottla::protocol::ErrorCode;
use ottla::runtime::os;
use ottla::sim::SimRng;
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 2;
const PRODUCERS: u32 = 6;
const GROUPS: u32 = 2;
const KILLS: u32 = 4;
/// A load that has begun lasts so long before the kill, in milliseconds.
const LOAD_MS: std::ops::Range<u64> = 50..700;

fn start(dir: &Path) -> Broker {
    // Checkpoints and snapshots are written all the time, so that kills meet them.
    let settings = [
        "log.flush.offset.checkpoint.interval.ms=50",
        "log.index.interval.bytes=1000",
    ];
    Broker::start(dir, &settings)
}

/// What outlives the broker: its directory, and what its clients know.
struct Scene {
    dir: PathBuf,
    rng: SimRng,
    history: Arc<Mutex<History>>,
    producers: Vec<Arc<Mutex<Producer>>>,
    found: Found,
}

#[derive(Default)]
struct Producer {
    id: Option<(i64, i16)>,
    next_sequence: i32,
}

impl Scene {
    async fn new(dir: PathBuf, seed: u64) -> (Scene, Broker) {
        let broker = start(&dir);
        let mut client = broker.connect().await;
        // A segment ten times a second: rolls, snapshots and syncs lie beside every kill.
        let configs = [("segment.ms", "100")];
        client.make_topic(TOPIC, PARTITIONS, &configs).await;
        let mut history = History::default();
        history.topics.insert(TOPIC.to_owned());
        let scene = Scene {
            dir,
            rng: SimRng::new(seed),
            history: Arc::new(Mutex::new(history)),
            producers: (0..PRODUCERS).map(|_| Arc::default()).collect(),
            found: Found::default(),
        };
        (scene, broker)
    }

    /// Loads the broker for a while, and kills it.
    async fn load_and_kill(&self, broker: Broker) {
        let mut clients = JoinSet::new();
        for (id, producer) in (0..).zip(&self.producers) {
            let (client, history) = (broker.connect().await, self.history.clone());
            clients.spawn(produce(client, history, producer.clone(), id));
        }
        for group in 0..GROUPS {
            let (client, history) = (broker.connect().await, self.history.clone());
            clients.spawn(commit(client, history, format!("group-{group}")));
        }
        let (records, commits) = self.acknowledged();
        until("an acknowledged record and commit", async || {
            let now = self.acknowledged();
            now.0 > records && now.1 > commits
        })
        .await;
        let ms = LOAD_MS.start + self.rng.below(LOAD_MS.end - LOAD_MS.start);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        broker.kill();
        while let Some(ended) = clients.join_next().await {
            ended
                .unwrap()
                .expect_err("a client goes on until the broker is gone");
        }
    }

    /// Reads what is new; every promise that is broken.
    async fn check(&mut self, broker: &Broker) -> Vec<String> {
        let mut client = broker.connect().await;
        self.found.topics.insert(TOPIC.to_owned());
        for partition in 0..PARTITIONS {
            let place = (TOPIC.to_owned(), partition);
            let known = self.found.records.entry(place).or_default();
            let next = i64::try_from(known.len()).unwrap();
            match client.read_all(TOPIC, partition, next).await.unwrap() {
                Ok(more) => known.extend(more),
                Err(refused) => return vec![format!("{TOPIC}-{partition}: {refused:?}")],
            }
        }
        let history = self.history.lock().clone();
        for key in history.commits_attempted.keys() {
            let (group, (topic, partition)) = key;
            let committed = loop {
                match client.committed(group, topic, *partition).await.unwrap() {
                    Ok(committed) => break committed,
                    Err(refused) => wait_for(&refused).await,
                }
            };
            self.found.committed.insert(key.clone(), committed);
        }
        let kept = |_: &str| Promise::Acknowledged;
        history.violations(&self.found, kept, Promise::Acknowledged)
    }

    /// How many records were acknowledged, and how many commits.
    fn acknowledged(&self) -> (usize, i64) {
        let history = self.history.lock();
        let records = history.acknowledged.values().map(imbl::OrdMap::len);
        let commits = history.commits_acknowledged.values();
        (records.sum(), commits.sum())
    }

    fn summary(&self) -> String {
        let (records, commits) = self.acknowledged();
        let found: usize = self.found.records.values().map(Vec::len).sum();
        format!("{records} records and {commits} commits acknowledged, {found} records found")
    }
}

/// Pauses if `refused` is about a coordinator that is not there yet.
async fn wait_for(refused: &Refused) {
    use ErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let later = [
        CoordinatorLoadInProgress,
        CoordinatorNotAvailable,
        NotCoordinator,
    ];
    assert!(later.contains(&refused.0), "{refused:?}");
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Writes without a pause, beginning with what was not answered before the kill. Ends with the broker.
async fn produce(
    mut client: Client<TcpStream>,
    history: Arc<Mutex<History>>,
    producer: Arc<Mutex<Producer>>,
    id: u32,
) -> io::Result<()> {
    let known = producer.lock().id;
    let stamp = match known {
        Some(stamp) => stamp,
        None => client.producer_id().await?.unwrap(),
    };
    producer.lock().id = Some(stamp);
    let place: Place = (TOPIC.to_owned(), i32::try_from(id).unwrap() % PARTITIONS);
    let clock = os::runtime().clock;
    loop {
        let unanswered = history.lock().unanswered.get(&id).cloned();
        let next = unanswered.unwrap_or_else(|| {
            let base_sequence = producer.lock().next_sequence;
            let values: Vec<Value> = (base_sequence..base_sequence + 1 + base_sequence % 7)
                .map(|n| Value::from(format!("{id} {n} {}", "v".repeat(200)).as_bytes()))
                .collect();
            let mut history = history.lock();
            history.attempt(&place, &values);
            let next = Unanswered {
                place: place.clone(),
                producer: stamp,
                base_sequence,
                values,
            };
            history.unanswered.insert(id, next.clone());
            next
        });
        let batch = idempotent_batch(clock.wall(), stamp, next.base_sequence, &next.values);
        let base = client.produce(&place.0, place.1, -1, batch).await?;
        let base = base.expect("an idempotent batch is taken, also the second time");
        let mut history = history.lock();
        history.acknowledge(&place, base, &next.values);
        history.unanswered.remove(&id);
        producer.lock().next_sequence += i32::try_from(next.values.len()).unwrap();
    }
}

/// Commits 1, 2, 3 … without a pause. Ends with the broker.
async fn commit(
    mut client: Client<TcpStream>,
    history: Arc<Mutex<History>>,
    group: String,
) -> io::Result<()> {
    while let Err(refused) = client.find_coordinator(&group).await? {
        wait_for(&refused).await;
    }
    let key = (group.clone(), (TOPIC.to_owned(), 0));
    loop {
        let next = {
            let mut history = history.lock();
            let attempted = history.commits_attempted.entry(key.clone()).or_default();
            let next = attempted.last().map_or(1, |last| last + 1);
            attempted.insert(next);
            next
        };
        match client.commit(&group, TOPIC, 0, next).await? {
            Ok(()) => {
                (history.lock().commits_acknowledged).insert(key.clone(), next);
            }
            Err(refused) => wait_for(&refused).await,
        }
    }
}

/// The directories of the data of all partitions whose name begins with `name`.
fn partitions(dir: &Path, name: &str) -> Vec<PathBuf> {
    let names = names_in(dir).into_iter();
    let named = names.filter(|it| it.starts_with(name));
    named.map(|it| dir.join(it)).collect()
}

#[tokio::test]
async fn a_broker_killed_under_load_keeps_all_that_it_acknowledged_once_and_in_order() {
    let kills = std::env::var("OTTLA_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    for seed in seeds(1..2) {
        let home = tempfile::tempdir().unwrap();
        let kept = std::env::var("OTTLA_KILL_DIR").map(PathBuf::from);
        let home = kept.unwrap_or(home.path().to_owned());
        let dir = home.join(format!("seed-{seed}"));
        let (mut scene, mut broker) = Scene::new(dir, seed).await;
        for kill in 1..=kills {
            scene.load_and_kill(broker).await;
            broker = start(&scene.dir);
            let found = scene.check(&broker).await;
            assert!(
                found.is_empty(),
                "seed {seed}, kill {kill}: {}",
                shown(&found)
            );
        }
        broker.stop();
        let files = partitions(&scene.dir, "");
        let files = files.iter().filter(|path| path.is_dir());
        let dumped = ottla()
            .args(["dump", "--batches"])
            .args(files)
            .stdout(Stdio::null())
            .status();
        assert!(
            dumped.unwrap().success(),
            "every file can be read to its end"
        );
        // All from the beginning, after the clean stop.
        scene.found = Found::default();
        let broker = start(&scene.dir);
        let found = scene.check(&broker).await;
        assert!(found.is_empty(), "seed {seed}, stopped: {}", shown(&found));
        println!("seed {seed}, {kills} kills: {}", scene.summary());
        assert!(
            scene
                .found
                .records
                .values()
                .all(|records| records.len() > 100)
        );
        assert!(!scene.history.lock().commits_acknowledged.is_empty());
    }
}

/// Kills a broker, cuts the end off the largest segment of `name`'s partitions, and checks what is left.
async fn without_its_end(name: &str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let (mut scene, broker) = Scene::new(home.path().join("data"), 1).await;
    scene.load_and_kill(broker).await;
    let logs = partitions(&scene.dir, name).into_iter();
    let logs = logs.flat_map(|dir| partitions(&dir, "0"));
    let logs = logs.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    let largest = logs
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let len = largest.metadata().unwrap().len();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(largest)
        .unwrap();
    file.set_len(len / 2).unwrap();
    let broker = start(&scene.dir);
    scene.check(&broker).await
}

#[tokio::test]
async fn a_broker_that_loses_records_in_a_kill_is_found() {
    let found = without_its_end(TOPIC).await;
    assert!(
        found.iter().any(|it| it.starts_with("lost write")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_broker_that_loses_committed_offsets_in_a_kill_is_found() {
    let found = without_its_end("__consumer_offsets").await;
    assert!(
        found.iter().any(|it| it.starts_with("offset went back")),
        "{found:?}"
    );
}
