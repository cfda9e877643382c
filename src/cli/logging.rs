//! Logs go to standard error; standard output belongs to the one line that programs read.

use super::Failure;
use crate::config::FromEnv;
use tracing_subscriber::EnvFilter;

/// Starts logging. The level is `--log`, else `OTTLA_LOG`, else `RUST_LOG`, else what the apache/kafka
/// image's variables say, else info.
pub(super) fn start(asked: Option<&str>, env: &FromEnv) -> Result<(), Failure> {
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
    // A second start in one process (a test) keeps the first's.
    let _ = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
    Ok(())
}

/// log4j's levels, for the root and for Kafka's own loggers, as ours. Loggers of single Java classes
/// have no counterpart here.
fn from_kafkas(env: &FromEnv) -> String {
    let root = env.log_level.as_deref().and_then(level).unwrap_or("info");
    let of_kafka = |name: &str| matches!(name, "kafka" | "org.apache.kafka");
    let own = env.log_levels.iter().find(|(name, _)| of_kafka(name));
    match own.and_then(|(_, own)| level(own)) {
        Some(own) => format!("{root},ottla={own}"),
        None => root.to_owned(),
    }
}

fn level(log4j: &str) -> Option<&'static str> {
    match log4j.to_ascii_uppercase().as_str() {
        "OFF" => Some("off"),
        "FATAL" | "ERROR" => Some("error"),
        "WARN" => Some("warn"),
        "INFO" => Some("info"),
        "DEBUG" => Some("debug"),
        "TRACE" | "ALL" => Some("trace"),
        _ => None,
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
}
