//! The controller: turns what administrators and brokers ask into metadata records.
//!
//! Every change is decided on the newest image, as a pure function, and then appended through the
//! quorum; one change is under way at a time, so that no decision is made on a stale image.

mod broker;
mod configs;
mod creations;
mod partitions;
mod placement;
mod producer_ids;
mod topics;

pub use broker::{BrokerEpoch, Registration};
pub use configs::{AlterConfigs, AlterConfigsError, ConfigChange, KeyChange};
pub use creations::Creations;
pub use partitions::new_leader_epochs;
pub use producer_ids::{PRODUCER_ID_BLOCK, ProducerIds, ProducerIdsError};
pub use topics::{
    CreateTopic, CreateTopicError, CreatedTopic, DeleteTopicError, TopicDefaults, TopicRef,
};

use crate::config::LiveConfig;
use crate::metadata::{ImageHandle, MetadataRecord};
use crate::quorum::{MetadataQuorum, QuorumError};
use crate::runtime::Rng;
use crate::types::Uuid;
use std::sync::Arc;

/// Changes the cluster's metadata. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    quorum: Arc<dyn MetadataQuorum>,
    image: ImageHandle,
    rng: Arc<dyn Rng>,
    config: Arc<LiveConfig>,
    /// Held from a decision on the image until its records are in the image.
    deciding: Arc<tokio::sync::Mutex<()>>,
}

/// Whether a change is made, or only checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Apply,
    ValidateOnly,
}

impl Mode {
    /// As a request's `validate_only` says.
    pub fn of(validate_only: bool) -> Mode {
        if validate_only {
            Mode::ValidateOnly
        } else {
            Mode::Apply
        }
    }
}

impl Controller {
    pub fn new(
        quorum: Arc<dyn MetadataQuorum>,
        image: ImageHandle,
        rng: Arc<dyn Rng>,
        config: Arc<LiveConfig>,
    ) -> Controller {
        Controller {
            quorum,
            image,
            rng,
            config,
            deciding: Arc::default(),
        }
    }

    /// Creates topics, each for itself: one that is refused does not keep the others from being
    /// created. The answers are in the order of `wanted`.
    pub async fn create_topics(
        &self,
        wanted: Vec<CreateTopic>,
        mode: Mode,
    ) -> Vec<Result<CreatedTopic, CreateTopicError>> {
        let _deciding = self.deciding.lock().await;
        let image = self.image.load();
        let defaults = TopicDefaults::of(&self.config.load().config);
        let mut planned = topics::plan_creations(&image, &wanted, &defaults, &*self.rng);
        if mode == Mode::Apply {
            let records = planned.iter_mut().filter_map(|plan| plan.as_mut().ok());
            let records: Vec<MetadataRecord> = records
                .flat_map(|topic| std::mem::take(&mut topic.records))
                .collect();
            if let Err(error) = self.append(records).await {
                return planned
                    .into_iter()
                    .map(|plan| plan.and(Err(CreateTopicError::Quorum(error.clone()))))
                    .collect();
            }
        }
        planned
    }

    /// Deletes topics; the answers are in the order of `ids`.
    pub async fn delete_topics(&self, ids: &[Uuid]) -> Vec<Result<(), DeleteTopicError>> {
        let _deciding = self.deciding.lock().await;
        let image = self.image.load();
        let planned = ids.iter().map(|id| topics::plan_deletion(&image, id));
        let planned: Vec<Result<MetadataRecord, DeleteTopicError>> = planned.collect();
        let records = planned
            .iter()
            .filter_map(|plan| plan.as_ref().ok().cloned())
            .collect();
        let appended = self.append(records).await;
        let answer = |plan: Result<MetadataRecord, DeleteTopicError>| {
            plan.and_then(|_| appended.clone().map_err(DeleteTopicError::Quorum))
        };
        planned.into_iter().map(answer).collect()
    }

    /// Changes what is set for topics, brokers, groups and subscriptions, each for itself; the answers
    /// are in the order of `asked`. No resource may be asked for twice.
    pub async fn alter_configs(
        &self,
        asked: &[AlterConfigs],
        mode: Mode,
    ) -> Vec<Result<(), AlterConfigsError>> {
        let _deciding = self.deciding.lock().await;
        let config = self.config.load().config.clone();
        let mut planned = configs::plan_changes(&self.image.load(), &config, asked);
        let mut appended = Ok(());
        if mode == Mode::Apply {
            let records = planned.iter_mut().flatten();
            let records = records.flat_map(std::mem::take).collect();
            appended = self.append(records).await;
        }
        let answer = |plan: Result<Vec<MetadataRecord>, AlterConfigsError>| {
            plan.and_then(|_| appended.clone().map_err(AlterConfigsError::Quorum))
        };
        planned.into_iter().map(answer).collect()
    }

    /// Registers this broker and gives it an epoch; it takes part at once.
    pub async fn register_broker(
        &self,
        registration: Registration,
    ) -> Result<BrokerEpoch, QuorumError> {
        let _deciding = self.deciding.lock().await;
        let epoch = self.quorum.end().get();
        self.append(broker::plan_registration(&registration, epoch))
            .await?;
        Ok(BrokerEpoch(epoch))
    }

    /// Gives every partition that `node` leads a new leader epoch: what its log held beyond what
    /// was recovered must not be mistaken for what is written from now on.
    pub async fn renew_leader_epochs(&self, node: crate::types::NodeId) -> Result<(), QuorumError> {
        let _deciding = self.deciding.lock().await;
        let records = new_leader_epochs(&self.image.load(), node);
        self.append(records).await
    }

    /// Hands out the next [`PRODUCER_ID_BLOCK`] producer ids; the first of them.
    pub async fn allocate_producer_ids(
        &self,
        node: crate::types::NodeId,
        epoch: BrokerEpoch,
    ) -> Result<i64, ProducerIdsError> {
        let _deciding = self.deciding.lock().await;
        let (first, record) = producer_ids::plan_block(&self.image.load(), node, epoch)?;
        self.append(vec![record])
            .await
            .map_err(ProducerIdsError::Quorum)?;
        Ok(first)
    }

    async fn append(&self, records: Vec<MetadataRecord>) -> Result<(), QuorumError> {
        if records.is_empty() {
            return Ok(());
        }
        self.quorum.append(records).await
    }
}
