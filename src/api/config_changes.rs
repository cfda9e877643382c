//! What AlterConfigs and IncrementalAlterConfigs have in common: what this broker checks by itself
//! before it asks the controller, and putting the answers together (Kafka's `ConfigAdminManager`).
//!
//! A broker knows what it was started with, so it checks its own keys; levels of loggers never leave
//! it. Each resource is changed or refused by itself, as a whole.

use super::context::Staged;
use super::errors::Refused;
use crate::config::{self, Level, LiveConfig};
use crate::controller::{AlterConfigs, ConfigChange, Controller, KeyChange, Mode};
use crate::metadata::{ConfigKind, ConfigResource, ImageHandle};
use crate::protocol::{ErrorCode, Text};
use crate::runtime::{LogLevel, Loggers, ROOT_LOGGER};
use crate::types::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// What a change of configuration needs of the broker.
pub(super) struct Parts<'a> {
    pub(super) node: NodeId,
    pub(super) controller: &'a Controller,
    pub(super) image: &'a ImageHandle,
    pub(super) live: &'a LiveConfig,
    pub(super) loggers: &'a dyn Loggers,
}

/// What a request asks of one resource.
pub(super) struct Asked {
    pub(super) kind: i8,
    pub(super) name: Text,
    pub(super) keys: Vec<AskedKey>,
}

pub(super) struct AskedKey {
    pub(super) name: Text,
    pub(super) operation: i8,
    pub(super) value: Option<Text>,
}

/// What the keys of a request stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Changes, each by itself.
    Changes,
    /// All that is set from now on.
    Everything,
}

/// `AlterConfigOp.OpType`.
pub(super) const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What became of one resource.
pub(super) struct Answered {
    pub(super) kind: i8,
    pub(super) name: Text,
    pub(super) result: Result<(), Refused>,
}

impl Answered {
    pub(super) fn code(&self) -> i16 {
        let code = self.result.as_ref().err();
        code.map_or(ErrorCode::None, |refused| refused.code).code()
    }

    pub(super) fn message(self) -> Option<Text> {
        self.result.err()?.message.map(Text::from)
    }
}

/// Changes what can be changed; the answers are in the order of `asked`.
pub(super) fn alter(
    asked: Vec<Asked>,
    means: Means,
    mode: Mode,
    parts: &Parts<'_>,
) -> Staged<Vec<Answered>> {
    let twice = named_twice(&asked);
    let mut answers = Vec::with_capacity(asked.len());
    let mut wanted = Vec::new();
    for (at, asked) in asked.into_iter().enumerate() {
        let result = if twice.contains(&(asked.kind, asked.name.to_string())) {
            Err(Refused::request("Each resource must appear at most once."))
        } else {
            prepare(&asked, means, mode, parts)
        };
        let result = result.map(|change| wanted.extend(change.map(|change| (at, change))));
        answers.push(Answered {
            kind: asked.kind,
            name: asked.name,
            result,
        });
    }
    if wanted.is_empty() {
        return Staged::Ready(answers);
    }
    let controller = parts.controller.clone();
    Staged::later(async move {
        let (places, wanted): (Vec<usize>, Vec<AlterConfigs>) = wanted.into_iter().unzip();
        let made = controller.alter_configs(&wanted, mode).await;
        for (at, made) in places.into_iter().zip(made) {
            answers[at].result = made.map_err(|error| Refused::from(&error));
        }
        answers
    })
}

fn named_twice(asked: &[Asked]) -> BTreeSet<(i8, String)> {
    let mut once = BTreeSet::new();
    let ids = asked
        .iter()
        .map(|asked| (asked.kind, asked.name.to_string()));
    ids.filter(|id| !once.insert(id.clone())).collect()
}

/// Checks what this broker can check. `None`: there is nothing left for the controller to do.
fn prepare(
    asked: &Asked,
    means: Means,
    mode: Mode,
    parts: &Parts<'_>,
) -> Result<Option<AlterConfigs>, Refused> {
    let mut names = BTreeSet::new();
    if !asked.keys.iter().all(|key| names.insert(&*key.name)) {
        return Err(Refused::request("Error due to duplicate config keys"));
    }
    let without = asked.keys.iter();
    let without = without.filter(|key| key.value.is_none() && key.operation != DELETE);
    let without: Vec<&str> = without.map(|key| &*key.name).collect();
    if !without.is_empty() {
        let names = without.join(", ");
        return Err(Refused::request(format!(
            "Null value not supported for : {names}"
        )));
    }
    let kind = match ConfigKind::from_code(asked.kind) {
        Some(ConfigKind::BrokerLogger) if means == Means::Changes => {
            change_loggers(asked, mode, parts)?;
            return Ok(None);
        }
        None | Some(ConfigKind::BrokerLogger) => {
            let kind = asked.kind;
            return Err(Refused::request(format!("Unknown resource type {kind}")));
        }
        Some(kind) => kind,
    };
    if kind == ConfigKind::Broker && !asked.name.is_empty() {
        check_is_this_broker(&asked.name, parts.node, "", "Node")?;
    }
    let change = change(asked, means)?;
    if kind == ConfigKind::Broker {
        check_broker_config(&asked.name, &change, parts)?;
    }
    let resource = ConfigResource::new(kind, &*asked.name);
    Ok(Some(AlterConfigs { resource, change }))
}

