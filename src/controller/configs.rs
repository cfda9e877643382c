//! Changing configurations (rules of `ConfigurationControlManager` and its validator): pure, on an
//! image.

use crate::config::{
    self, BrokerConfig, ConfigError, Overrides, SubscriptionError, TopicConfig, keys,
};
use crate::metadata::{
    ConfigKind, ConfigResource, ELIGIBLE_LEADER_REPLICAS, MetadataImage, MetadataRecord,
};
use crate::protocol::messages::{ClearElrRecord, ConfigRecord};
use crate::quorum::QuorumError;
use crate::types::{NodeId, TopicName, TopicNameError};
use std::fmt;

/// Records that one request may write.
const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// Longest text of a value, in the UTF-16 units that Java counts.
const VALUE_LEN_MAX: usize = 32_767;

pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// A change of what is set for one resource. Either all of it is made or nothing.
#[derive(Clone, Debug)]
pub struct AlterConfigs {
    pub resource: ConfigResource,
    pub change: ConfigChange,
}

#[derive(Clone, Debug)]
pub enum ConfigChange {
    /// Each key by itself; what is not named stays. No key is named twice.
    Keys(Vec<(String, KeyChange)>),
    /// What is not named goes.
    Replace(Overrides),
}

/// What happens with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    Set(String),
    Delete,
    /// Adds those of the entries that the list does not have.
    Append(String),
    /// Takes the entries out of the list.
    Subtract(String),
}

/// Why a configuration is not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AlterConfigsError {
    #[error("Default {0} resources are not allowed.")]
    NoName(&'static str),
    #[error("Topic name is invalid: {0}")]
    TopicName(#[from] TopicNameError),
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    #[error("Unable to parse broker name as a base 10 number.")]
    BrokerName,
    #[error("Invalid negative broker ID.")]
    NegativeBroker,
    #[error("No node with id {0} found.")]
    UnknownBroker(NodeId),
    /// Never reaches the metadata: levels of loggers are this broker's own.
    #[error("Unknown resource type BROKER_LOGGER")]
    Logger,
    #[error("Can't {change} to key {key} because its type is not LIST.")]
    NotAList { change: KeyChange, key: String },
    #[error(
        "The configuration value cannot be added because it exceeds the maximum value size of \
         {VALUE_LEN_MAX} bytes."
    )]
    ValueTooLong,
    #[error("{0} min.insync.replicas cannot be {1} while ELR is enabled.")]
    MinInsyncReplicas(&'static str, &'static str),
    #[error("{0}")]
    Config(ConfigError),
    #[error("{0}")]
    Subscription(SubscriptionError),
    #[error("The request would write {0} records; {RECORDS_PER_REQUEST_MAX} are allowed.")]
    TooManyRecords(usize),
    #[error("{0}")]
    Quorum(QuorumError),
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyChange::Set(_) => "SET",
            KeyChange::Delete => "DELETE",
            KeyChange::Append(_) => "APPEND",
            KeyChange::Subtract(_) => "SUBTRACT",
        })
    }
}

impl ConfigChange {
    /// What is set once the change is made to `before`. Values are not looked at.
    pub fn applied_to(
        &self,
        kind: ConfigKind,
        before: &Overrides,
    ) -> Result<Overrides, AlterConfigsError> {
        Ok(with(before, &self.changed(kind, before)?))
    }

    /// Every key that is touched, with its new text; `None` takes it away.
    fn changed(
        &self,
        kind: ConfigKind,
        before: &Overrides,
    ) -> Result<Vec<(String, Option<String>)>, AlterConfigsError> {
        match self {
            ConfigChange::Keys(changes) => changed_keys(kind, before, changes),
            ConfigChange::Replace(values) => Ok(replaced(before, values)),
        }
    }
}

