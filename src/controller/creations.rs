//! Topics that are made because somebody asked for them: each once, beside the answer that says that
//! they are not there yet (`AutoTopicCreationManager`).

use super::{Controller, CreateTopic, CreateTopicError, Mode};
use crate::config::OffsetsConfig;
use crate::runtime::Tasks;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use tracing::{info, warn};

/// Creates topics on demand. Cheap to clone.
#[derive(Clone)]
pub struct Creations {
    controller: Controller,
    tasks: Tasks,
    offsets: Arc<OffsetsConfig>,
    /// Held for one insertion or removal.
    under_way: Arc<Mutex<HashSet<String>>>,
}

impl Creations {
    pub fn new(controller: Controller, tasks: Tasks, offsets: OffsetsConfig) -> Creations {
        Creations {
            controller,
            tasks,
            offsets: Arc::new(offsets),
            under_way: Arc::default(),
        }
    }

    /// Has a topic created, unless that is under way: an internal one as it has to be, any other with
    /// the broker's defaults.
    pub fn begin(&self, name: &str) {
        match name {
            "__consumer_offsets" => return self.begin_offsets_topic(),
            // Made by coordinators that this broker does not have.
            "__transaction_state" | "__share_group_state" => return,
            _ => {}
        }
        self.begin_with(CreateTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            ..CreateTopic::default()
        });
    }

    /// Has `__consumer_offsets` created, unless that is under way.
    pub fn begin_offsets_topic(&self) {
        let offsets = &self.offsets;
        let config = |name: &str, value: String| (name.to_owned(), Some(value));
        self.begin_with(CreateTopic {
            name: "__consumer_offsets".to_owned(),
            partitions: i32::try_from(offsets.topic_partitions).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(offsets.topic_replication_factor).unwrap_or(i16::MAX),
            configs: vec![
                config("cleanup.policy", "compact".to_owned()),
                config("compression.type", "producer".to_owned()),
                config("segment.bytes", offsets.topic_segment_bytes.to_string()),
            ],
            ..CreateTopic::default()
        });
    }

    fn begin_with(&self, topic: CreateTopic) {
        if !self.under_way.lock().insert(topic.name.clone()) {
            return;
        }
        let creations = self.clone();
        self.tasks.spawn(async move {
            let name = topic.name.clone();
            let created = creations
                .controller
                .create_topics(vec![topic], Mode::Apply)
                .await;
            match created.into_iter().next() {
                Some(Ok(created)) => {
                    info!(topic = %name, partitions = created.partitions, "created on demand");
                }
                Some(Err(CreateTopicError::Exists(_))) | None => {}
                Some(Err(error)) => warn!(topic = %name, %error, "could not create a topic"),
            }
            creations.under_way.lock().remove(&name);
        });
    }
}
