//! Where `flush.messages` asks for it, an acknowledgement means that the batch is on disk.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed"
)]

use bytes::Bytes;
use ottla::log::{Log, LogConfig, Opening};
use ottla::record::{BatchBuilder, BatchOptions, NewRecord, ProducerStamp};
use ottla::replica::{Durability, Partition, PartitionSettings, ProduceFrom, Writer};
use ottla::runtime::{Disk, Entry, File, Lock, Metadata, Open, Runtime, Space};
use ottla::sim::{self, Keep, SimClock, SimDisk};
use ottla::types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition, Uuid,
};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const DIR: &str = "/data/orders-0";

fn opening() -> Opening {
    let config = LogConfig {
        flush_messages: 1,
        ..LogConfig::default()
    };
    let partition = TopicPartition::new(TopicName::parse("orders").unwrap(), 0);
    Opening::new(partition, config, Timestamp(1_000))
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::new(SimClock::manual());
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn runtime(disk: &SimDisk) -> Runtime {
    sim::runtime(1, disk, &SimClock::manual())
}

/// A partition of a topic with `flush.messages=1` that this broker leads.
fn partition(runtime: &Runtime) -> Arc<Partition> {
    let opening = opening();
    let settings = PartitionSettings {
        name: opening.partition.clone(),
        topic_id: Uuid::from_random([7; 16]).unwrap(),
        config: opening.config.clone(),
    };
    let (log, _) = Log::open(runtime, Path::new(DIR), opening).unwrap();
    let partition = Partition::new(settings, log, runtime);
    partition.lead(LeaderEpoch(0));
    Arc::new(partition)
}

fn produce(partition: &Arc<Partition>, sequence: i32) -> (Offset, Durability) {
    let from = ProduceFrom {
        writer: Writer::Client,
        now: Timestamp(1_000),
        knows_zstd: true,
    };
    let produced = partition.produce(&batch(sequence), from).unwrap();
    (produced.base, produced.durability)
}

fn batch(base_sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer: ProducerStamp {
            id: ProducerId(4),
            epoch: ProducerEpoch(0),
            base_sequence,
        },
        ..BatchOptions::default()
    });
    let record = NewRecord {
        value: Some(b"value"),
        ..NewRecord::default()
    };
    builder.push(Timestamp(1_000), record);
    builder.build().unwrap().to_bytes()
}

/// The log's end after a power loss.
fn end_after_power_loss(disk: &SimDisk) -> Offset {
    let disk = disk.snapshot().crash(Keep::Synced, 1);
    let (log, _) = Log::open(&runtime(&disk), Path::new(DIR), opening()).unwrap();
    log.log_end()
}

#[test]
fn a_batch_survives_a_power_loss_once_its_sync_is_done() {
    let disk = new_disk();
    let partition = partition(&runtime(&disk));
    assert_eq!(produce(&partition, 0), (Offset(0), Durability::NeedsFlush));
    assert_eq!(end_after_power_loss(&disk), Offset(0));
    partition.flush().unwrap();
    assert_eq!(end_after_power_loss(&disk), Offset(1));
}

#[test]
fn a_retry_waits_for_the_sync_that_the_first_try_waits_for() {
    let disk = new_disk();
    let partition = partition(&runtime(&disk));
    produce(&partition, 0);
    assert_eq!(produce(&partition, 0), (Offset(0), Durability::NeedsFlush));
    partition.flush().unwrap();
    assert_eq!(produce(&partition, 0), (Offset(0), Durability::AsWritten));
}

/// The second sync has only bytes to write; the first is still busy with the directory that both batches
/// need.
#[test]
fn a_sync_is_not_done_before_an_earlier_one_that_it_builds_on() {
    let disk = new_disk();
    let (reached, first_is_at_the_directory) = mpsc::channel();
    let slow = Arc::new(SlowDirectories {
        disk: disk.clone(),
        reached,
        go_on: AtomicBool::new(false),
    });
    let partition = partition(&Runtime {
        disk: slow.clone(),
        ..runtime(&disk)
    });
    produce(&partition, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| partition.flush().unwrap());
        first_is_at_the_directory.recv().unwrap();
        produce(&partition, 1);
        let second = threads.spawn(|| {
            partition.flush().unwrap();
            end_after_power_loss(&disk)
        });
        // Long enough for a sync that does not wait to be over.
        std::thread::sleep(Duration::from_millis(200));
        slow.go_on.store(true, Ordering::Release);
        assert_eq!(second.join().unwrap(), Offset(2));
    });
}

/// Waits at each directory sync until it may go on.
struct SlowDirectories {
    disk: SimDisk,
    reached: mpsc::Sender<()>,
    go_on: AtomicBool,
}

impl Disk for SlowDirectories {
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Nobody listens any more once the test has seen the first.
        let _ = self.reached.send(());
        while !self.go_on.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.disk.sync_dir(dir)
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        self.disk.open(path, how)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.disk.metadata(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.disk.space(dir)
    }
}
