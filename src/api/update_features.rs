//! UpdateFeatures, key 57, versions 0–2.
//!
//! Raises or lowers the cluster's features, all that are named or none. v0 can only raise: Kafka does not
//! look at its `allow_downgrade` any more. v1: which way, and `validate_only`. v2: one answer for all.

use super::context::{RequestContext, Staged};
use crate::controller::{Controller, Direction, FeatureUpdate, Mode};
use crate::protocol::messages::update_features_response::UpdatableFeatureResult;
use crate::protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use crate::protocol::{ErrorCode, Text};
use std::collections::BTreeMap;

pub(super) fn handle(
    request: &UpdateFeaturesRequest,
    context: &RequestContext,
    controller: &Controller,
) -> Staged<UpdateFeaturesResponse> {
    let mode = Mode::of(request.validate_only);
    // Of a feature that is named twice the last counts.
    let named = request.feature_updates.iter();
    let updates: BTreeMap<&str, FeatureUpdate> = named
        .map(|update| {
            let wanted = FeatureUpdate {
                name: update.feature.to_string(),
                level: update.max_version_level,
                direction: Direction::from_code(update.upgrade_type),
            };
            (&*update.feature, wanted)
        })
        .collect();
    let updates: Vec<FeatureUpdate> = updates.into_values().collect();
    let one_by_one = context.version <= 1;
    let controller = controller.clone();
    Staged::later(async move {
        let (code, text) = match controller.update_features(&updates, mode).await {
            Ok(Ok(())) => return done(&updates, one_by_one),
            Ok(Err(error)) => (ErrorCode::from(&error), error.to_string()),
            Err(error) => (ErrorCode::from(&error), error.to_string()),
        };
        let text = format!(
            "The update failed for all features since the following feature had an error: {text}"
        );
        UpdateFeaturesResponse {
            error_code: code.code(),
            error_message: Some(text.into()),
            ..UpdateFeaturesResponse::default()
        }
    })
}

fn done(updates: &[FeatureUpdate], one_by_one: bool) -> UpdateFeaturesResponse {
    let results = updates.iter().map(|update| UpdatableFeatureResult {
        feature: Text::copy(&update.name),
        // Kafka gives success a text too: the name of the code.
        error_message: Some(ErrorCode::None.name().into()),
        ..UpdatableFeatureResult::default()
    });
    UpdateFeaturesResponse {
        results: results.filter(|_| one_by_one).collect(),
        ..UpdateFeaturesResponse::default()
    }
}
