//! The simulated world: a disk that knows what was synced, a clock that is told the time, a network
//! in one thread, and chance from a seed. Under it the same seed gives the same run.
//!
//! Compiled for this crate's tests and with the feature `sim`; never part of the broker.
//!
//! What it cannot make deterministic is the code that runs in it: `tokio::select!` without `biased`
//! and the iteration order of std's `HashMap` draw from the operating system. The meta-test that
//! compares two runs of one seed finds such a place by its [`SimDisk::trace`].

mod clock;
pub mod disk;
mod net;
mod rng;

pub use clock::SimClock;
pub use disk::{Fault, Keep, Operation, SimDisk};
pub use net::SimNet;
pub use rng::SimRng;

use crate::runtime::{Blocking, NoLoggers, Runtime, Tasks};
use std::sync::Arc;

/// The runtime of one simulated broker: `disk` outlives it, all else is new. Blocking work is done
/// where it is called, so that one seed is one order of events.
pub fn runtime(seed: u64, disk: &SimDisk, clock: &Arc<SimClock>) -> Runtime {
    Runtime {
        clock: clock.clone(),
        disk: Arc::new(disk.clone()),
        net: Arc::new(SimNet),
        rng: Arc::new(SimRng::new(seed)),
        tasks: Tasks::new(Blocking::Inline),
        loggers: Arc::new(NoLoggers),
    }
}

/// An empty disk, and the runtime of a broker on it.
pub fn on_empty_disk(clock: &Arc<SimClock>) -> (SimDisk, Runtime) {
    let disk = SimDisk::new(clock.clone());
    let runtime = runtime(1, &disk, clock);
    (disk, runtime)
}
