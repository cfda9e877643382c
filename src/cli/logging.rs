//! Logs go to standard error; standard output belongs to the one line that programs read.

use super::Failure;
use crate::config::FromEnv;
use crate::runtime::{LogLevel, Loggers, NoLoggers, ROOT_LOGGER};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing::warn;
use tracing_subscriber::EnvFilter;

/// The broker's loggers: all of it, and each of its parts.
const LOGGERS: &[&str] = &[
    "ottla",
    "ottla.api",
    "ottla.cli",
    "ottla.controller",
    "ottla.coordinator",
    "ottla.http",
    "ottla.log",
    "ottla.metadata",
    "ottla.net",
    "ottla.node",
    "ottla.quorum",
    "ottla.record",
    "ottla.replica",
    "ottla.runtime",
    "ottla.server",
];

/// Starts logging. The level is `--log`, else `OTTLA_LOG`, else `RUST_LOG`, else what the apache/kafka
/// image's variables say, else info. Gives what changes the levels later.
pub(super) fn start(asked: Option<&str>, env: &FromEnv) -> Result<Arc<dyn Loggers>, Failure> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let directives = match asked {
        Some(asked) => asked.to_owned(),
        None => variable("OTTLA_LOG")
            .or_else(|| variable("RUST_LOG"))
            .unwrap_or_else(|| from_kafkas(env)),
    };
    let filter = EnvFilter::builder().parse(&directives).map_err(|_| {
        Failure::input(format!(
            "log level '{directives}': expected error, warn, info, debug, trace, or a filter such as \
             info,ottla::net=debug"
        ))
    })?;
    let subscriber = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    // A second start in one process (a test) keeps the first's.
    if subscriber.try_init().is_err() {
        return Ok(Arc::new(NoLoggers));
    }
    let apply = move |filter: EnvFilter| {
        if let Err(error) = handle.reload(filter) {
            warn!(%error, "could not change what is logged");
        }
    };
    Ok(Arc::new(Tracing {
        levels: Levels::of(&directives),
        own: Mutex::default(),
        apply: Box::new(apply),
    }))
}

/// The loggers of this process's one subscriber.
struct Tracing {
    levels: Levels,
    /// Set since the start. Held for one change, so that the last one counts.
    own: Mutex<BTreeMap<String, LogLevel>>,
    apply: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl Loggers for Tracing {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let own = self.own.lock();
        let all = LOGGERS.iter().chain([&ROOT_LOGGER]);
        let level = |logger: &&str| ((*logger).to_owned(), self.levels.level(logger, &own));
        all.map(level).collect()
    }

    fn set(&self, logger: &str, level: Option<LogLevel>) {
        let mut own = self.own.lock();
        match level {
            Some(level) => own.insert(logger.to_owned(), level),
            None => own.remove(logger),
        };
        let directives = self.levels.directives(&own);
        match EnvFilter::builder().parse(&directives) {
            Ok(filter) => (self.apply)(filter),
            Err(error) => warn!(%error, "could not change what is logged"),
        }
    }
}

/// What the process was started with: directives such as `info,ottla::net=debug`.
struct Levels {
    started: String,
    /// The levels that they give to whole loggers, by name.
    of_loggers: BTreeMap<String, LogLevel>,
}

impl Levels {
    fn of(directives: &str) -> Levels {
        let mut of_loggers = BTreeMap::new();
        for directive in directives.split(',').map(str::trim) {
            let (target, text) = match directive.split_once('=') {
                Some((target, text)) => (target.replace("::", "."), text),
                None => (ROOT_LOGGER.to_owned(), directive),
            };
            // What filters by span or field is in force too; it just belongs to no logger.
            if let Some(level) = level(text) {
                of_loggers.insert(target, level);
            }
        }
        Levels {
            started: directives.to_owned(),
            of_loggers,
        }
    }

    /// A logger has its own level, else that of the logger above it.
    fn level(&self, logger: &str, own: &BTreeMap<String, LogLevel>) -> LogLevel {
        let mut name = logger;
        loop {
            if let Some(level) = own.get(name).or_else(|| self.of_loggers.get(name)) {
                return *level;
            }
            name = match name.rsplit_once('.') {
                Some((above, _)) => above,
                None if name != ROOT_LOGGER => ROOT_LOGGER,
                // EnvFilter's own default.
                None => return LogLevel::Error,
            };
        }
    }

    fn directives(&self, own: &BTreeMap<String, LogLevel>) -> String {
        let mut directives = self.started.clone();
        for (logger, level) in own {
            let level = directive(*level);
            if logger == ROOT_LOGGER {
                directives.push_str(&format!(",{level}"));
            } else {
                directives.push_str(&format!(",{}={level}", logger.replace('.', "::")));
            }
        }
        directives
    }
}

