//! What was set at run time for this broker, put in force.

use crate::config::LiveConfig;
use crate::metadata::{ConfigKind, Delta, MetadataImage, MetadataListener};
use crate::types::NodeId;
use std::sync::Arc;
use tracing::{info, warn};

/// Keeps a broker's configuration at what the metadata says. Comes before whoever obeys it.
pub struct DynamicConfig {
    node: NodeId,
    config: Arc<LiveConfig>,
}

impl DynamicConfig {
    /// Takes up what the present image says.
    pub fn start(node: NodeId, config: Arc<LiveConfig>, image: &MetadataImage) -> DynamicConfig {
        let dynamic = DynamicConfig { node, config };
        dynamic.take_up(image);
        dynamic
    }

    fn take_up(&self, image: &MetadataImage) {
        let all = image.config_of(ConfigKind::Broker, "");
        let own = image.config_of(ConfigKind::Broker, &self.node.to_string());
        for error in self.config.update(&all, &own) {
            warn!(%error, "ignored a value that was set at run time");
        }
        if !(all.is_empty() && own.is_empty()) {
            let keys = |values: &std::collections::BTreeMap<String, String>| {
                values
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            info!(all = %keys(&all), own = %keys(&own), "set at run time");
        }
    }
}

impl MetadataListener for DynamicConfig {
    fn on_change(&self, delta: &Delta, image: &MetadataImage) {
        if delta.broker_configs_changed {
            self.take_up(image);
        }
    }
}
