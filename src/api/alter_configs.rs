//! AlterConfigs, key 33, versions 0–2.
//!
//! Replaces all that is set for a resource: keys that are not named lose their value. Each resource
//! is changed or refused by itself. v1: throttling. v2: flexible. With `validate_only` nothing is made.
//! Not done: access control, policies (Java classes).

use super::config_changes::{Answered, Asked, AskedKey, Means, Parts, SET, alter};
use super::context::Staged;
use crate::controller::Mode;
use crate::protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

pub(super) fn handle(
    request: AlterConfigsRequest,
    parts: &Parts<'_>,
) -> Staged<AlterConfigsResponse> {
    let mode = Mode::of(request.validate_only);
    let resources = request.resources.into_iter();
    let asked = resources.map(|resource| Asked {
        kind: resource.resource_type,
        name: resource.resource_name,
        keys: (resource.configs.into_iter())
            .map(|config| AskedKey {
                name: config.name,
                operation: SET,
                value: config.value,
            })
            .collect(),
    });
    let answers = alter(asked.collect(), Means::Everything, mode, parts);
    answers.map(|answers| AlterConfigsResponse {
        responses: answers.into_iter().map(response).collect(),
        ..AlterConfigsResponse::default()
    })
}

fn response(answered: Answered) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: answered.code(),
        resource_type: answered.kind,
        resource_name: answered.name.clone(),
        error_message: answered.message(),
    }
}
