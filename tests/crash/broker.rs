//! A whole broker in one simulated thread: clients create topics, produce and commit offsets; the broker
//! is stopped at any write or sync, keeps what a disk may keep, starts again, and must stand by all that
//! it acknowledged.
//!
//! `OTTLA_SEEDS=FIRST..END` tries other runs than the default ones. `OTTLA_POINTS=ALL` stops at every
//! operation instead of a sample. A failure names the seed, the operation and what was kept.

use crate::common::crash::{self, all_points, observe, seeds};
use crate::common::history::{Found, History, Promise};
use crate::common::world::{self, DATA, SYNCED, Scene};
use ottla::sim::{Fault, Keep, Operation, SimClock, SimDisk, SimRng};
use parking_lot::Mutex;
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;

const DEFAULT_SEEDS: std::ops::Range<u64> = 1..5;

/// How many operations of a run are stopped at, unless all are asked for.
const SAMPLE: usize = 60;

/// Requests of each client in a run.
const REQUESTS: u32 = 30;

/// With what the clients knew.
type Point = crash::Point<History>;

struct Run {
    seed: u64,
    points: Vec<Point>,
    disk: SimDisk,
    history: History,
    clock: Arc<SimClock>,
    trace: u64,
}

/// Runs the workload once; `prepare` may break the disk first.
fn run(seed: u64, prepare: impl Fn(&SimDisk)) -> Run {
    let clock = SimClock::simulated();
    let disk = SimDisk::new(clock.clone());
    prepare(&disk);
    let scene = Scene {
        seed,
        clock: clock.clone(),
        history: Arc::default(),
        requests: REQUESTS,
    };
    let points = observe(&disk, &scene.history);
    world::run(seed, &disk, &clock, world::workload(&scene)).unwrap();
    let trace = disk.trace();
    let after = disk.snapshot();
    disk.kill();
    drop(disk);
    let points = std::mem::take(&mut *points.lock());
    let history = scene.history.lock().clone();
    Run {
        seed,
        points,
        disk: after,
        history,
        clock,
        trace,
    }
}

/// Starts a broker on what is left, lets idempotent producers repeat themselves, and reads everything.
fn restart(
    seed: u64,
    disk: &SimDisk,
    clock: &Arc<SimClock>,
    history: &History,
    repeat: bool,
) -> Result<(Found, History), String> {
    let history = Arc::new(Mutex::new(history.clone()));
    let found = Arc::new(Mutex::new(None));
    let (known, seen, now) = (history.clone(), found.clone(), clock.clone());
    let reader = async move {
        if repeat {
            world::repeat_unanswered(&known, &now).await?;
        }
        let known = known.lock().clone();
        *seen.lock() = Some(world::find(&known).await?);
        Ok(())
    };
    world::run(seed, disk, clock, vec![("reader".to_owned(), reader)])?;
    let found = found.lock().take().ok_or("the reader found nothing")?;
    let history = history.lock().clone();
    Ok((found, history))
}

/// What a crash in the given way must leave.
fn promises(keep: Keep) -> (impl Fn(&str) -> Promise, Promise) {
    let killed = keep == Keep::Written;
    let topics = move |topic: &str| {
        if killed || topic == SYNCED {
            Promise::Acknowledged
        } else {
            Promise::Consistent
        }
    };
    let offsets = if killed {
        Promise::Acknowledged
    } else {
        Promise::Consistent
    };
    (topics, offsets)
}

/// Crashes at `point`, starts again twice, and gives every broken promise.
fn violations(point: &Point, clock: &Arc<SimClock>, keep: Keep, seed: u64) -> Vec<String> {
    let disk = point.disk.crash(keep, seed);
    check(&disk, &point.known, clock, keep, seed)
}

fn check(
    disk: &SimDisk,
    history: &History,
    clock: &Arc<SimClock>,
    keep: Keep,
    seed: u64,
) -> Vec<String> {
    let (topics, offsets) = promises(keep);
    let repeat = keep == Keep::Written;
    let (found, history) = match restart(seed, disk, clock, history, repeat) {
        Ok(restarted) => restarted,
        Err(error) => return vec![error],
    };
    let mut violations = history.violations(&found, &topics, offsets);
    let again = disk.crash(Keep::Written, seed);
    match restart(seed, &again, clock, &history, false) {
        Ok((second, _)) if second == found => {}
        Ok((second, _)) => {
            violations.extend(history.violations(&second, &topics, offsets));
            violations.push("a second start finds something else".to_owned());
        }
        Err(error) => violations.push(format!("second start: {error}")),
    }
    violations
}

/// The points to stop at: all, or a sample of them that the seed draws.
fn sample(run: &Run) -> Vec<&Point> {
    if all_points() {
        return run.points.iter().collect();
    }
    let rng = SimRng::new(run.seed);
    let step = (run.points.len() / SAMPLE).max(1);
    run.points
        .chunks(step)
        .map(|chunk| &chunk[rng.index(chunk.len())])
        .collect()
}