/// Decides for each resource by itself. `config` is the controller's own.
pub(super) fn plan_changes(
    image: &MetadataImage,
    config: &BrokerConfig,
    asked: &[AlterConfigs],
) -> Vec<Result<Vec<MetadataRecord>, AlterConfigsError>> {
    let plans = asked.iter().map(|asked| plan(image, config, asked));
    let plans: Vec<Result<Vec<MetadataRecord>, AlterConfigsError>> = plans.collect();
    let total: usize = plans.iter().flatten().map(Vec::len).sum();
    if total > RECORDS_PER_REQUEST_MAX {
        let refused = || Err(AlterConfigsError::TooManyRecords(total));
        return plans.iter().map(|_| refused()).collect();
    }
    plans
}

fn plan(
    image: &MetadataImage,
    config: &BrokerConfig,
    asked: &AlterConfigs,
) -> Result<Vec<MetadataRecord>, AlterConfigsError> {
    let resource = &asked.resource;
    let before = image.config_of(resource.kind, &resource.name);
    let mut changed = asked.change.changed(resource.kind, &before)?;
    let after = with(&before, &changed);
    // A broker reloads files behind its keys whenever one is written, even with the same value.
    if resource.kind != ConfigKind::Broker {
        changed.retain(|(name, value)| before.get(name) != value.as_ref());
    }
    let elr = image.features.get(ELIGIBLE_LEADER_REPLICAS) >= Some(&1);
    for (name, value) in &changed {
        if elr {
            check_min_insync_replicas(resource, name, value.is_none())?;
        }
        let units = value
            .as_ref()
            .map_or(0, |value| value.encode_utf16().count());
        if units > VALUE_LEN_MAX {
            return Err(AlterConfigsError::ValueTooLong);
        }
    }
    check_values(resource, config, &after)?;
    check_exists(image, resource)?;
    let clears_elr = elr && changed.iter().any(|(name, _)| name == MIN_INSYNC_REPLICAS);
    let record = |(name, value): (String, Option<String>)| ConfigRecord {
        resource_type: resource.kind as i8,
        resource_name: resource.name.clone().into(),
        name: name.into(),
        value: value.map(Into::into),
    };
    let mut records: Vec<MetadataRecord> =
        changed.into_iter().map(record).map(Into::into).collect();
    if clears_elr {
        let topic = resource.kind == ConfigKind::Topic;
        let topic_name = if topic {
            resource.name.clone()
        } else {
            String::new()
        };
        let topic_name = topic_name.into();
        records.push(ClearElrRecord { topic_name }.into());
    }
    Ok(records)
}

/// `before` with these keys set, or taken away.
fn with(before: &Overrides, changed: &[(String, Option<String>)]) -> Overrides {
    let mut after = before.clone();
    for (name, value) in changed {
        match value {
            Some(value) => after.insert(name.clone(), value.clone()),
            None => after.remove(name),
        };
    }
    after
}

fn changed_keys(
    kind: ConfigKind,
    before: &Overrides,
    changes: &[(String, KeyChange)],
) -> Result<Vec<(String, Option<String>)>, AlterConfigsError> {
    let change = |(name, change): &(String, KeyChange)| {
        let value = match change {
            KeyChange::Set(value) => Some(value.clone()),
            KeyChange::Delete => None,
            KeyChange::Append(entries) | KeyChange::Subtract(entries) => {
                let Some(key) = list_key(kind, name) else {
                    let (change, key) = (change.clone(), name.clone());
                    return Err(AlterConfigsError::NotAList { change, key });
                };
                let old = before.get(name).map(String::as_str).or(key.default);
                let append = matches!(change, KeyChange::Append(_));
                Some(changed_list(old.unwrap_or(""), entries, append))
            }
        };
        Ok((name.clone(), value))
    };
    changes.iter().map(change).collect()
}

/// Kafka's controller knows the types of brokers' and topics' keys only.
fn list_key(kind: ConfigKind, name: &str) -> Option<&'static keys::Key> {
    let key = match kind {
        ConfigKind::Broker => keys::broker_key(name),
        ConfigKind::Topic => keys::topic_key(name),
        ConfigKind::BrokerLogger | ConfigKind::ClientMetrics | ConfigKind::Group => None,
    };
    key.filter(|key| key.kind == keys::Kind::List)
}

