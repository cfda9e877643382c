//! A replica that is moved between two log directories, there and back, while it is written. The broker is
//! stopped at any operation on the disk, keeps what a disk may keep, and starts again: every record that was
//! acknowledged is there, the partition can be written, and the move ends.
//!
//! `OTTLA_POINTS=ALL` stops at every operation instead of a sample.

use crate::common::client::{Client, Read, batch};
use crate::common::crash::{self, all_points, observe};
use crate::common::world;
use ottla::config::BrokerConfig;
use ottla::runtime::Clock;
use ottla::sim::{Keep, Operation, SimClock, SimDisk};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use turmoil::net::TcpStream;

const TOPIC: &str = "orders";
const DIRS: [&str; 2] = ["/data/a", "/data/b"];
/// How many operations are stopped at, unless all are asked for.
const SAMPLE: usize = 100;

type Connected = Client<TcpStream>;
/// What was acknowledged.
type Written = Vec<Read>;

/// With what was acknowledged.
type Point = crash::Point<Written>;

fn config() -> BrokerConfig {
    world::config_with(&[
        ("log.dirs", "/data/a,/data/b"),
        // Slow enough that the partition is written on its way.
        ("replica.alter.log.dirs.io.max.bytes.per.second", "200000"),
    ])
}

/// Where the partition lies under its own name.
fn homes(disk: &SimDisk) -> Vec<&'static str> {
    let files: BTreeSet<_> = disk.files().into_iter().map(|(path, _)| path).collect();
    let lies_in = |dir: &&str| {
        let own = Path::new(dir).join("orders-0");
        files.iter().any(|path| path.starts_with(&own))
    };
    DIRS.into_iter().filter(lies_in).collect()
}

async fn write(client: &mut Connected, clock: &SimClock, value: String) -> io::Result<Read> {
    let value = value.into_bytes();
    let batch = batch(clock.wall(), &[&value]);
    let offset = client.produce(TOPIC, 0, -1, batch).await?.unwrap();
    Ok(Read { offset, value })
}

async fn is_moving(client: &mut Connected) -> io::Result<bool> {
    let results = client.log_dirs().await?;
    let topics = results.iter().flat_map(|result| &result.topics);
    let mut partitions = topics.flat_map(|topic| &topic.partitions);
    Ok(partitions.any(|partition| partition.is_future_key))
}

/// Writes, moves the partition to the other directory and back, and writes meanwhile.
async fn workload(
    disk: SimDisk,
    clock: Arc<SimClock>,
    written: Arc<Mutex<Written>>,
) -> io::Result<()> {
    let mut client = world::connect().await;
    // Each record is on the disk before it is acknowledged.
    let configs = [("flush.messages", "1"), ("internal.segment.bytes", "1000")];
    client.create_topic(TOPIC, 1, &configs).await?.unwrap();
    for round in 0..2 {
        for n in 0..8 {
            let value = format!("{round}/{n}/{}", "x".repeat(250));
            let read = write(&mut client, &clock, value).await?;
            written.lock().push(read);
        }
        let from = homes(&disk)[0];
        let to = DIRS.into_iter().find(|dir| *dir != from).unwrap();
        let moved = client.move_replica(TOPIC, 0, Path::new(to)).await?;
        moved.unwrap();
        let mut meanwhile = 0;
        while is_moving(&mut client).await? {
            let value = format!("{round}/meanwhile {meanwhile}");
            let read = write(&mut client, &clock, value).await?;
            written.lock().push(read);
            meanwhile += 1;
        }
        assert!(meanwhile > 0, "the partition is written on its way");
        assert_eq!(homes(&disk), [to]);
    }
    Ok(())
}

/// Every moment of the workload at which the disk changes.
fn points(prepare: impl Fn(&SimDisk)) -> (Vec<Point>, Arc<SimClock>) {
    let clock = SimClock::simulated();
    let disk = SimDisk::new(clock.clone());
    prepare(&disk);
    let written: Arc<Mutex<Written>> = Arc::default();
    let points = observe(&disk, &written);
    let scene = {
        let (disk, clock) = (disk.clone(), clock.clone());
        async move { Ok(workload(disk, clock, written).await?) }
    };
    let clients = vec![("client".to_owned(), scene)];
    world::run_with(config, 1, &disk, &clock, clients).unwrap();
    disk.kill();
    drop(disk);
    let points = std::mem::take(&mut *points.lock());
    // Before the topic there is nothing to lose.
    let begun = points.iter().position(|point| !point.known.is_empty());
    (points.into_iter().skip(begun.unwrap()).collect(), clock)
}

fn sample(points: &[Point]) -> impl Iterator<Item = &Point> {
    let step = points.len().div_ceil(SAMPLE);
    points.iter().step_by(if all_points() { 1 } else { step })
}

/// Starts on what a crash leaves; what is wrong then, if anything is.
fn violation(point: &Point, clock: &Arc<SimClock>, keep: Keep) -> Option<String> {
    let disk = point.disk.crash(keep, 1);
    let found: Arc<Mutex<Option<[Written; 2]>>> = Arc::default();
    let reader = {
        let (clock, found) = (clock.clone(), found.clone());
        async move {
            let mut client = world::connect().await;
            let before = client.read_all(TOPIC, 0, 0).await?;
            let before = before.map_err(|refused| format!("cannot be read: {refused:?}"))?;
            let more = write(&mut client, &clock, "after".to_owned()).await?;
            while is_moving(&mut client).await? {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let mut after = client.read_all(TOPIC, 0, 0).await?.unwrap();
            assert_eq!(after.pop(), Some(more));
            *found.lock() = Some([before, after]);
            Ok(())
        }
    };
    let clients = vec![("reader".to_owned(), reader)];
    if let Err(error) = world::run_with(config, 2, &disk, clock, clients) {
        return Some(error);
    }
    let [before, after] = found.lock().take().expect("the reader is done");
    let written = &point.known;
    if before.len() > written.len() + 1 || !before.starts_with(written) {
        return Some(format!("{} of {} records", before.len(), written.len()));
    }
    if after != before {
        return Some("after the move the records are others".to_owned());
    }
    let homes = homes(&disk);
    (homes.len() != 1).then(|| format!("the partition lies in {homes:?}"))
}

#[test]
fn a_broker_that_dies_at_any_operation_of_a_move_loses_nothing_and_ends_the_move() {
    let (points, clock) = points(|_| {});
    for keep in [Keep::Written, Keep::Synced, Keep::Names, Keep::Torn] {
        for point in sample(&points) {
            let found = violation(point, &clock, keep);
            assert_eq!(found, None, "{point}, {keep:?}");
        }
    }
}

#[test]
fn a_move_that_leaves_out_its_syncs_is_found() {
    let (points, clock) = points(|disk| disk.lie(Operation::SyncDir, "/data/"));
    let is_found = |point: &Point| violation(point, &clock, Keep::Synced).is_some();
    assert!(points.iter().step_by(5).any(is_found));
}
