//! The controller: turns what administrators and brokers ask into metadata records.
//!
//! Every change is decided on the newest image, as a pure function, and then appended through the
//! quorum; one change is under way at a time, so that no decision is made on a stale image.

mod assignment;
mod bootstrap;
mod broker;
mod change;
mod configs;
mod creations;
mod directories;
mod elections;
mod features;
mod growth;
mod partitions;
mod placement;
mod producer_ids;
mod reassignments;
mod reports;
mod topics;
#[cfg(test)]
mod world;

pub use assignment::AssignmentError;
pub use bootstrap::first_records;
pub use broker::{BrokerEpoch, NotRegistered, Registration};
pub use change::Election;
pub use configs::{AlterConfigs, AlterConfigsError, ConfigChange, KeyChange};
pub use creations::Creations;
pub use elections::{ElectionError, TopicElections};
pub use features::{Direction, FeatureError, FeatureUpdate};
pub use growth::{GrowTopic, GrowTopicError};
pub use partitions::new_leader_epochs;
pub use producer_ids::{PRODUCER_ID_BLOCK, ProducerIds, ProducerIdsError};
pub use reassignments::{Destination, FactorChange, Reassign, ReassignError};
pub use reports::report_directories;
pub use topics::{
    CreateTopic, CreateTopicError, CreatedTopic, DeleteTopicError, TopicDefaults, TopicRef,
};

use crate::config::{LiveConfig, TopicConfig};
use crate::metadata::{ImageHandle, MetadataImage, MetadataRecord};
use crate::quorum::{MetadataQuorum, QuorumError, QuorumStatus};
use crate::replica::ReplicaPlace;
use crate::runtime::Rng;
use crate::types::{NodeId, Uuid};
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
        let defaults = TopicDefaults::of(&self.config.load().config, &image);
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
        let image = self.image.load();
        let unclean = |topic: &str| self.may_be_led_uncleanly(&image, topic);
        let records = broker::plan_registration(&image, &registration, epoch, unclean);
        self.append(records).await?;
        Ok(BrokerEpoch(epoch))
    }

    /// Takes a broker out of the cluster. If it still runs, it leads nothing until it starts again.
    pub async fn unregister_broker(
        &self,
        broker: NodeId,
    ) -> Result<Result<(), NotRegistered>, QuorumError> {
        self.decide(Mode::Apply, |image| {
            let unclean = |topic: &str| self.may_be_led_uncleanly(image, topic);
            outcome(broker::plan_unregistration(image, broker, unclean))
        })
        .await
    }

    /// Gives topics more partitions; the answers are in the order of `wanted`. New partitions can be
    /// written to when this returns.
    pub async fn grow_topics(
        &self,
        wanted: &[GrowTopic],
        mode: Mode,
    ) -> Result<Vec<Result<(), GrowTopicError>>, QuorumError> {
        let config = self.config.load().config.clone();
        self.decide(mode, |image| {
            let usable = placement::usable(image, &config);
            growth::plan(image, &usable, wanted, &*self.rng)
        })
        .await
    }

    /// Elects leaders of the partitions of `wanted`; of all that need one, if it is `None`.
    pub async fn elect_leaders(
        &self,
        wanted: Option<&[(String, Vec<i32>)]>,
        election: Election,
    ) -> Result<Vec<TopicElections>, QuorumError> {
        self.decide(Mode::Apply, |image| {
            elections::plan(image, wanted, election)
        })
        .await
    }

    /// Begins or takes back reassignments; the answers are in the order of `wanted`.
    pub async fn reassign_partitions(
        &self,
        wanted: &[Reassign],
        factor_change: FactorChange,
    ) -> Result<Vec<Result<(), ReassignError>>, QuorumError> {
        self.decide(Mode::Apply, |image| {
            let unclean = |topic: &str| self.may_be_led_uncleanly(image, topic);
            reassignments::plan(image, wanted, factor_change, unclean)
        })
        .await
    }

    /// Raises or lowers features, all of them or none.
    pub async fn update_features(
        &self,
        updates: &[FeatureUpdate],
        mode: Mode,
    ) -> Result<Result<(), FeatureError>, QuorumError> {
        let (node, _) = self.quorum.leader();
        let config = self.config.load().config.clone();
        self.decide(mode, |image| {
            let mut planned = features::plan(image, updates, node);
            if let Ok(records) = &mut planned
                && features::lets_eligible_leaders_in(image, updates)
            {
                records.extend(bootstrap::one_min_insync_replicas(image, &config));
            }
            outcome(planned)
        })
        .await
    }

    /// Notes where replicas of `broker` lie.
    pub async fn assign_directories(
        &self,
        broker: NodeId,
        places: &[ReplicaPlace],
    ) -> Result<(), QuorumError> {
        let plan = |image: &_| (directories::plan_assignments(image, broker, places), ());
        self.decide(Mode::Apply, plan).await
    }

    /// Only the directories `online` of `broker` are left; what lay in others is led elsewhere or by nobody.
    pub async fn directories_failed(
        &self,
        broker: NodeId,
        online: &[Uuid],
    ) -> Result<(), QuorumError> {
        self.decide(Mode::Apply, |image| {
            let unclean = |topic: &str| self.may_be_led_uncleanly(image, topic);
            (
                directories::plan_failure(image, broker, online, unclean),
                (),
            )
        })
        .await
    }

    /// The state of the quorum that keeps the metadata.
    pub fn quorum(&self) -> QuorumStatus {
        self.quorum.status()
    }

    /// Whether replicas that are not in sync may lead the topic.
    fn may_be_led_uncleanly(&self, image: &MetadataImage, topic: &str) -> bool {
        let overrides = image.topic_config(topic);
        let config = self.config.load().config.clone();
        TopicConfig::resolve(&config.topic_defaults, &overrides)
            .is_ok_and(|config| config.unclean_leader_election_enable)
    }

    /// Decides on the newest image. The answer counts once the records that go with it are in the image.
    async fn decide<T>(
        &self,
        mode: Mode,
        plan: impl FnOnce(&MetadataImage) -> (Vec<MetadataRecord>, T),
    ) -> Result<T, QuorumError> {
        let _deciding = self.deciding.lock().await;
        let (records, answer) = plan(&self.image.load());
        if mode == Mode::Apply {
            self.append(records).await?;
        }
        Ok(answer)
    }

    /// Gives every partition that `node` leads a new leader epoch: what its log held beyond what
    /// was recovered must not be mistaken for what is written from now on.
    pub async fn renew_leader_epochs(&self, node: NodeId) -> Result<(), QuorumError> {
        let _deciding = self.deciding.lock().await;
        let records = new_leader_epochs(&self.image.load(), node);
        self.append(records).await
    }

    /// Hands out the next [`PRODUCER_ID_BLOCK`] producer ids; the first of them.
    pub async fn allocate_producer_ids(
        &self,
        node: NodeId,
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

/// A plan of all or nothing: its records, and whether it was made.
fn outcome<E>(planned: Result<Vec<MetadataRecord>, E>) -> (Vec<MetadataRecord>, Result<(), E>) {
    match planned {
        Ok(records) => (records, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    }
}
