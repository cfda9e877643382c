//! IncrementalAlterConfigs, key 44, versions 0–1.
//!
//! Sets, deletes, appends to and subtracts from single keys; what is not named stays. Each resource is
//! changed or refused by itself. Levels of this broker's loggers are changed here too, until it
//! stops. v1: flexible. With `validate_only` nothing is made.
//! Not done: access control, policies (Java classes).

use super::config_changes::{Answered, Asked, AskedKey, Means, Parts, alter};
use super::context::Staged;
use crate::controller::Mode;
use crate::protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

pub(super) fn handle(
    request: IncrementalAlterConfigsRequest,
    parts: &Parts<'_>,
) -> Staged<IncrementalAlterConfigsResponse> {
    let mode = Mode::of(request.validate_only);
    let resources = request.resources.into_iter();
    let asked = resources.map(|resource| Asked {
        kind: resource.resource_type,
        name: resource.resource_name,
        keys: (resource.configs.into_iter())
            .map(|config| AskedKey {
                name: config.name,
                operation: config.config_operation,
                value: config.value,
            })
            .collect(),
    });
    let answers = alter(asked.collect(), Means::Changes, mode, parts);
    answers.map(|answers| IncrementalAlterConfigsResponse {
        responses: answers.into_iter().map(response).collect(),
        ..IncrementalAlterConfigsResponse::default()
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
