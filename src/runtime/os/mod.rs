//! The real world: the operating system's clock, files, sockets and chance.

mod disk;
mod handles;
mod net;

pub use disk::OsDisk;
pub use net::OsNet;

use super::{Blocking, Clock, NoLoggers, Rng, Runtime, Tasks};
use crate::types::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The runtime of a broker that is a process of its own, or part of one.
pub fn runtime() -> Runtime {
    Runtime {
        clock: Arc::new(OsClock),
        disk: Arc::new(OsDisk::default()),
        net: Arc::new(OsNet),
        rng: Arc::new(OsRng),
        tasks: Tasks::new(Blocking::Threads),
        loggers: Arc::new(NoLoggers),
    }
}

/// Lets the process open as many files as it may at most, as a Java machine does for Apache Kafka; shells and service
/// managers mostly begin with 1024.
pub fn raise_file_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?;
    Ok(())
}

/// The operating system's clocks.
pub struct OsClock;

impl Clock for OsClock {
    #[expect(clippy::disallowed_methods, reason = "this is the real clock")]
    fn wall(&self) -> Timestamp {
        let ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
    }
}

/// The operating system's random bytes.
pub struct OsRng;

impl Rng for OsRng {
    fn fill(&self, bytes: &mut [u8]) {
        // Nothing the broker does is safe without chance (ids would collide), so this is fatal.
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
