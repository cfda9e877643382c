//! A broker's configuration as it is now: what it was started with, over that what was set at run
//! time for all brokers, and over that what was set for this one (rules of `DynamicBrokerConfig`).

use super::keys::{self, Scope};
use super::resolve::Read;
use super::value::Value;
use super::{BrokerConfig, ConfigError, Properties};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was set at run time for one broker, topic or group: keys and texts.
pub type Overrides = BTreeMap<String, String>;

/// For whom a broker's key is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For all brokers that have no value of their own.
    Cluster,
    /// For one broker.
    Broker,
}

/// The configuration of a running broker, for everybody who reads it. Reading takes no lock.
pub struct LiveConfig {
    started: Arc<BrokerConfig>,
    in_force: ArcSwap<InForce>,
}

/// What is in force at one moment, and where it comes from.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Everything together, checked and typed. Its `properties` are the texts.
    pub config: Arc<BrokerConfig>,
    /// What the broker was started with.
    pub started: Arc<BrokerConfig>,
    /// Set at run time for all brokers.
    pub dynamic_default: Overrides,
    /// Set at run time for this broker.
    pub dynamic: Overrides,
}

/// Keys that only count behind the prefix of a listener (`SslConfigs.RECONFIGURABLE_CONFIGS`).
const PER_LISTENER: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys of a listener that can be set for all brokers.
const CLUSTER_WIDE_OF_LISTENER: &[&str] = &[
    "max.connection.creation.rate",
    "max.connections",
    "num.network.threads",
];

/// Counts of threads. Kafka resizes its pools step by step, so each change is bounded.
const THREADS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

impl LiveConfig {
    /// Nothing is set at run time yet.
    pub fn new(started: Arc<BrokerConfig>) -> LiveConfig {
        let in_force = InForce {
            config: started.clone(),
            started: started.clone(),
            dynamic_default: Overrides::new(),
            dynamic: Overrides::new(),
        };
        LiveConfig {
            started,
            in_force: ArcSwap::from_pointee(in_force),
        }
    }

    pub fn load(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Puts in force what is now set at run time. Gives what it had to leave out, and why: values
    /// were checked before they were recorded, but perhaps by another release.
    pub fn update(&self, dynamic_default: &Overrides, dynamic: &Overrides) -> Vec<ConfigError> {
        let mut wrong = Vec::new();
        let mut cluster = usable(Level::Cluster, dynamic_default, &mut wrong);
        let mut broker = usable(Level::Broker, dynamic, &mut wrong);
        let config = loop {
            match self.together(&cluster, &broker) {
                Ok(config) => break config,
                Err(error) => {
                    leave_out(&error, &mut cluster, &mut broker);
                    wrong.push(error);
                }
            }
        };
        self.in_force.store(Arc::new(InForce {
            config: Arc::new(config),
            started: self.started.clone(),
            dynamic_default: cluster,
            dynamic: broker,
        }));
        wrong
    }

    /// Would the broker take `wanted` as all that is set at this level? Refuses keys that cannot
    /// change while it runs, wrong values, and what contradicts the rest of the configuration.
    pub fn check(&self, level: Level, wanted: &Overrides) -> Result<(), ConfigError> {
        check_each(level, wanted)?;
        let now = self.load();
        let next = match level {
            Level::Cluster => self.together(wanted, &now.dynamic)?,
            Level::Broker => self.together(&now.dynamic_default, wanted)?,
        };
        check_threads(&now.config.properties, &next.properties)?;
        check_cleaner_threads(now.config.cleaner.threads, next.cleaner.threads)?;
        check_local_retention(&next.properties)
    }

    fn together(
        &self,
        dynamic_default: &Overrides,
        dynamic: &Overrides,
    ) -> Result<BrokerConfig, ConfigError> {
        let mut properties = self.started.properties.clone();
        lay_over(&mut properties, dynamic_default);
        lay_over(&mut properties, dynamic);
        let (config, _) = BrokerConfig::from_properties(&properties)?;
        check_unchangeable(&self.started, &config)?;
        Ok(config)
    }
}

/// The part of `set` that can be used at this level.
pub fn usable(level: Level, set: &Overrides, wrong: &mut Vec<ConfigError>) -> Overrides {
    let mut usable = set.clone();
    usable.retain(|name, text| {
        let alone = Overrides::from([(name.clone(), text.clone())]);
        check_each(level, &alone).map_err(|e| wrong.push(e)).is_ok()
    });
    usable
}

/// All names of a setting give way together: `log.retention.ms` set at run time wins over a
/// `log.retention.hours` in the file, and so it would if the file had the stronger name.
fn lay_over(properties: &mut Properties, over: &Overrides) {
    for (name, text) in over {
        for other in keys::family(name).unwrap_or_default() {
            properties.remove(other);
        }
        properties.set(name, text);
    }
}

/// Takes out the key that `error` names. Where it names none, this broker's own values go first.
fn leave_out(error: &ConfigError, cluster: &mut Overrides, broker: &mut Overrides) {
    let named = error
        .key()
        .is_some_and(|key| broker.remove(key).or_else(|| cluster.remove(key)).is_some());
    if !named {
        let all = if broker.is_empty() { cluster } else { broker };
        all.clear();
    }
}

/// What can be said of each key by itself (`DynamicBrokerConfig.validateConfigs`).
fn check_each(level: Level, wanted: &Overrides) -> Result<(), ConfigError> {
    let refuse = |wrong: fn(&str) -> bool, reason: &str| {
        let wrong: Vec<&str> = wanted
            .keys()
            .map(String::as_str)
            .filter(|n| wrong(n))
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let reason = format!("{reason}: [{}]", wrong.join(", "));
        Err(ConfigError::conflict(reason))
    };
    refuse(is_read_only, "Cannot update these configs dynamically")?;
    refuse(
        |name| PER_LISTENER.contains(&name),
        "These security configs can be dynamically updated only per-listener using the listener \
         prefix",
    )?;
    for (name, text) in wanted {
        if let Some(key) = keys::base_key(name).filter(|key| is_dynamic(key.scope)) {
            Value::parse(key, text)?;
        }
    }
    if level == Level::Cluster {
        refuse(
            is_per_broker,
            "Cannot update these configs at default cluster level, broker id must be specified",
        )?;
    }
    Ok(())
}

fn is_read_only(name: &str) -> bool {
    keys::broker_key(name).is_some_and(|key| key.scope == Scope::ReadOnly)
}

fn is_dynamic(scope: Scope) -> bool {
    matches!(scope, Scope::PerBroker | Scope::ClusterWide)
}

fn is_per_broker(name: &str) -> bool {
    if let Some(key) = keys::broker_key(name) {
        return key.scope == Scope::PerBroker;
    }
    let listeners = name.strip_prefix("listener.name.");
    listeners
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(_, base)| !CLUSTER_WIDE_OF_LISTENER.contains(&base))
}