fn changed_list(old: &str, entries: &str, append: bool) -> String {
    let mut list: Vec<&str> = old.split(',').filter(|entry| !entry.is_empty()).collect();
    for entry in entries.split(',') {
        match list.iter().position(|old| *old == entry) {
            None if append => list.push(entry),
            Some(at) if !append => {
                list.remove(at);
            }
            _ => {}
        }
    }
    list.join(",")
}

fn replaced(before: &Overrides, values: &Overrides) -> Vec<(String, Option<String>)> {
    let set = values
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())));
    let gone = before.keys().filter(|name| !values.contains_key(*name));
    set.chain(gone.map(|name| (name.clone(), None))).collect()
}

/// Which replicas may lead without having been in sync is decided by the cluster's value alone.
fn check_min_insync_replicas(
    resource: &ConfigResource,
    name: &str,
    removed: bool,
) -> Result<(), AlterConfigsError> {
    if name != MIN_INSYNC_REPLICAS || resource.kind != ConfigKind::Broker {
        return Ok(());
    }
    if !resource.name.is_empty() {
        return Err(AlterConfigsError::MinInsyncReplicas(
            "Broker-level",
            "altered",
        ));
    }
    if removed {
        return Err(AlterConfigsError::MinInsyncReplicas(
            "Cluster-level",
            "removed",
        ));
    }
    Ok(())
}

/// Would these be fine as all that is set for the resource? A broker has checked its own before.
fn check_values(
    resource: &ConfigResource,
    config: &BrokerConfig,
    values: &Overrides,
) -> Result<(), AlterConfigsError> {
    let name = &resource.name;
    match resource.kind {
        ConfigKind::Topic => {
            if name.is_empty() {
                return Err(AlterConfigsError::NoName("topic"));
            }
            TopicName::parse(name)?;
            TopicConfig::resolve(&config.topic_defaults, values)
                .map_err(AlterConfigsError::Config)?;
        }
        ConfigKind::Broker if name.is_empty() => {}
        ConfigKind::Broker => {
            if broker_id(name)? < 0 {
                return Err(AlterConfigsError::NegativeBroker);
            }
        }
        ConfigKind::ClientMetrics => {
            if name.is_empty() {
                let text = "Subscription name can't be empty".to_owned();
                let error = SubscriptionError::Request(text);
                return Err(AlterConfigsError::Subscription(error));
            }
            config::validate_client_metrics_config(values)
                .map_err(AlterConfigsError::Subscription)?;
        }
        ConfigKind::Group => {
            if name.is_empty() {
                return Err(AlterConfigsError::NoName("group"));
            }
            config::validate_group_config(values, &config.properties)
                .map_err(AlterConfigsError::Config)?;
        }
        ConfigKind::BrokerLogger => return Err(AlterConfigsError::Logger),
    }
    Ok(())
}

/// Groups and subscriptions need not exist; they do once something is set for them.
fn check_exists(image: &MetadataImage, resource: &ConfigResource) -> Result<(), AlterConfigsError> {
    let name = &resource.name;
    match resource.kind {
        ConfigKind::Topic if image.topic(name).is_none() => {
            Err(AlterConfigsError::UnknownTopic(name.clone()))
        }
        ConfigKind::Broker if !name.is_empty() => {
            let id = NodeId(broker_id(name)?);
            if image.brokers.contains_key(&id) {
                Ok(())
            } else {
                Err(AlterConfigsError::UnknownBroker(id))
            }
        }
        _ => Ok(()),
    }
}

