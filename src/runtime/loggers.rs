//! How much is logged, and changing that while the broker runs.

use std::collections::BTreeMap;
use std::fmt;

/// The logger whose level all others have that have none of their own.
pub const ROOT_LOGGER: &str = "root";

/// log4j's levels, which Kafka's tools speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Off,
    /// What ends the broker. Nothing is logged at this level, so it is as good as off.
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The levels that a logger can be set to (`LogLevelConfig`), sorted by name.
    pub const SETTABLE: &[LogLevel] = &[
        LogLevel::Debug,
        LogLevel::Error,
        LogLevel::Fatal,
        LogLevel::Info,
        LogLevel::Trace,
        LogLevel::Warn,
    ];

    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Off => "OFF",
            LogLevel::Fatal => "FATAL",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }

    /// The settable level of this name, in this case.
    pub fn settable(name: &str) -> Option<LogLevel> {
        let levels = LogLevel::SETTABLE.iter();
        levels.copied().find(|level| level.name() == name)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The loggers of this process. Their levels are forgotten when it ends.
pub trait Loggers: Send + Sync + 'static {
    /// Every logger with the level that it has now, of its own or from its parent. Empty where somebody
    /// else decides what is logged.
    fn levels(&self) -> BTreeMap<String, LogLevel>;

    /// Gives a logger a level of its own, or with `None` takes that away.
    fn set(&self, logger: &str, level: Option<LogLevel>);
}

/// A broker inside somebody else's process, who decides what is logged.
pub struct NoLoggers;

impl Loggers for NoLoggers {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        BTreeMap::new()
    }

    fn set(&self, _: &str, _: Option<LogLevel>) {}
}
