//! Where `flush.messages` asks for it, a batch is on disk before it is acknowledged and before anybody reads it.

use crate::common::crash::new_disk;
use bytes::Bytes;
use ottla::coordinator::{Committed, ShardLog};
use ottla::log::{Log, LogConfig, Opening};
use ottla::node::PartitionShard;
use ottla::record::{BatchBuilder, BatchOptions, Batches, NewRecord, ProducerStamp, ValidBatch};
use ottla::replica::{
    Durability, FirstBatch, Isolation, Lookup, Partition, PartitionSettings, ProduceFrom, Read,
    ReadOutcome, Waiter, Writer,
};
use ottla::runtime::{Disk, Entry, File, Lock, Metadata, Open, Runtime, Space};
use ottla::sim::{self, Fault, Keep, Operation, SimClock, SimDisk};
use ottla::types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition, Uuid,
};
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const DIR: &str = "/data/orders-0";

fn opening(flush_messages: i64) -> Opening {
    let config = LogConfig {
        flush_messages,
        ..LogConfig::default()
    };
    let partition = TopicPartition::new(TopicName::parse("orders").unwrap(), 0);
    Opening::new(partition, config, Timestamp(1_000))
}

fn runtime(disk: &SimDisk) -> Runtime {
    sim::runtime(1, disk, &SimClock::manual())
}

/// A partition of a topic with `flush.messages=1` that this broker leads.
fn partition(runtime: &Runtime) -> Arc<Partition> {
    flushing_every(1, runtime)
}

fn flushing_every(flush_messages: i64, runtime: &Runtime) -> Arc<Partition> {
    let opening = opening(flush_messages);
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
    new_batch(base_sequence).to_bytes()
}

fn new_batch(base_sequence: i32) -> ValidBatch {
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
    builder.build().unwrap()
}

/// The offset after the last record that a consumer is given.
fn visible_end(partition: &Partition) -> Offset {
    let read = Read {
        from: Offset(0),
        bytes_max: 1_000_000,
        isolation: Isolation::ReadUncommitted,
        first: FirstBatch::Whole,
        last_fetched_epoch: -1,
    };
    let ReadOutcome::Records { slice, .. } = partition.read(&read).unwrap() else {
        panic!("nothing diverges");
    };
    let bytes = slice.map_or(Bytes::new(), |slice| slice.read().unwrap());
    let batches = Batches::of(bytes).map(|batch| batch.unwrap().header().next_offset());
    batches.last().unwrap_or(Offset(0))
}

/// The log's end after a power loss.
fn end_after_power_loss(disk: &SimDisk) -> Offset {
    let disk = disk.snapshot().crash(Keep::Synced, 1);
    let (log, _) = Log::open(&runtime(&disk), Path::new(DIR), opening(1)).unwrap();
    log.log_end()
}

const NEEDS_SYNC: Durability = Durability::NeedsSync(Offset(1));

