//! The seam: everything that is not a pure function of its input comes through here.
//!
//! A [`Runtime`] is handed to every part that needs the time, a disk, the network, chance or a task
//! of its own. [`os`] has the real ones; `sim` and the tests have simulated ones, under which the
//! same seed gives the same run.
//!
//! **Invariant:** no code outside this folder reads a clock, opens a file, binds a socket, draws a
//! random number or spawns a task. clippy's `disallowed_methods` closes the other ways.

mod clock;
mod disk;
mod loggers;
mod net;
pub mod os;
mod reply;
mod rng;
mod tasks;

pub use clock::{Clock, Instant, sleep_until};
pub use disk::{
    Descriptor, Disk, Entry, File, FileSlice, Lock, Metadata, Open, Space, Sync, read_exact_at,
    read_whole, write_whole,
};
pub use loggers::{LogLevel, Loggers, NoLoggers, ROOT_LOGGER};
pub use net::{Listener, More, Net, Stream, next_connection, write_all};
pub use reply::{FrameStart, Reply};
pub use rng::Rng;
pub use tasks::{Blocking, Tasks};

use std::sync::Arc;

/// The world a broker runs in. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub clock: Arc<dyn Clock>,
    pub disk: Arc<dyn Disk>,
    pub net: Arc<dyn Net>,
    pub rng: Arc<dyn Rng>,
    pub tasks: Tasks,
    pub loggers: Arc<dyn Loggers>,
}