fn change(asked: &Asked, means: Means) -> Result<ConfigChange, Refused> {
    let text = |key: &AskedKey| key.value.as_deref().unwrap_or_default().to_owned();
    if means == Means::Everything {
        let values = asked
            .keys
            .iter()
            .map(|key| (key.name.to_string(), text(key)));
        return Ok(ConfigChange::Replace(values.collect()));
    }
    let change = |key: &AskedKey| {
        let change = match key.operation {
            SET => KeyChange::Set(text(key)),
            DELETE => KeyChange::Delete,
            APPEND => KeyChange::Append(text(key)),
            SUBTRACT => KeyChange::Subtract(text(key)),
            other => {
                return Err(Refused::request(format!("Unknown operations type {other}")));
            }
        };
        Ok((key.name.to_string(), change))
    };
    let changes: Result<Vec<_>, Refused> = asked.keys.iter().map(change).collect();
    Ok(ConfigChange::Keys(changes?))
}

/// Whether a resource's name is this broker's id. `alternative` and `called` are a refusal's words: Kafka has
/// others for changing than for describing.
pub(super) fn check_is_this_broker(
    name: &str,
    node: NodeId,
    alternative: &str,
    called: &str,
) -> Result<(), Refused> {
    match name.parse() {
        Ok(id) if NodeId(id) == node => Ok(()),
        Ok(_) => Err(Refused::request(format!(
            "Unexpected broker id, expected {node}{alternative}, but received {name}"
        ))),
        Err(_) => Err(Refused::request(format!(
            "{called} id must be an integer, but it is: {name}"
        ))),
    }
}

/// Would this broker take what comes of the change?
fn check_broker_config(
    name: &str,
    change: &ConfigChange,
    parts: &Parts<'_>,
) -> Result<(), Refused> {
    let level = if name.is_empty() {
        Level::Cluster
    } else {
        Level::Broker
    };
    let before = parts.image.load().config_of(ConfigKind::Broker, name);
    // What is recorded and cannot be used, perhaps by another release, is no reason to refuse more.
    let before = config::usable(level, &before, &mut Vec::new());
    let after = change
        .applied_to(ConfigKind::Broker, &before)
        .map_err(|error| Refused::from(&error))?;
    let checked = parts.live.check(level, &after);
    checked.map_err(|error| Refused::request(error.to_string()))
}

/// Kafka's `RuntimeLoggerManager`: all keys are checked before any is changed.
fn change_loggers(asked: &Asked, mode: Mode, parts: &Parts<'_>) -> Result<(), Refused> {
    check_is_this_broker(&asked.name, parts.node, "", "Node")?;
    let known = parts.loggers.levels();
    let changes: Result<Vec<_>, Refused> = asked
        .keys
        .iter()
        .map(|key| Ok((&*key.name, logger_level(key, &known)?)))
        .collect();
    for (logger, level) in changes? {
        if mode == Mode::Apply {
            parts.loggers.set(logger, level);
        }
    }
    Ok(())
}

/// The level that a logger gets; `None` if its own is taken away.
fn logger_level(
    key: &AskedKey,
    known: &BTreeMap<String, LogLevel>,
) -> Result<Option<LogLevel>, Refused> {
    let refused = |code, message| Err(Refused::new(code, message));
    let logger = &*key.name;
    let operation = match key.operation {
        SET | DELETE if known.contains_key(logger) => key.operation,
        SET | DELETE => {
            let message = format!("Logger {logger} does not exist!");
            return refused(ErrorCode::InvalidConfig, message);
        }
        APPEND | SUBTRACT => {
            let name = if key.operation == APPEND {
                "APPEND"
            } else {
                "SUBTRACT"
            };
            let message = format!("{name} operation is not allowed for the BROKER_LOGGER resource");
            return refused(ErrorCode::InvalidRequest, message);
        }
        other => {
            let message = format!(
                "Unknown operation type {other} is not allowed for the BROKER_LOGGER resource"
            );
            return refused(ErrorCode::InvalidRequest, message);
        }
    };
    if operation == DELETE {
        if logger == ROOT_LOGGER {
            let message = format!("Removing the log level of the {logger} logger is not allowed");
            return refused(ErrorCode::InvalidRequest, message);
        }
        return Ok(None);
    }
    let text = key.value.as_deref().unwrap_or_default();
    let Some(level) = LogLevel::settable(text) else {
        let valid: Vec<&str> = LogLevel::SETTABLE
            .iter()
            .map(|level| level.name())
            .collect();
        let message = format!(
            "Cannot set the log level of {logger} to {text} as it is not a supported log level. \
             Valid log levels are {}",
            valid.join(", ")
        );
        return refused(ErrorCode::InvalidConfig, message);
    };
    Ok(Some(level))
}