fn describe(run: &Run, point: &Point, keep: Keep, violations: &[String]) -> String {
    let found = violations.join("\n");
    format!("seed {}, {point}, {keep:?}:\n{found}", run.seed)
}

#[test]
fn the_same_seed_is_the_same_run() {
    let (first, second, other) = (run(11, |_| {}), run(11, |_| {}), run(12, |_| {}));
    assert_eq!(first.history, second.history);
    assert_eq!(first.trace, second.trace);
    assert_ne!(first.trace, other.trace);
}

#[test]
fn a_broker_killed_at_any_operation_loses_nothing_that_it_acknowledged() {
    for seed in seeds(DEFAULT_SEEDS) {
        let run = run(seed, |_| {});
        assert!(run.points.len() > 200, "only {} points", run.points.len());
        let points = sample(&run);
        for point in &points {
            let found = violations(point, &run.clock, Keep::Written, seed);
            assert!(
                found.is_empty(),
                "{}",
                describe(&run, point, Keep::Written, &found)
            );
        }
        println!(
            "seed {seed}: {} of {} points",
            points.len(),
            run.points.len()
        );
    }
}

#[test]
fn a_power_loss_at_any_operation_takes_nothing_that_is_synced_before_it_is_acknowledged_or_read() {
    for seed in seeds(DEFAULT_SEEDS) {
        let run = run(seed, |_| {});
        for point in sample(&run) {
            for keep in [Keep::Synced, Keep::Names, Keep::Torn] {
                let found = violations(point, &run.clock, keep, seed);
                assert!(found.is_empty(), "{}", describe(&run, point, keep, &found));
            }
        }
    }
}

#[test]
fn everything_is_where_it_was_after_the_run() {
    let run = run(3, |_| {});
    let known = run.history.acknowledged.values().map(imbl::OrdMap::len);
    assert!(known.sum::<usize>() > 100, "the workload writes");
    assert!(run.history.commits_acknowledged.len() > 2, "and commits");
    assert!(run.history.topics.len() > 5, "and creates topics");
    let found = check(&run.disk, &run.history, &run.clock, Keep::Written, 3);
    assert_eq!(found, [""; 0]);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_that_is_not_on_disk() {
    for after in [0, 5, 20] {
        let run = run(4, |disk| {
            disk.fail(Fault {
                after,
                ..Fault::once(Operation::Sync, "synced-", Errno::IO)
            });
        });
        let disk = run.disk.crash(Keep::Synced, 4);
        let found = check(&disk, &run.history, &run.clock, Keep::Synced, 4);
        assert_eq!(found, [""; 0], "after {after} syncs");
    }
}

/// Whether a crash somewhere in the run breaks a promise.
fn is_found(keep: Keep, run: &Run, spoil: impl Fn(&SimDisk)) -> bool {
    (0..3).any(|draw| {
        run.points.iter().step_by(7).any(|point| {
            let disk = point.disk.crash(keep, draw);
            spoil(&disk);
            !check(&disk, &point.known, &run.clock, keep, draw).is_empty()
        })
    })
}

#[test]
fn a_broker_that_leaves_out_the_syncs_of_its_logs_is_found() {
    let run = run(1, |disk| disk.lie(Operation::Sync, "/synced-"));
    assert!(is_found(Keep::Synced, &run, |_| {}));
}

/// Only what consumers have read counts here, not what producers were told.
#[test]
fn a_broker_that_shows_what_a_power_loss_takes_back_is_found() {
    let mut run = run(1, |disk| disk.lie(Operation::Sync, "/synced-"));
    for point in &mut run.points {
        point.known.acknowledged.clear();
    }
    assert!(is_found(Keep::Synced, &run, |_| {}));
}

#[test]
fn a_broker_that_leaves_out_the_syncs_of_its_metadata_is_found() {
    let run = run(1, |disk| disk.lie(Operation::Sync, "__cluster_metadata"));
    assert!(is_found(Keep::Synced, &run, |_| {}));
}

#[test]
fn a_broker_that_leaves_out_the_syncs_of_its_directories_is_found() {
    let run = run(1, |disk| disk.lie(Operation::SyncDir, ""));
    assert!(is_found(Keep::Synced, &run, |_| {}));
}

/// The sign of a clean stop, and the indexes that one leaves, make the broker trust what it finds.
#[test]
fn a_broker_that_leaves_out_its_recovery_is_found() {
    let run = run(1, |_| {});
    let sign = Path::new(DATA).join(".kafka_cleanshutdown");
    assert!(is_found(Keep::Torn, &run, |disk| {
        let text = br#"{"version":0,"brokerEpoch":1}"#;
        disk.put(&sign, text).unwrap();
        for (path, _) in disk.files() {
            if path.extension().is_some_and(|extension| extension == "log") {
                disk.put(path.with_extension("index"), b"").unwrap();
                disk.put(path.with_extension("timeindex"), b"").unwrap();
            }
        }
    }));
}
