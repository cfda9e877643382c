//! What a new cluster begins with, and what it takes to let eligible leaders in.

use super::configs::MIN_INSYNC_REPLICAS;
use crate::config::BrokerConfig;
use crate::metadata::{
    ConfigKind, ELIGIBLE_LEADER_REPLICAS, METADATA_VERSION, METADATA_VERSION_NAME, MetadataImage,
    MetadataRecord,
};
use crate::protocol::messages::ConfigRecord;

/// The first records of a metadata log: those that its directory was formatted with, or what this release begins with.
pub fn first_records(
    formatted: Option<MetadataImage>,
    config: &BrokerConfig,
) -> Vec<MetadataRecord> {
    let begun = formatted.unwrap_or_else(|| {
        let mut newest = MetadataImage::default();
        for (feature, level) in [
            (METADATA_VERSION_NAME, METADATA_VERSION),
            (ELIGIBLE_LEADER_REPLICAS, 1),
        ] {
            newest.features.insert(feature.to_owned(), level);
        }
        newest
    });
    let mut records: Vec<MetadataRecord> = begun.records().collect();
    if (begun.features.get(ELIGIBLE_LEADER_REPLICAS)).is_some_and(|level| *level > 0) {
        records.extend(one_min_insync_replicas(&begun, config));
    }
    records
}

/// Has one `min.insync.replicas` for all brokers: with eligible leaders they must agree on when too few
/// replicas are in sync.
pub(super) fn one_min_insync_replicas(
    image: &MetadataImage,
    config: &BrokerConfig,
) -> Vec<MetadataRecord> {
    let record = |broker: &str, value: Option<String>| ConfigRecord {
        resource_type: ConfigKind::Broker as i8,
        resource_name: broker.to_owned().into(),
        name: MIN_INSYNC_REPLICAS.into(),
        value: value.map(Into::into),
    };
    let mut records: Vec<MetadataRecord> = Vec::new();
    let for_all = image.config_of(ConfigKind::Broker, "");
    if !for_all.contains_key(MIN_INSYNC_REPLICAS) {
        let value = config.topic_defaults.min_insync_replicas.to_string();
        records.push(record("", Some(value)).into());
    }
    let brokers = image.configs().filter(|(resource, values)| {
        resource.kind == ConfigKind::Broker
            && !resource.name.is_empty()
            && values.contains_key(MIN_INSYNC_REPLICAS)
    });
    records.extend(brokers.map(|(resource, _)| record(&resource.name, None).into()));
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::ConfigResource;

    fn image(records: &[MetadataRecord]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for record in records {
            image.apply(record).unwrap();
        }
        image
    }

    #[test]
    fn a_new_cluster_has_one_min_insync_replicas_and_says_who_may_lead() {
        let image = image(&first_records(None, &BrokerConfig::default()));
        assert_eq!(image.features[METADATA_VERSION_NAME], METADATA_VERSION);
        assert_eq!(image.features[ELIGIBLE_LEADER_REPLICAS], 1);
        let for_all = image.config_of(ConfigKind::Broker, "");
        assert_eq!(for_all[MIN_INSYNC_REPLICAS], "1");
    }

    #[test]
    fn a_cluster_formatted_without_eligible_leaders_has_no_min_insync_replicas_for_all() {
        let mut formatted = MetadataImage::default();
        (formatted.features).insert(METADATA_VERSION_NAME.to_owned(), 21);
        let records = first_records(Some(formatted.clone()), &BrokerConfig::default());
        assert_eq!(image(&records), formatted);
    }

    #[test]
    fn single_brokers_lose_theirs_and_what_is_set_for_all_stays() {
        let set = |broker: &'static str, value: &'static str| {
            MetadataRecord::from(ConfigRecord {
                resource_type: ConfigKind::Broker as i8,
                resource_name: broker.into(),
                name: MIN_INSYNC_REPLICAS.into(),
                value: Some(value.into()),
            })
        };
        let mut image = image(&[set("", "3"), set("1", "2")]);
        for record in one_min_insync_replicas(&image, &BrokerConfig::default()) {
            image.apply(&record).unwrap();
        }
        let left: Vec<&ConfigResource> = image.configs().map(|(resource, _)| resource).collect();
        assert_eq!(left, [&ConfigResource::new(ConfigKind::Broker, "")]);
        let for_all = image.config_of(ConfigKind::Broker, "");
        assert_eq!(for_all[MIN_INSYNC_REPLICAS], "3");
    }
}
