//! One log under the simulated disk: it is stopped at every write, sync and rename of a workload in
//! turn, keeps what a disk may keep, and is opened again.
//!
//! `OTTLA_SEEDS=FIRST..END` tries other workloads than the default ones; a failure names the seed, the
//! operation and what was kept, so that it can be repeated.

mod check;
mod model;
mod workload;

use crate::common::crash::{DRAWS, enumerate, leader_epochs, seeds, shown, unguarded};
use check::{Found, violations};
use model::Model;
use ottla::log::{Log, Shutdown};
use ottla::sim::{Fault, Keep, Operation, SimDisk};
use ottla::types::Timestamp;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::Path;
use workload::DIR;

const DEFAULT_SEEDS: std::ops::Range<u64> = 1..3;
#[test]
fn a_log_stopped_at_any_operation_keeps_its_promises() {
    let mut tried = 0;
    let mut kinds: BTreeMap<Operation, usize> = BTreeMap::new();
    for seed in seeds(DEFAULT_SEEDS) {
        let run = workload::run(seed, |_| {});
        for point in &run.points {
            *kinds.entry(point.record.operation).or_default() += 1;
        }
        let states: Vec<_> = enumerate(&run.points, &Keep::ALL, violations).collect();
        tried += states.len();
        let found = states.concat();
        assert!(found.is_empty(), "seed {seed}: {}", shown(&found));
    }
    println!("{tried} crashed disks were opened; crash points: {kinds:?}");
    for kind in [
        Operation::Create,
        Operation::Write,
        Operation::SetLen,
        Operation::Sync,
        Operation::Rename,
        Operation::Remove,
        Operation::SyncDir,
    ] {
        assert!(
            kinds.contains_key(&kind),
            "the workload never does {kind:?}"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let trace = |seed| workload::run(seed, |_| {}).trace;
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

/// Runs workloads with a fault built in until the checker sees it.
fn is_found(keeps: &[Keep], break_it: impl Fn(&SimDisk) + Copy) -> bool {
    (1..10).any(|seed| {
        let run = workload::run(seed, break_it);
        enumerate(&run.points, keeps, violations).any(|found| !found.is_empty())
    })
}

#[test]
fn a_log_that_leaves_out_the_sync_of_its_segments_is_found() {
    assert!(is_found(&[Keep::Synced], |disk| {
        disk.lie(Operation::Sync, ".log");
    }));
}

#[test]
fn a_log_that_leaves_out_the_sync_of_its_directory_is_found() {
    assert!(is_found(&[Keep::Synced], |disk| {
        disk.lie(Operation::SyncDir, DIR);
    }));
}

#[test]
fn a_log_that_leaves_out_the_sync_of_its_epoch_checkpoint_is_found() {
    assert!(is_found(&[Keep::Synced, Keep::Names], |disk| {
        disk.lie(Operation::Sync, "leader-epoch-checkpoint");
    }));
}

/// Recovery is left out by opening the log as if it had been closed cleanly.
#[test]
fn a_log_that_leaves_out_its_recovery_is_found() {
    let run = workload::run(1, |_| {});
    let found = run.points.iter().any(|point| {
        let mut careless = point.clone();
        careless.known.shutdown = Shutdown::Clean;
        [Keep::Written, Keep::Torn]
            .into_iter()
            .any(|keep| (0..DRAWS).any(|draw| !violations(&careless, keep, draw).is_empty()))
    });
    assert!(found);
}

/// A recovery point that runs ahead of the sync makes recovery trust what it should read.
#[test]
fn a_recovery_point_written_too_early_is_found() {
    let run = workload::run(1, |_| {});
    let found = run.points.iter().any(|point| {
        let mut early = point.clone();
        early.known.recovery_point = early.known.log_end();
        [Keep::Names, Keep::Torn]
            .into_iter()
            .any(|keep| (0..DRAWS).any(|draw| !violations(&early, keep, draw).is_empty()))
    });
    assert!(found);
}

#[test]
fn a_log_whose_sync_failed_acknowledges_no_other_sync() {
    for seed in seeds(DEFAULT_SEEDS) {
        for after in [0, 1, 3, 6] {
            let run = workload::run(seed, |disk| {
                disk.fail(Fault {
                    after,
                    ..Fault::once(Operation::Sync, ".log", Errno::IO)
                });
            });
            let last = run.points.last().unwrap();
            let found = violations(last, Keep::Synced, 0);
            assert!(found.is_empty(), "seed {seed}: {}", shown(&found));
        }
    }
}

#[test]
fn a_full_disk_stops_appends_and_nothing_else_until_there_is_space_again() {
    for seed in seeds(DEFAULT_SEEDS) {
        let found = workload::fill_the_disk(seed);
        assert!(found.is_empty(), "seed {seed}: {}", shown(&found));
    }
}

/// A flipped bit in any file of a log that was not closed cleanly is either mended or costs the batches
/// from there on; what is served is right. (What lies below the recovery point is not read again at the
/// start, as in Kafka: there the reader's checksum is the guard.)
#[test]
fn a_flipped_bit_is_never_served() {
    let run = workload::run(2, |_| {});
    let last = run.points.last().unwrap();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let disk = last.disk.crash(Keep::Written, 0);
    for (path, len) in disk.files() {
        let kind = path.to_string_lossy();
        let kind = kind.rsplit(['.', '/']).next().unwrap_or("").to_owned();
        let epochs = if kind == "log" {
            leader_epochs(&disk.get(&path).unwrap())
        } else {
            Vec::new()
        };
        for n in 0..len.min(60) {
            let position = n * len / len.min(60);
            if epochs.iter().any(|field| field.contains(&position)) {
                continue;
            }
            let flipped = disk.snapshot();
            flipped
                .flip(&path, position, u32::try_from(n % 8).unwrap())
                .unwrap();
            *kinds.entry(kind.clone()).or_default() += 1;
            let mut model = last.known.clone();
            model.recovery_point = model.log_start;
            let found = check::served(&Found::open(&flipped, &model), &model);
            assert!(
                found.is_empty(),
                "{} byte {position}: {}",
                path.display(),
                shown(&found)
            );
        }
    }
    println!("bits flipped: {kinds:?}");
    for kind in [
        "log",
        "index",
        "timeindex",
        "snapshot",
        "leader-epoch-checkpoint",
    ] {
        assert!(
            kinds.contains_key(kind),
            "there is no {kind} file: {kinds:?}"
        );
    }
}

/// Index files and the checkpoint of epochs have no checksum, and after a clean stop they are trusted. A
/// flipped bit in an offset index sent readers past records, without a sign; one in a time index could make
/// retention delete too early; one in the last epoch could refuse every write.
#[test]
fn a_flipped_bit_in_a_log_that_was_closed_leads_no_reader_astray() {
    let last = workload::run(2, |_| {}).points.pop().unwrap();
    let disk = last.disk.crash(Keep::Written, 0);
    let open = |disk: &SimDisk, model: &Model| {
        let opening = workload::opening(model, Timestamp(0));
        Log::open(&workload::runtime(disk), Path::new(DIR), opening).map(|(log, _)| log)
    };
    open(&disk, &last.known).unwrap().close().unwrap();
    let mut model = last.known.clone();
    model.shutdown = Shutdown::Clean;
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (path, len) in disk.files() {
        let kind = path.to_string_lossy();
        let kind = kind.rsplit(['.', '/']).next().unwrap_or("").to_owned();
        let unguarded = match &kind[..] {
            "log" => unguarded(&disk.get(&path).unwrap()),
            _ => Vec::new(),
        };
        let step = if len > 100 { 5 } else { 1 };
        for position in (0..len.min(240)).step_by(step) {
            if unguarded.iter().any(|field| field.contains(&position)) {
                continue;
            }
            let flipped = disk.snapshot();
            let bit = u32::try_from((position * 5 + position / 8) % 8).unwrap();
            flipped.flip(&path, position, bit).unwrap();
            let count = kinds.entry(kind.clone()).or_default();
            count.0 += 1;
            let Ok(log) = open(&flipped, &model) else {
                count.1 += 1;
                continue;
            };
            let mut found = check::misled(&log, &model);
            // A time is looked up without its batch's checksum, as in Kafka; of the epochs only the last
            // is seen to be wrong.
            if !matches!(&kind[..], "log" | "leader-epoch-checkpoint") {
                found.extend(check::misdated(&log, &model));
            }
            assert!(
                found.is_empty(),
                "{} byte {position} bit {bit}: {}",
                path.display(),
                shown(&found)
            );
        }
    }
    println!("bits flipped, and logs refused: {kinds:?}");
}
