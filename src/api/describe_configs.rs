//! DescribeConfigs, key 32, versions 1–4.
//!
//! Each key of a topic, a broker or a group: its value, where that comes from, and on request what
//! stands behind it (synonyms) and what it means. The values of secrets are null. v3: types and
//! documentation. A broker tells only of itself and, by the empty name, of all brokers' defaults.
//! Not done: loggers and client-metrics subscriptions, which are refused.

use super::context::{RequestContext, Staged};
use crate::config::BrokerConfig;
use crate::config::describe::{self, BrokerSources, Described};
use crate::metadata::{ConfigKind, ConfigResource, ImageHandle, MetadataImage};
use crate::protocol::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::types::TopicName;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn handle(
    request: &DescribeConfigsRequest,
    context: &RequestContext,
    image: &ImageHandle,
    config: &BrokerConfig,
) -> Staged<DescribeConfigsResponse> {
    let image = image.load();
    let wanted = Wanted {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation && context.version >= 3,
    };
    let results = request.resources.iter().map(|resource| {
        let (error, message, configs) = match describe(resource, &image, config) {
            Ok(described) => (ErrorCode::None, None, wanted.results(resource, described)),
            Err((code, message)) => (code, message.map(Text::from), Vec::new()),
        };
        DescribeConfigsResult {
            error_code: error.code(),
            // Empty where all is well, as Kafka's `ApiError.NONE` has it.
            error_message: message.or_else(|| (error == ErrorCode::None).then(|| Text::from(""))),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
        }
    });
    Staged::Ready(DescribeConfigsResponse {
        results: results.collect(),
        ..DescribeConfigsResponse::default()
    })
}

type Refusal = (ErrorCode, Option<String>);

fn describe(
    resource: &DescribeConfigsResource,
    image: &MetadataImage,
    config: &BrokerConfig,
) -> Result<Vec<Described>, Refusal> {
    let invalid = |text: String| (ErrorCode::InvalidRequest, Some(text));
    let name = &*resource.resource_name;
    let dynamic = of(image, ConfigKind::Broker, &config.node_id.to_string());
    let dynamic_default = of(image, ConfigKind::Broker, "");
    let sources = BrokerSources {
        fixed: &config.properties,
        dynamic: &dynamic,
        dynamic_default: &dynamic_default,
    };
    match ConfigKind::from_code(resource.resource_type) {
        Some(ConfigKind::Topic) => {
            TopicName::parse(name)
                .map_err(|error| (ErrorCode::InvalidTopicException, Some(error.to_string())))?;
            if image.topic(name).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, None));
            }
            Ok(describe::topic(
                &of(image, ConfigKind::Topic, name),
                sources,
            ))
        }
        Some(ConfigKind::Broker) if name.is_empty() => {
            Ok(describe::broker_defaults(&dynamic_default))
        }
        Some(ConfigKind::Broker) => match name.parse::<i32>() {
            Ok(id) if id == config.node_id.get() => Ok(describe::broker(sources)),
            Ok(id) => Err(invalid(format!(
                "This is broker {}; the request asks for broker {id}.",
                config.node_id
            ))),
            Err(_) => Err(invalid(format!("Broker id '{name}' is not a number."))),
        },
        Some(ConfigKind::Group) if name.is_empty() => {
            Err(invalid("Group name must not be empty.".to_owned()))
        }
        Some(ConfigKind::Group) => Ok(describe::group(
            &of(image, ConfigKind::Group, name),
            sources,
        )),
        Some(ConfigKind::BrokerLogger | ConfigKind::ClientMetrics) | None => Err(invalid(format!(
            "Resource type {} is not supported.",
            resource.resource_type
        ))),
    }
}

fn of(image: &MetadataImage, kind: ConfigKind, name: &str) -> Arc<BTreeMap<String, String>> {
    let resource = ConfigResource {
        kind,
        name: name.to_owned(),
    };
    image.config(&resource).cloned().unwrap_or_default()
}

/// What the request asks for beside the values.
struct Wanted {
    synonyms: bool,
    documentation: bool,
}

impl Wanted {
    fn results(
        &self,
        resource: &DescribeConfigsResource,
        described: Vec<Described>,
    ) -> Vec<DescribeConfigsResourceResult> {
        let asked = |described: &Described| match resource.configuration_keys.as_deref() {
            None | Some([]) => true,
            Some(keys) => keys.iter().any(|key| **key == *described.name),
        };
        described
            .into_iter()
            .filter(asked)
            .map(|described| self.result(described))
            .collect()
    }

    fn result(&self, described: Described) -> DescribeConfigsResourceResult {
        let synonyms = if self.synonyms {
            described.synonyms.as_slice()
        } else {
            &[]
        };
        let synonyms = synonyms.iter().map(|stands| DescribeConfigsSynonym {
            name: stands.name.clone().into(),
            value: stands.value.clone().map(Text::from),
            source: stands.source.code(),
        });
        DescribeConfigsResourceResult {
            synonyms: synonyms.collect(),
            config_type: described.kind_code(),
            documentation: described.doc.filter(|_| self.documentation).map(Text::from),
            read_only: described.read_only,
            config_source: described.source.code(),
            is_sensitive: described.sensitive,
            value: described.value.map(Text::from),
            name: described.name.into(),
        }
    }
}
