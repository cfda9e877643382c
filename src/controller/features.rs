//! Raising and lowering the cluster's features (`FeatureControlManager`).

use crate::metadata::{
    ELIGIBLE_LEADER_REPLICAS, METADATA_VERSION_NAME, MetadataImage, MetadataRecord,
    SupportedFeature, UNSUPPORTED_FEATURES, metadata_changed_between,
};
use crate::protocol::messages::FeatureLevelRecord;
use crate::types::NodeId;

/// A level that a feature is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    pub name: String,
    pub level: i16,
    pub direction: Direction,
}

/// What the request allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
    Unknown,
}

impl Direction {
    /// By `FeatureUpdate.UpgradeType`'s code.
    pub fn from_code(code: i8) -> Direction {
        match code {
            1 => Direction::Upgrade,
            2 => Direction::SafeDowngrade,
            3 => Direction::UnsafeDowngrade,
            _ => Direction::Unknown,
        }
    }
}

/// Why no feature is changed: one of them cannot be. The texts are Kafka's: its tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    #[error("Invalid update version {level} for feature {name}. {reason}")]
    Level {
        name: String,
        level: i16,
        reason: String,
    },
    #[error("Unsupported metadata.version downgrade from {from} to {to}. {reason}")]
    MetadataDowngrade {
        from: i16,
        to: i16,
        reason: &'static str,
    },
}

/// All of the updates or none. `node` is the controller's own id.
pub(super) fn plan(
    image: &MetadataImage,
    updates: &[FeatureUpdate],
    node: NodeId,
) -> Result<Vec<MetadataRecord>, FeatureError> {
    let mut records = Vec::new();
    for update in updates {
        let now = image.features.get(&update.name).copied().unwrap_or(0);
        check(update, now, node)?;
        // To turn off what is off already changes nothing.
        if update.level > 0 || now > 0 {
            let record = FeatureLevelRecord {
                name: update.name.clone().into(),
                feature_level: update.level,
            };
            records.push(record.into());
        }
    }
    Ok(records)
}

/// Whether replicas that are not in sync may lead from then on, and could not before.
pub(super) fn lets_eligible_leaders_in(image: &MetadataImage, updates: &[FeatureUpdate]) -> bool {
    let raised =
        |update: &FeatureUpdate| update.name == ELIGIBLE_LEADER_REPLICAS && update.level > 0;
    let now = image.features.get(ELIGIBLE_LEADER_REPLICAS);
    now.is_none() && updates.iter().any(raised)
}

fn check(update: &FeatureUpdate, now: i16, node: NodeId) -> Result<(), FeatureError> {
    let refuse = |reason: String| {
        Err(FeatureError::Level {
            name: update.name.clone(),
            level: update.level,
            reason,
        })
    };
    if update.direction == Direction::Unknown {
        return refuse("The controller does not support the given upgrade type.".to_owned());
    }
    if update.level < 0 {
        return refuse("A feature version cannot be less than 0.".to_owned());
    }
    match SupportedFeature::find(&update.name) {
        Some(known) if !known.has(update.level) => {
            return refuse(format!(
                "Local controller {node} only supports versions {known}"
            ));
        }
        None if update.level > 0 => {
            return refuse(format!(
                "Local controller {node} does not support this feature."
            ));
        }
        _ => {}
    }
    if update.level < now && update.direction == Direction::Upgrade {
        return refuse(
            "Can't downgrade the version of this feature without setting the upgrade type to either \
             safe or unsafe downgrade."
                .to_owned(),
        );
    }
    if update.level > now && update.direction != Direction::Upgrade {
        return refuse("Can't downgrade to a newer version.".to_owned());
    }
    if update.name == METADATA_VERSION_NAME {
        return check_metadata_version(update, now);
    }
    let is_kafkas = UNSUPPORTED_FEATURES.contains(&&*update.name);
    if SupportedFeature::find(&update.name).is_none() && !is_kafkas {
        return refuse(format!("Feature {} not found.", update.name));
    }
    Ok(())
}