/// What Apache Kafka changes in a running broker, and Ottla does not.
fn check_unchangeable(started: &BrokerConfig, next: &BrokerConfig) -> Result<(), ConfigError> {
    let text = |config: &BrokerConfig, key: &str| config.properties.get(key).map(str::to_owned);
    let refused = |key: &str, reason: &str| {
        let value = text(next, key).unwrap_or_default();
        Err(ConfigError::refused(key, &value, reason))
    };
    if next.listeners != started.listeners {
        let reason = "listeners cannot be opened or closed while this broker runs";
        return refused("listeners", reason);
    }
    let key = "metric.reporters";
    if text(next, key) != text(started, key) {
        return refused(key, "Java classes cannot be loaded here");
    }
    Ok(())
}

fn check_threads(now: &Properties, next: &Properties) -> Result<(), ConfigError> {
    for name in THREADS {
        let count = |properties| Read { properties }.int(name);
        let (old, new) = (count(now), count(next));
        let wrong = |reason: String| {
            let reason = format!("value should {reason} the current value {old}");
            Err(ConfigError::value(name, &new.to_string(), reason))
        };
        if new != old && new < old / 2 {
            return wrong("be at least half".to_owned());
        }
        if new != old && i64::from(new) > i64::from(old) * 2 {
            return wrong("not be greater than double".to_owned());
        }
    }
    Ok(())
}

/// Rules of `LogCleaner.validateReconfiguration`.
fn check_cleaner_threads(now: u32, next: u32) -> Result<(), ConfigError> {
    let refused = |reason| {
        let reason = format!("Log cleaner threads {reason}");
        Err(ConfigError::conflict(reason))
    };
    if next < 1 {
        return refused("should be at least 1".to_owned());
    }
    if next < now / 2 {
        return refused(format!(
            "cannot be reduced to less than half the current value {now}"
        ));
    }
    if next > now.saturating_mul(2) {
        return refused(format!(
            "cannot be increased to more than double the current value {now}"
        ));
    }
    Ok(())
}

