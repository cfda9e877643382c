//! What of Kafka's feature flags this broker does, and at which levels.

use std::fmt;

/// `metadata.version` 30 is 4.3-IV0: how the records in our metadata log are written. A new cluster
/// begins with it.
pub const METADATA_VERSION: i16 = 30;

/// The name of the feature whose levels are [`METADATA_VERSION`]s.
pub const METADATA_VERSION_NAME: &str = "metadata.version";

/// The feature of KIP-966: replicas that were in sync when too few were left may lead again.
pub const ELIGIBLE_LEADER_REPLICAS: &str = "eligible.leader.replicas.version";

/// A feature that works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    pub name: &'static str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// The features that this broker knows. Only what works is listed: clients change their behaviour by it.
pub const SUPPORTED_FEATURES: &[SupportedFeature] = &[
    SupportedFeature {
        name: ELIGIBLE_LEADER_REPLICAS,
        min: 0,
        max: 1,
    },
    SupportedFeature {
        name: METADATA_VERSION_NAME,
        min: 7,
        max: METADATA_VERSION,
    },
];

/// Kafka's features that do not work here yet; level 0 says so.
pub const UNSUPPORTED_FEATURES: &[&str] = &[
    "group.version",
    "kraft.version",
    "share.version",
    "streams.version",
    "transaction.version",
];

impl SupportedFeature {
    /// The feature of this name, if it works here.
    pub fn find(name: &str) -> Option<&'static SupportedFeature> {
        SUPPORTED_FEATURES.iter().find(|known| known.name == name)
    }

    pub fn has(&self, level: i16) -> bool {
        (self.min..=self.max).contains(&level)
    }
}

impl fmt::Display for SupportedFeature {
    /// The levels, as Kafka writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

/// Levels of `metadata.version` that brought new records or fields
/// (`MetadataVersion.didMetadataChange`): nobody goes back behind one, as what it brought would be lost.
const METADATA_CHANGES: &[i16] = &[7, 8, 11, 13, 14, 15, 17, 23, 30];

/// Whether records of `metadata.version` `high` may say what `low` cannot.
pub fn metadata_changed_between(low: i16, high: i16) -> bool {
    METADATA_CHANGES
        .iter()
        .any(|change| (low + 1..=high).contains(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_versions_that_only_raise_a_number_can_be_taken_back() {
        assert!(metadata_changed_between(29, 30));
        assert!(metadata_changed_between(7, 30));
        assert!(!metadata_changed_between(23, 29));
        assert!(metadata_changed_between(22, 29));
        assert!(!metadata_changed_between(30, 30));
    }
}