fn check_metadata_version(update: &FeatureUpdate, now: i16) -> Result<(), FeatureError> {
    if update.level >= now || !metadata_changed_between(update.level, now) {
        return Ok(());
    }
    Err(FeatureError::MetadataDowngrade {
        from: now,
        to: update.level,
        reason: if update.direction == Direction::UnsafeDowngrade {
            "Unsafe metadata downgrade is not supported in this version."
        } else {
            "Refusing to perform the requested downgrade because it might delete metadata information."
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(levels: &[(&str, i16)]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for (name, level) in levels {
            image.features.insert((*name).to_owned(), *level);
        }
        image
    }

    fn update(
        image: &MetadataImage,
        name: &str,
        level: i16,
        direction: Direction,
    ) -> Result<usize, String> {
        let update = FeatureUpdate {
            name: name.to_owned(),
            level,
            direction,
        };
        let planned = plan(image, &[update], NodeId(1));
        planned
            .map(|records| records.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_level_that_does_not_work_here_is_refused() {
        let image = image(&[("metadata.version", 30)]);
        assert_eq!(
            update(&image, "metadata.version", 31, Direction::Upgrade).unwrap_err(),
            "Invalid update version 31 for feature metadata.version. Local controller 1 only \
             supports versions 7-30"
        );
        assert_eq!(
            update(&image, "transaction.version", 2, Direction::Upgrade).unwrap_err(),
            "Invalid update version 2 for feature transaction.version. Local controller 1 does not \
             support this feature."
        );
    }

    #[test]
    fn what_does_not_work_here_can_be_turned_off() {
        let taken_over = image(&[("metadata.version", 30), ("transaction.version", 2)]);
        let off = |direction| update(&taken_over, "transaction.version", 0, direction);
        assert_eq!(off(Direction::SafeDowngrade), Ok(1));
        assert!(off(Direction::Upgrade).unwrap_err().contains("downgrade"));
        let never_on = update(&taken_over, "group.version", 0, Direction::UnsafeDowngrade);
        assert_eq!(never_on, Ok(0));
        let unknown = update(&taken_over, "no.such", 0, Direction::UnsafeDowngrade);
        assert!(unknown.unwrap_err().ends_with("Feature no.such not found."));
    }

    #[test]
    fn metadata_is_never_written_in_a_way_that_loses_what_it_says() {
        let now = image(&[("metadata.version", 30)]);
        let down = |direction| update(&now, "metadata.version", 29, direction).unwrap_err();
        assert!(down(Direction::SafeDowngrade).ends_with("might delete metadata information."));
        assert!(down(Direction::UnsafeDowngrade).ends_with("not supported in this version."));
        let older = image(&[("metadata.version", 29)]);
        let back = update(&older, "metadata.version", 24, Direction::SafeDowngrade);
        assert_eq!(back, Ok(1));
        assert_eq!(
            update(&older, "metadata.version", 30, Direction::Upgrade),
            Ok(1)
        );
    }

    #[test]
    fn a_direction_that_does_not_fit_is_refused() {
        let image = image(&[("metadata.version", 29)]);
        let up = update(&image, "metadata.version", 30, Direction::SafeDowngrade);
        assert!(
            up.unwrap_err()
                .ends_with("Can't downgrade to a newer version.")
        );
        let unknown = update(&image, "metadata.version", 30, Direction::Unknown);
        assert!(unknown.unwrap_err().contains("upgrade type"));
        let negative = update(&image, "metadata.version", -1, Direction::SafeDowngrade);
        assert!(negative.unwrap_err().contains("less than 0"));
    }

    #[test]
    fn one_update_that_is_refused_keeps_the_others_from_being_made() {
        let image = image(&[("metadata.version", 29)]);
        let up = |name: &str, level| FeatureUpdate {
            name: name.to_owned(),
            level,
            direction: Direction::Upgrade,
        };
        let updates = [up("metadata.version", 30), up("share.version", 1)];
        assert!(plan(&image, &updates, NodeId(1)).is_err());
    }
}