/// What stays on local disks cannot be more than what is kept at all.
fn check_local_retention(next: &Properties) -> Result<(), ConfigError> {
    const AS_ALL: i64 = -2;
    let topic = super::TopicConfig::from_broker(next)?;
    for (key, local, all) in [
        (
            "log.local.retention.ms",
            topic.local_retention_ms,
            topic.retention_ms,
        ),
        (
            "log.local.retention.bytes",
            topic.local_retention_bytes,
            topic.retention_bytes,
        ),
    ] {
        let Some(all) = all.filter(|_| local != AS_ALL) else {
            continue;
        };
        if local == -1 || local > all {
            let reason = format!("Value must not be more than what is kept in all: {all}");
            return Err(ConfigError::value(key, &local.to_string(), reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(text: &str) -> LiveConfig {
        let properties = Properties::parse(text).unwrap();
        let (config, _) = BrokerConfig::from_properties(&properties).unwrap();
        LiveConfig::new(Arc::new(config))
    }

    fn set(pairs: &[(&str, &str)]) -> Overrides {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn refusal(live: &LiveConfig, level: Level, pair: (&str, &str)) -> String {
        match live.check(level, &set(&[pair])) {
            Err(error) => error.to_string(),
            Ok(()) => panic!("accepted: {pair:?}"),
        }
    }

    #[test]
    fn this_brokers_value_wins_over_all_brokers_and_that_over_the_file() {
        let live = started("log.segment.bytes=2000000\nmessage.max.bytes=1000");
        let segment = |live: &LiveConfig| live.load().config.topic_defaults.segment_bytes;
        assert_eq!(segment(&live), 2_000_000);
        let cluster = set(&[("log.segment.bytes", "3000000")]);
        assert_eq!(live.update(&cluster, &set(&[])), []);
        assert_eq!(segment(&live), 3_000_000);
        let own = set(&[("log.segment.bytes", "4000000")]);
        assert_eq!(live.update(&cluster, &own), []);
        assert_eq!(segment(&live), 4_000_000);
        assert_eq!(live.load().config.topic_defaults.max_message_bytes, 1000);
        assert_eq!(live.update(&set(&[]), &set(&[])), []);
        assert_eq!(segment(&live), 2_000_000);
    }

    #[test]
    fn a_setting_has_one_value_under_all_its_names() {
        let live = started("log.retention.hours=1\nlog.retention.minutes=1");
        live.update(&set(&[("log.retention.ms", "5")]), &set(&[]));
        let now = live.load();
        assert_eq!(now.config.topic_defaults.retention_ms, Some(5));
        assert_eq!(now.config.properties.get("log.retention.minutes"), None);
    }

    #[test]
    fn what_is_read_once_cannot_be_changed() {
        let live = started("");
        assert_eq!(
            refusal(&live, Level::Broker, ("num.partitions", "2")),
            "Cannot update these configs dynamically: [num.partitions]"
        );
        assert!(
            refusal(&live, Level::Broker, ("ssl.keystore.location", "/k"))
                .starts_with("These security configs can be dynamically updated only per-listener")
        );
        let location = ("listener.name.x.ssl.keystore.location", "/k");
        assert_eq!(live.check(Level::Broker, &set(&[location])), Ok(()));
        assert_eq!(
            refusal(&live, Level::Cluster, location),
            "Cannot update these configs at default cluster level, broker id must be specified: \
             [listener.name.x.ssl.keystore.location]"
        );
        let limit = [("listener.name.x.max.connections", "5")];
        assert_eq!(live.check(Level::Cluster, &set(&limit)), Ok(()));
    }

    #[test]
    fn what_cannot_be_changed_here_is_refused_and_not_ignored() {
        let live = started("listeners=PLAINTEXT://:9092");
        let same = [("listeners", "PLAINTEXT://:9092")];
        assert_eq!(live.check(Level::Broker, &set(&same)), Ok(()));
        for pair in [
            ("listeners", "PLAINTEXT://:9093"),
            ("metric.reporters", "com.example.Reporter"),
            ("principal.builder.class", "com.example.Builder"),
        ] {
            refusal(&live, Level::Broker, pair);
        }
    }

    #[test]
    fn a_value_that_is_wrong_or_contradicts_the_rest_is_refused() {
        let live = started("log.cleaner.max.compaction.lag.ms=5");
        for pair in [
            ("log.cleaner.min.compaction.lag.ms", "6"),
            ("log.local.retention.ms", "700000000"),
            ("log.retention.ms", "0"),
            ("log.segment.bytes", "100"),
            ("max.connections.per.ip", "0"),
            ("message.max.bytes", "many"),
        ] {
            refusal(&live, Level::Broker, pair);
        }
    }

    #[test]
    fn threads_are_doubled_or_halved_at_most() {
        let live = started("num.io.threads=8");
        for fine in ["4", "8", "16"] {
            let wanted = set(&[("num.io.threads", fine)]);
            assert_eq!(live.check(Level::Cluster, &wanted), Ok(()));
        }
        refusal(&live, Level::Cluster, ("num.io.threads", "3"));
        refusal(&live, Level::Cluster, ("num.io.threads", "17"));
    }

    #[test]
    fn a_recorded_value_that_cannot_be_used_does_not_take_the_others_with_it() {
        let live = started("");
        let own = set(&[
            ("log.retention.bytes", "7"),
            ("log.retention.ms", "soon"),
            ("listeners", "PLAINTEXT://:1"),
            ("num.partitions", "2"),
        ]);
        assert_eq!(live.update(&set(&[]), &own).len(), 3);
        let now = live.load();
        assert_eq!(now.config.topic_defaults.retention_bytes, Some(7));
        assert_eq!(now.dynamic.len(), 1);
    }
}