/// log4j's levels, for the root and for Kafka's own loggers, as ours. Loggers of single Java classes
/// have no counterpart here.
fn from_kafkas(env: &FromEnv) -> String {
    let known = |text: &String| level(text).map(directive);
    let root = env.log_level.as_ref().and_then(known).unwrap_or("info");
    let of_kafka = |name: &str| matches!(name, "kafka" | "org.apache.kafka");
    let own = env.log_levels.iter().find(|(name, _)| of_kafka(name));
    match own.and_then(|(_, own)| known(own)) {
        Some(own) => format!("{root},ottla={own}"),
        None => root.to_owned(),
    }
}

/// A level by log4j's name or by ours.
fn level(name: &str) -> Option<LogLevel> {
    match name.to_ascii_uppercase().as_str() {
        "OFF" => Some(LogLevel::Off),
        "FATAL" => Some(LogLevel::Fatal),
        "ERROR" => Some(LogLevel::Error),
        "WARN" => Some(LogLevel::Warn),
        "INFO" => Some(LogLevel::Info),
        "DEBUG" => Some(LogLevel::Debug),
        "TRACE" | "ALL" => Some(LogLevel::Trace),
        _ => None,
    }
}

fn directive(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Off | LogLevel::Fatal => "off",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log4js_levels_are_understood() {
        let mut env = FromEnv::default();
        assert_eq!(from_kafkas(&env), "info");
        env.log_level = Some("WARN".to_owned());
        assert_eq!(from_kafkas(&env), "warn");
        env.log_levels = vec![
            ("kafka.request.logger".to_owned(), "TRACE".to_owned()),
            ("kafka".to_owned(), "DEBUG".to_owned()),
        ];
        assert_eq!(from_kafkas(&env), "warn,ottla=debug");
        env.log_level = Some("nonsense".to_owned());
        assert_eq!(from_kafkas(&env), "info,ottla=debug");
    }

    #[test]
    fn a_logger_without_a_level_has_that_of_the_one_above_it() {
        let levels = Levels::of("warn,ottla=info,ottla::net=debug,ottla::api[span]=trace");
        let mut own = BTreeMap::new();
        assert_eq!(levels.level("root", &own), LogLevel::Warn);
        assert_eq!(levels.level("ottla.api", &own), LogLevel::Info);
        assert_eq!(levels.level("ottla.net", &own), LogLevel::Debug);
        own.insert("ottla".to_owned(), LogLevel::Fatal);
        own.insert("root".to_owned(), LogLevel::Trace);
        assert_eq!(levels.level("ottla.api", &own), LogLevel::Fatal);
        assert_eq!(levels.level("ottla.net", &own), LogLevel::Debug);
        let directives = levels.directives(&own);
        assert!(directives.ends_with(",ottla=off,trace"), "{directives}");
        let filter = EnvFilter::builder().parse(&directives).unwrap().to_string();
        // What comes later takes the place of what was there.
        assert!(!filter.contains("ottla=info"), "{filter}");
    }

    #[test]
    fn a_level_that_is_set_is_in_force_until_it_is_taken_away() {
        let applied = Arc::new(Mutex::new(String::new()));
        let loggers = Tracing {
            levels: Levels::of("info"),
            own: Mutex::default(),
            apply: Box::new({
                let applied = applied.clone();
                move |filter| *applied.lock() = filter.to_string()
            }),
        };
        loggers.set("ottla.net", Some(LogLevel::Debug));
        assert_eq!(loggers.levels()["ottla.net"], LogLevel::Debug);
        assert_eq!(loggers.levels()["ottla.log"], LogLevel::Info);
        assert!(applied.lock().contains("ottla::net=debug"));
        loggers.set("ottla.net", None);
        assert_eq!(loggers.levels()["ottla.net"], LogLevel::Info);
        assert_eq!(*applied.lock(), "info");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "looks at the sources")]
    fn every_part_that_logs_has_a_logger_and_no_logger_is_of_nothing() {
        let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let mut parts = vec!["ottla".to_owned()];
        for entry in std::fs::read_dir(sources).unwrap() {
            let path = entry.unwrap().path();
            let part = path.file_stem().unwrap().to_string_lossy().into_owned();
            let part = format!("ottla.{part}");
            let has_logger = LOGGERS.contains(&&*part);
            assert!(has_logger || !logs(&path), "{part} has no logger");
            parts.push(part);
        }
        for logger in LOGGERS {
            assert!(parts.iter().any(|part| part == logger), "{logger}");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "looks at the sources")]
    fn logs(path: &std::path::Path) -> bool {
        if path.is_dir() {
            let mut entries = std::fs::read_dir(path).unwrap();
            return entries.any(|entry| logs(&entry.unwrap().path()));
        }
        let is_main = path.ends_with("main.rs");
        !is_main && std::fs::read_to_string(path).unwrap().contains("tracing::")
    }
}