fn broker_id(name: &str) -> Result<i32, AlterConfigsError> {
    name.parse().map_err(|_| AlterConfigsError::BrokerName)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::{FeatureLevelRecord, RegisterBrokerRecord, TopicRecord};
    use crate::types::Uuid;

    fn image() -> MetadataImage {
        let mut image = MetadataImage::default();
        let broker = RegisterBrokerRecord {
            broker_id: 1,
            ..Default::default()
        };
        image.apply(&broker.into()).unwrap();
        let topic = TopicRecord {
            name: "t".into(),
            topic_id: Uuid::from_bytes([1; 16]),
        };
        image.apply(&topic.into()).unwrap();
        image
    }

    fn asked(kind: ConfigKind, name: &str, change: ConfigChange) -> AlterConfigs {
        let resource = ConfigResource::new(kind, name);
        AlterConfigs { resource, change }
    }

    fn keys(changes: &[(&str, KeyChange)]) -> ConfigChange {
        let change = |(name, change): &(&str, KeyChange)| ((*name).to_owned(), change.clone());
        ConfigChange::Keys(changes.iter().map(change).collect())
    }

    fn set(name: &str, value: &str) -> ConfigChange {
        keys(&[(name, KeyChange::Set(value.to_owned()))])
    }

    /// What is set for the resource once the change is made.
    fn made(image: &mut MetadataImage, asked: AlterConfigs) -> Result<Overrides, String> {
        let resource = asked.resource.clone();
        let plan = plan_changes(image, &BrokerConfig::default(), &[asked]).remove(0);
        for record in plan.map_err(|error| error.to_string())? {
            image.apply(&record).unwrap();
        }
        Ok((*image.config_of(resource.kind, &resource.name)).clone())
    }

    fn refused(asked: AlterConfigs) -> String {
        made(&mut image(), asked).unwrap_err()
    }

    fn pairs(values: &Overrides) -> Vec<(&str, &str)> {
        let values = values.iter();
        values.map(|(name, value)| (&**name, &**value)).collect()
    }

    #[test]
    fn a_key_is_set_and_taken_away_and_the_others_stay() {
        let mut image = image();
        let topic = |change| asked(ConfigKind::Topic, "t", change);
        made(&mut image, topic(set("retention.ms", "5"))).unwrap();
        let values = made(&mut image, topic(set("segment.bytes", "2000000"))).unwrap();
        assert_eq!(
            pairs(&values),
            [("retention.ms", "5"), ("segment.bytes", "2000000")]
        );
        let delete = keys(&[
            ("retention.ms", KeyChange::Delete),
            ("preallocate", KeyChange::Delete),
        ]);
        let values = made(&mut image, topic(delete)).unwrap();
        assert_eq!(pairs(&values), [("segment.bytes", "2000000")]);
        let replace = ConfigChange::Replace(Overrides::from([("flush.ms".into(), "1".into())]));
        let values = made(&mut image, topic(replace)).unwrap();
        assert_eq!(pairs(&values), [("flush.ms", "1")]);
    }

    #[test]
    fn what_does_not_change_is_not_recorded_unless_it_is_a_brokers() {
        let mut image = image();
        for (kind, name, key, records) in [
            (ConfigKind::Topic, "t", "retention.ms", 0),
            (ConfigKind::Broker, "1", "log.retention.ms", 1),
        ] {
            let again = asked(kind, name, set(key, "5"));
            made(&mut image, again.clone()).unwrap();
            let plan = plan_changes(&image, &BrokerConfig::default(), &[again]).remove(0);
            assert_eq!(plan.unwrap().len(), records);
        }
    }

    #[test]
    fn lists_grow_and_shrink_from_their_default_on() {
        let mut image = image();
        let policy = |image: &mut MetadataImage, change| {
            let change = keys(&[("cleanup.policy", change)]);
            made(image, asked(ConfigKind::Topic, "t", change)).unwrap()["cleanup.policy"].clone()
        };
        let append = KeyChange::Append("compact,delete".into());
        assert_eq!(policy(&mut image, append), "delete,compact");
        let subtract = KeyChange::Subtract("delete".into());
        assert_eq!(policy(&mut image, subtract), "compact");
        let subtract = KeyChange::Subtract("compact".into());
        assert_eq!(policy(&mut image, subtract), "");
    }

    #[test]
    fn only_lists_can_be_appended_to() {
        let append = |kind, name, key| {
            let change = keys(&[(key, KeyChange::Append("1".into()))]);
            refused(asked(kind, name, change))
        };
        assert_eq!(
            append(ConfigKind::Topic, "t", "retention.ms"),
            "Can't APPEND to key retention.ms because its type is not LIST."
        );
        assert_eq!(
            append(ConfigKind::ClientMetrics, "m", "metrics"),
            "Can't APPEND to key metrics because its type is not LIST."
        );
    }

    #[test]
    fn a_wrong_key_keeps_the_whole_resource_as_it_was() {
        let change = keys(&[
            ("retention.ms", KeyChange::Set("5".into())),
            ("segment.bytes", KeyChange::Set("1".into())),
        ]);
        let error = refused(asked(ConfigKind::Topic, "t", change));
        assert_eq!(
            error,
            "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"
        );
    }

    #[test]
    fn values_are_checked_before_it_is_asked_whether_the_resource_exists() {
        let error = refused(asked(ConfigKind::Topic, "none", set("nonsense", "1")));
        assert_eq!(error, "Unknown topic config name: nonsense");
        let error = refused(asked(ConfigKind::Topic, "none", set("retention.ms", "1")));
        assert_eq!(error, "The topic 'none' does not exist.");
        let error = refused(asked(ConfigKind::Broker, "7", set("log.retention.ms", "1")));
        assert_eq!(error, "No node with id 7 found.");
    }

    #[test]
    fn groups_and_subscriptions_need_a_name_and_no_more() {
        let group = set("consumer.session.timeout.ms", "50000");
        assert!(made(&mut image(), asked(ConfigKind::Group, "g", group.clone())).is_ok());
        assert_eq!(
            refused(asked(ConfigKind::Group, "", group)),
            "Default group resources are not allowed."
        );
        let metrics = set("interval.ms", "1000");
        assert!(made(&mut image(), asked(ConfigKind::ClientMetrics, "m", metrics)).is_ok());
    }

    #[test]
    fn a_value_longer_than_java_can_write_is_refused() {
        let long = "0:1,".repeat(VALUE_LEN_MAX / 4 + 1);
        let change = set("leader.replication.throttled.replicas", &long);
        let error = refused(asked(ConfigKind::Topic, "t", change));
        assert!(error.contains("maximum value size"), "{error}");
    }

    #[test]
    fn with_eligible_leaders_the_clusters_min_insync_replicas_stands_alone() {
        let mut image = image();
        let feature = FeatureLevelRecord {
            name: ELIGIBLE_LEADER_REPLICAS.into(),
            feature_level: 1,
        };
        image.apply(&feature.into()).unwrap();
        let change = |name, change| {
            asked(
                ConfigKind::Broker,
                name,
                keys(&[(MIN_INSYNC_REPLICAS, change)]),
            )
        };
        let own = change("1", KeyChange::Set("2".into()));
        assert_eq!(
            made(&mut image, own).unwrap_err(),
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled."
        );
        let all = change("", KeyChange::Set("2".into()));
        let plan = plan_changes(&image, &BrokerConfig::default(), &[all]).remove(0);
        assert!(matches!(
            plan.unwrap()[..],
            [MetadataRecord::Config(_), MetadataRecord::ClearElr(_)]
        ));
        assert_eq!(
            made(&mut image, change("", KeyChange::Delete)).unwrap_err(),
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."
        );
    }

    #[test]
    fn a_request_for_more_than_ten_thousand_records_is_refused_whole() {
        let keys = (0..=RECORDS_PER_REQUEST_MAX).map(|n| (format!("mine.{n}"), KeyChange::Delete));
        let many = asked(ConfigKind::Broker, "1", ConfigChange::Keys(keys.collect()));
        let one = asked(ConfigKind::Broker, "", set("log.retention.ms", "1"));
        let plans = plan_changes(&image(), &BrokerConfig::default(), &[many, one]);
        for plan in plans {
            assert!(matches!(plan, Err(AlterConfigsError::TooManyRecords(_))));
        }
    }
}
