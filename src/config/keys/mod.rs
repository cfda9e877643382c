//! The one table of configuration keys: what Apache Kafka 4.3.1 knows, and what Ottla does with it; and
//! Ottla's own, which begin with `ottla.`.
//!
//! Everything else is derived from it: parsing and checking, the start report, DescribeConfigs,
//! `docs/configuration.md`. Names, types, defaults, ranges and scopes are Kafka's, taken from its
//! `ConfigDef`s by reflection (`KafkaConfig`, `LogConfig`, `GroupConfig`, `DynamicBrokerConfig`).

mod broker;
mod client_metrics;
mod cluster;
#[cfg(test)]
mod facts;
mod group;
mod log;
mod security;
mod synonym;
mod topic;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use synonym::Synonym;

/// One configuration key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// The text form of the default, as Kafka prints it; `None` is null, or no default at all when
    /// [`Key::required`].
    pub default: Option<&'static str>,
    pub allowed: Allowed,
    pub scope: Scope,
    pub status: Status,
    pub doc: &'static str,
}

/// Kafka's `ConfigDef.Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    /// The code in DescribeConfigs responses (`DescribeConfigsResponse.ConfigType`).
    pub fn code(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
            Kind::Class => "class",
            Kind::Password => "password",
        }
    }
}

/// What a value may be, beyond its type. Null is always allowed where the default is null.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// Both ends included; for [`Kind::Double`].
    BetweenDoubles(f64, f64),
    /// `compression.gzip.level`: 1 to 9, or −1 for the codec's own default.
    GzipLevel,
    /// One of these, in this case.
    OneOf(&'static [&'static str]),
    /// One of these, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A text that is not empty.
    NonEmpty,
    /// A list without empty entries; those that are repeated count once. `empty` says whether it may
    /// have none.
    Distinct {
        empty: bool,
    },
    /// A list of these, each once; may be empty.
    Subset(&'static [&'static str]),
    /// As [`Allowed::Subset`], with at least one entry.
    SubsetNonEmpty(&'static [&'static str]),
    /// `controller.quorum.voters`: entries `id@host:port`.
    Voters,
    /// `controller.quorum.bootstrap.servers`: entries `host:port`.
    HostPorts,
    /// `*`, or entries `partition:broker`.
    ThrottledReplicas,
    /// `share.auto.offset.reset`: latest, earliest, or `by_duration:` and an ISO 8601 duration.
    OffsetReset,
}

/// When and where a value can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read once, at start.
    ReadOnly,
    /// Can be changed at run time for one broker.
    PerBroker,
    /// Can be changed at run time for one broker or for all.
    ClusterWide,
    /// Belongs to a topic, and can be changed at run time.
    Topic,
    /// Belongs to a group, and can be changed at run time.
    Group,
    /// Belongs to a subscription of clients' metrics, and can be changed at run time.
    ClientMetrics,
}

/// What Ottla does with a key that a user sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works as in Apache Kafka.
    Enforced,
    /// Known, checked and kept, but nothing acts on it yet: the start report names it.
    NotYet,
    /// It tunes something that Ottla does not have (a thread pool, the JVM): nothing to enforce.
    NotApplicable,
    /// Setting it to anything but the default stops the start: going on silently would be unsafe.
    Refuse(&'static str),
}

impl Key {
    /// Values are never shown, in no log and no response.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Kafka has no default for these; Ottla's embedded default fills them.
    pub fn required(&self) -> bool {
        matches!(
            self.name,
            "node.id" | "process.roles" | "controller.listener.names"
        ) && self.scope == Scope::ReadOnly
    }

    /// Kafka's `internal` keys: they can be set, but no tool lists them.
    pub fn is_internal(&self) -> bool {
        INTERNAL.contains(&self.name)
    }
}

/// Keys that Kafka defines with `defineInternal`.
const INTERNAL: &[&str] = &[
    "controller.performance.always.log.threshold.ms",
    "controller.performance.sample.period.ms",
    "group.consumer.regex.refresh.interval.ms",
    "group.share.initialize.retry.interval.ms",
    "group.share.persister.class.name",
    "internal.metadata.delete.delay.millis",
    "internal.metadata.log.segment.bytes",
    "internal.metadata.max.batch.size.in.bytes",
    "internal.segment.bytes",
    "log.initial.task.delay.ms",
    "producer.id.expiration.check.interval.ms",
    "remote.log.index.file.cache.ttl.ms",
    "remote.log.manager.task.retry.backoff.max.ms",
    "remote.log.manager.task.retry.backoff.ms",
    "remote.log.manager.task.retry.jitter",
    "server.max.startup.time.ms",
    "share.coordinator.cold.partition.snapshot.interval.ms",
    "share.coordinator.state.topic.prune.interval.ms",
    "unclean.leader.election.interval.ms",
    "unstable.api.versions.enable",
    "unstable.feature.versions.enable",
];