#[tokio::test(start_paused = true)]
async fn a_batch_survives_a_power_loss_once_its_sync_is_done() {
    let disk = new_disk(&SimClock::manual());
    let partition = partition(&runtime(&disk));
    assert_eq!(produce(&partition, 0), (Offset(0), NEEDS_SYNC));
    assert_eq!(end_after_power_loss(&disk), Offset(0));
    partition.synced(Offset(1)).await.unwrap();
    assert_eq!(end_after_power_loss(&disk), Offset(1));
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_sync_that_the_first_try_waits_for() {
    let disk = new_disk(&SimClock::manual());
    let partition = partition(&runtime(&disk));
    produce(&partition, 0);
    assert_eq!(produce(&partition, 0), (Offset(0), NEEDS_SYNC));
    partition.synced(Offset(1)).await.unwrap();
    assert_eq!(produce(&partition, 0), (Offset(0), Durability::AsWritten));
}

/// Consumers were shown what was appended; a power loss before the sync took it back from them.
#[tokio::test(start_paused = true)]
async fn nobody_reads_a_batch_before_it_is_on_disk() {
    let disk = new_disk(&SimClock::manual());
    let partition = partition(&runtime(&disk));
    for sequence in 0..3 {
        produce(&partition, sequence);
    }
    let latest = |isolation| {
        let found = partition.find_offset(Lookup::Latest, isolation).unwrap();
        found.unwrap().offset
    };
    assert_eq!(visible_end(&partition), Offset(0));
    assert_eq!(latest(Isolation::ReadUncommitted), Offset(0));
    assert_eq!(latest(Isolation::ReadCommitted), Offset(0));
    partition.synced(Offset(3)).await.unwrap();
    assert_eq!(visible_end(&partition), Offset(3));
    assert_eq!(latest(Isolation::ReadUncommitted), Offset(3));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken_by_the_sync_and_not_by_the_append() {
    let disk = new_disk(&SimClock::manual());
    let partition = partition(&runtime(&disk));
    let waiter = Waiter::new(1);
    partition.waiters().register(&waiter);
    produce(&partition, 0);
    let is_woken_within = |ms| {
        let woken = tokio::time::timeout(Duration::from_millis(ms), waiter.woken());
        async { woken.await.is_ok() }
    };
    assert!(!is_woken_within(0).await, "there is nothing to read yet");
    assert!(is_woken_within(1_000).await);
    assert_eq!(visible_end(&partition), Offset(1));
}

#[tokio::test(start_paused = true)]
async fn with_a_larger_flush_messages_only_the_batch_that_reaches_it_is_held_back() {
    let disk = new_disk(&SimClock::manual());
    let partition = flushing_every(3, &runtime(&disk));
    let durability = [0, 1, 2].map(|sequence| produce(&partition, sequence).1);
    let (written, third) = (Durability::AsWritten, Durability::NeedsSync(Offset(3)));
    assert_eq!(durability, [written, written, third]);
    assert_eq!(visible_end(&partition), Offset(2));
    partition.synced(Offset(3)).await.unwrap();
    assert_eq!(visible_end(&partition), Offset(3));
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_sync_the_batch_is_neither_acknowledged_nor_shown() {
    let disk = new_disk(&SimClock::manual());
    let partition = partition(&runtime(&disk));
    disk.fail(Fault::once(Operation::Sync, ".log", Errno::IO));
    produce(&partition, 0);
    partition.synced(Offset(1)).await.unwrap_err();
    assert_eq!(partition.high_watermark(), Offset(0));
}

/// Whoever waited for it would have waited for ever.
#[tokio::test(start_paused = true)]
async fn a_sync_that_cannot_begin_for_want_of_file_handles_is_tried_again() {
    let disk = new_disk(&SimClock::manual());
    let partition = partition(&runtime(&disk));
    disk.fail(Fault::once(
        Operation::Open,
        "partition.metadata",
        Errno::MFILE,
    ));
    disk.put(Path::new(DIR).join("partition.metadata"), b"")
        .unwrap();
    produce(&partition, 0);
    let synced = partition.synced(Offset(1));
    let synced = tokio::time::timeout(Duration::from_secs(5), synced).await;
    synced.unwrap().unwrap();
    assert_eq!(visible_end(&partition), Offset(1));
}

/// A broker that was killed finds batches that only the page cache had, and must not show them as they are.
#[tokio::test(start_paused = true)]
async fn what_a_restart_finds_is_on_disk_before_it_is_shown() {
    let disk = new_disk(&SimClock::manual());
    produce(&partition(&runtime(&disk)), 0);
    let restarted = disk.snapshot().crash(Keep::Written, 1);
    let partition = partition(&runtime(&restarted));
    assert_eq!(visible_end(&partition), Offset(1));
    assert_eq!(end_after_power_loss(&restarted), Offset(1));
}

#[tokio::test(start_paused = true)]
async fn a_coordinators_records_are_committed_once_they_are_on_disk() {
    let disk = new_disk(&SimClock::manual());
    let shard = PartitionShard::new(partition(&runtime(&disk)));
    shard.append(new_batch(0)).unwrap();
    let Committed::Later(commit) = shard.committed(Offset(1)) else {
        panic!("nothing was synced yet");
    };
    commit.await.unwrap();
    assert_eq!(end_after_power_loss(&disk), Offset(1));
    assert!(matches!(shard.committed(Offset(1)), Committed::Already));
}

/// The second sync has only bytes to write; the first is still busy with the directory that both batches
/// need.
#[tokio::test]
async fn a_sync_is_not_done_before_an_earlier_one_that_it_builds_on() {
    let disk = new_disk(&SimClock::manual());
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
