//! DescribeConfigs, key 32, versions 0–4.
//!
//! Each key of a topic, a broker, a group or a client-metrics subscription: its value, where that comes
//! from, and on request what stands behind it (synonyms) and what it means; the level of each of this
//! broker's loggers. The values of secrets are null. v0, which Kafka 4 has dropped, says of the source only
//! whether it is the default (Kafka 3.9 says no of every key). v3: types and documentation. A broker tells only
//! of itself and, by the empty name, of all brokers' defaults.
//! Not done: access control.

use super::config_changes::Parts;
use super::config_changes::check_is_this_broker;
use super::context::{RequestContext, Staged};
use super::errors::Refused;
use crate::config::describe::{self, Described, Source};
use crate::metadata::ConfigKind;
use crate::protocol::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::protocol::{ErrorCode, Text};
use crate::types::TopicName;

pub(super) fn handle(
    request: &DescribeConfigsRequest,
    context: &RequestContext,
    parts: &Parts<'_>,
) -> Staged<DescribeConfigsResponse> {
    let wanted = Wanted {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation && context.version >= 3,
        is_default: context.version == 0,
    };
    let resources = request.resources.iter();
    let kinds = resources
        .clone()
        .map(|r| ConfigKind::from_code(r.resource_type));
    // Kafka gives up on the whole request where one type is unknown.
    let kinds: Option<Vec<ConfigKind>> = kinds.collect();
    let results = resources.enumerate().map(|(at, resource)| {
        let described = match &kinds {
            Some(kinds) => describe(kinds[at], &resource.resource_name, parts),
            None => Err(Refused::request(ErrorCode::InvalidRequest.message())),
        };
        let (error, message, configs) = match described {
            // The message is empty where all is well, as in Kafka.
            Ok(described) => {
                let configs = wanted.results(resource, described);
                (ErrorCode::None, Some(String::new()), configs)
            }
            Err(refused) => (refused.code, refused.message, Vec::new()),
        };
        DescribeConfigsResult {
            error_code: error.code(),
            error_message: message.map(Text::from),
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

fn describe(kind: ConfigKind, name: &str, parts: &Parts<'_>) -> Result<Vec<Described>, Refused> {
    let image = parts.image.load();
    let now = parts.live.load();
    match kind {
        ConfigKind::Topic => {
            TopicName::parse(name).map_err(|error| {
                let message = format!("Topic name is invalid: {error}");
                Refused::new(ErrorCode::InvalidTopicException, message)
            })?;
            if image.topic(name).is_none() {
                return Err(Refused::new(ErrorCode::UnknownTopicOrPartition, ""));
            }
            Ok(describe::topic(&image.topic_config(name), &now))
        }
        ConfigKind::Broker if name.is_empty() => Ok(describe::broker_defaults(&now)),
        ConfigKind::Broker => {
            check_is_this_broker(name, parts.node, " or empty string", "Broker")?;
            Ok(describe::broker(&now))
        }
        ConfigKind::BrokerLogger if name.is_empty() => {
            Err(Refused::request("Broker id must not be empty"))
        }
        ConfigKind::BrokerLogger => {
            check_is_this_broker(name, parts.node, "", "Broker")?;
            Ok(loggers(parts))
        }
        ConfigKind::Group if name.is_empty() => {
            Err(Refused::request("Group name must not be empty"))
        }
        ConfigKind::Group => {
            let overrides = image.config_of(ConfigKind::Group, name);
            Ok(describe::group(&overrides, &now))
        }
        ConfigKind::ClientMetrics if name.is_empty() => Err(Refused::request(
            "Client metrics subscription name must not be empty",
        )),
        ConfigKind::ClientMetrics => {
            let overrides = image.config_of(ConfigKind::ClientMetrics, name);
            Ok(describe::client_metrics(&overrides))
        }
    }
}

fn loggers(parts: &Parts<'_>) -> Vec<Described> {
    let levels = parts.loggers.levels().into_iter();
    let described = levels.map(|(name, level)| Described {
        name,
        value: Some(level.to_string()),
        read_only: false,
        source: Source::BrokerLogger,
        sensitive: false,
        synonyms: Vec::new(),
        kind: None,
        doc: None,
    });
    described.collect()
}

/// What the request asks for beside the values.
struct Wanted {
    synonyms: bool,
    documentation: bool,
    /// Version 0 has this instead of the source.
    is_default: bool,
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
            is_default: self.is_default && described.source == Source::Default,
            config_source: described.source.code(),
            is_sensitive: described.sensitive,
            value: described.value.map(Text::from),
            name: described.name.into(),
        }
    }
}