static BROKER: LazyLock<HashMap<&'static str, &'static Key>> =
    LazyLock::new(|| broker_keys().map(|key| (key.name, key)).collect());

/// Every broker key, in the order of the documentation.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    sections().iter().flat_map(|section| section.keys)
}

/// Every topic key, sorted by name.
pub fn topic_keys() -> impl Iterator<Item = &'static Key> {
    topic::KEYS.iter()
}

/// Every group key, sorted by name.
pub fn group_keys() -> impl Iterator<Item = &'static Key> {
    group::DYNAMIC.iter()
}

/// Every key of a client-metrics subscription, sorted by name.
pub fn client_metrics_keys() -> impl Iterator<Item = &'static Key> {
    client_metrics::KEYS.iter()
}

pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER.get(name).copied()
}

pub fn topic_key(name: &str) -> Option<&'static Key> {
    topic::KEYS.iter().find(|key| key.name == name)
}

pub fn group_key(name: &str) -> Option<&'static Key> {
    group::DYNAMIC.iter().find(|key| key.name == name)
}

pub fn client_metrics_key(name: &str) -> Option<&'static Key> {
    client_metrics::KEYS.iter().find(|key| key.name == name)
}

/// The broker keys that stand behind a topic key, first one set wins
/// (`ServerTopicConfigSynonyms`). Empty where Kafka has none.
pub fn topic_synonyms(name: &str) -> &'static [Synonym] {
    synonym::synonyms(name)
}

/// All names of one broker setting, the strongest first; `None` where it has only its own.
pub fn family(name: &str) -> Option<&'static [&'static str]> {
    synonym::family(name)
}

/// The broker key that a group key falls back to; none for keys that only groups have.
pub fn group_synonym(name: &str) -> Option<&'static str> {
    synonym::of_group(name)
}

/// Is the value of this key a secret? Keys with a `listener.name.<name>.` prefix count as the key
/// behind the prefix. Unknown keys may be anything, so they are not shown either
/// (`KafkaConfig.maybeSensitive`).
pub fn is_sensitive(name: &str) -> bool {
    match base_key(name) {
        Some(key) => key.is_sensitive(),
        None => {
            let known = topic_key(name).or_else(|| group_key(name));
            known.or_else(|| client_metrics_key(name)).is_none()
        }
    }
}

/// The key itself, or the one behind `listener.name.<listener>.` and `<mechanism>.` prefixes.
pub fn base_key(name: &str) -> Option<&'static Key> {
    if let Some(key) = broker_key(name) {
        return Some(key);
    }
    let mut rest = name.strip_prefix("listener.name.")?;
    // The listener's name, then perhaps a SASL mechanism; neither has dots.
    for _ in 0..2 {
        rest = rest.split_once('.')?.1;
        if let Some(key) = broker_key(rest) {
            return Some(key);
        }
    }
    None
}

/// A part of the table that one page of documentation shows together.
pub struct Section {
    pub title: &'static str,
    pub keys: &'static [Key],
}

pub fn sections() -> &'static [Section] {
    &[
        Section {
            title: "Identity and quorum",
            keys: cluster::IDENTITY,
        },
        Section {
            title: "Listeners and sockets",
            keys: broker::SOCKETS,
        },
        Section {
            title: "Topics",
            keys: broker::TOPICS,
        },
        Section {
            title: "Logs",
            keys: log::LOGS,
        },
        Section {
            title: "Log cleaner",
            keys: log::CLEANER,
        },
        Section {
            title: "Tiered storage",
            keys: log::TIERED,
        },
        Section {
            title: "Replication",
            keys: cluster::REPLICATION,
        },
        Section {
            title: "Groups and offsets",
            keys: group::GROUPS,
        },
        Section {
            title: "Share and streams groups",
            keys: group::SHARE_AND_STREAMS,
        },
        Section {
            title: "Transactions",
            keys: broker::TRANSACTIONS,
        },
        Section {
            title: "Quotas",
            keys: broker::QUOTAS,
        },
        Section {
            title: "Security",
            keys: security::SECURITY,
        },
        Section {
            title: "TLS",
            keys: security::TLS,
        },
        Section {
            title: "SASL",
            keys: security::SASL,
        },
        Section {
            title: "Metrics and the rest",
            keys: broker::REST,
        },
        Section {
            title: "Ottla's own",
            keys: broker::OWN,
        },
    ]
}

/// A row of the table, in one line.
const fn key(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    allowed: Allowed,
    scope: Scope,
    status: Status,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        allowed,
        scope,
        status,
        doc,
    }
}
