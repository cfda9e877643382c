//! Committed offsets, those that a transaction still holds back, and when they expire.

use super::{
    ClassicGroup, FetchTopic, FetchedOffset, FetchedPartition, FetchedTopic, GroupError,
    GroupState, OffsetKey, Stability,
};
use crate::record::control::TransactionResult;
use crate::types::{LeaderEpoch, Offset, ProducerId, Timestamp, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: Offset,
    /// Epoch of the last record consumed, if the client knows it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Whatever the client keeps with it; often empty.
    pub metadata: Arc<str>,
    pub committed_at: Timestamp,
    /// Set by clients of the time when a commit could carry its own retention.
    pub expires_at: Option<Timestamp>,
    /// The topic that was meant; zero if the record is older than topic ids.
    pub topic_id: Uuid,
}

impl CommittedOffset {
    /// Whether its time is over: at its own date, else `retention_ms` after `base`.
    fn is_expired(&self, base: Timestamp, now: Timestamp, retention_ms: i64) -> bool {
        match self.expires_at {
            Some(at) => now >= at,
            None => now.ms_since(base) >= retention_ms,
        }
    }
}

/// A committed offset and where its record lies: of two commits, the later record counts, even if a
/// transaction makes the earlier one visible afterwards.
#[derive(Clone, Debug)]
struct Stored {
    value: CommittedOffset,
    record: Offset,
}

type Partitions = BTreeMap<i32, Stored>;
type Topics = BTreeMap<Arc<str>, Partitions>;

/// All offsets of one shard. Changed by replay only.
#[derive(Debug, Default)]
pub struct Offsets {
    groups: BTreeMap<Arc<str>, Topics>,
    /// What open transactions would commit, by producer.
    pending: BTreeMap<ProducerId, BTreeMap<OffsetKey, Stored>>,
    /// The producers that hold a partition's offset open.
    open: BTreeMap<OffsetKey, BTreeSet<ProducerId>>,
}

impl Offsets {
    /// Replays a commit.
    pub fn put(
        &mut self,
        record: Offset,
        producer: ProducerId,
        key: OffsetKey,
        value: CommittedOffset,
    ) {
        let stored = Stored { value, record };
        if producer == ProducerId::NONE {
            self.put_stored(key, stored);
        } else {
            self.open.entry(key.clone()).or_default().insert(producer);
            self.pending
                .entry(producer)
                .or_default()
                .insert(key, stored);
        }
    }

    fn put_stored(&mut self, key: OffsetKey, stored: Stored) {
        self.groups
            .entry(key.group)
            .or_default()
            .entry(key.topic)
            .or_default()
            .insert(key.partition, stored);
    }

    /// Replays a tombstone: the offset goes, and what transactions hold for it too.
    pub fn remove(&mut self, key: &OffsetKey) {
        if let Some(topics) = self.groups.get_mut(&key.group) {
            if let Some(partitions) = topics.get_mut(&key.topic) {
                partitions.remove(&key.partition);
                if partitions.is_empty() {
                    topics.remove(&key.topic);
                }
            }
            if topics.is_empty() {
                self.groups.remove(&key.group);
            }
        }
        for producer in self.open.remove(key).into_iter().flatten() {
            if let Some(held) = self.pending.get_mut(&producer) {
                held.remove(key);
            }
        }
    }

    /// Replays a transaction's marker.
    pub fn end_transaction(&mut self, producer: ProducerId, result: TransactionResult) {
        for (key, stored) in self.pending.remove(&producer).into_iter().flatten() {
            if let Some(producers) = self.open.get_mut(&key) {
                producers.remove(&producer);
                if producers.is_empty() {
                    self.open.remove(&key);
                }
            }
            let is_newest = self
                .get_stored(&key)
                .is_none_or(|existing| existing.record < stored.record);
            if result == TransactionResult::Commit && is_newest {
                self.put_stored(key, stored);
            }
        }
    }

    fn get_stored(&self, key: &OffsetKey) -> Option<&Stored> {
        self.groups
            .get(&key.group)?
            .get(&key.topic)?
            .get(&key.partition)
    }

    /// The committed offset of a partition.
    pub fn get(&self, key: &OffsetKey) -> Option<&CommittedOffset> {
        self.get_stored(key).map(|stored| &stored.value)
    }

    /// Whether a transaction holds this partition's offset open.
    pub fn is_open(&self, key: &OffsetKey) -> bool {
        self.open.contains_key(key)
    }

    /// Whether a transaction holds any of the group's offsets open.
    pub fn has_open(&self, group: &str) -> bool {
        self.open_of(group).next().is_some()
    }

    fn open_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a OffsetKey> {
        let from = OffsetKey {
            group: group.into(),
            topic: "".into(),
            partition: i32::MIN,
        };
        self.open
            .range(from..)
            .map(|(key, _)| key)
            .take_while(move |key| &*key.group == group)
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.pending.is_empty()
    }

    /// Groups that have committed offsets.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.keys()
    }

    /// The asked partitions, in the order asked.
    pub fn fetch(
        &self,
        group: &str,
        topic: &FetchTopic<'_>,
        stability: Stability,
    ) -> Vec<FetchedPartition> {
        let partitions = self
            .groups
            .get(group)
            .and_then(|topics| topics.get(topic.name));
        topic
            .partitions
            .iter()
            .map(|&partition| {
                let stored = partitions
                    .and_then(|partitions| partitions.get(&partition))
                    .filter(|stored| !is_other_topic(stored.value.topic_id, topic.id));
                self.fetched(group, topic.name, partition, stored, stability)
            })
            .collect()
    }

    /// Everything that a group has committed, by topic and partition.
    pub fn fetch_all(&self, group: &str, stability: Stability) -> Vec<FetchedTopic> {
        let Some(topics) = self.groups.get(group) else {
            return Vec::new();
        };
        topics
            .iter()
            .map(|(name, partitions)| FetchedTopic {
                name: name.clone(),
                partitions: partitions
                    .iter()
                    .map(|(&partition, stored)| {
                        self.fetched(group, name, partition, Some(stored), stability)
                    })
                    .collect(),
            })
            .collect()
    }

    fn fetched(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        stored: Option<&Stored>,
        stability: Stability,
    ) -> FetchedPartition {
        let is_unstable = stability == Stability::Required
            && !self.open.is_empty()
            && self.is_open(&OffsetKey {
                group: group.into(),
                topic: topic.into(),
                partition,
            });
        FetchedPartition {
            partition,
            offset: if is_unstable {
                Err(GroupError::UnstableOffset)
            } else {
                Ok(stored.map(|stored| FetchedOffset {
                    offset: stored.value.offset,
                    leader_epoch: stored.value.leader_epoch,
                    metadata: stored.value.metadata.clone(),
                }))
            },
        }
    }

    /// Every key of a group, those that only a transaction holds included.
    pub fn keys(&self, group: &str) -> BTreeSet<OffsetKey> {
        let mut keys: BTreeSet<OffsetKey> = self.open_of(group).cloned().collect();
        if let Some((group, topics)) = self.groups.get_key_value(group) {
            for (topic, partitions) in topics {
                keys.extend(partitions.keys().map(|&partition| OffsetKey {
                    group: group.clone(),
                    topic: topic.clone(),
                    partition,
                }));
            }
        }
        keys
    }

    /// Keys of every group for a topic that is gone; of another topic of the same name not.
    pub fn keys_of_topic(&self, name: &str, id: Uuid) -> BTreeSet<OffsetKey> {
        let committed = self.groups.iter().flat_map(|(group, topics)| {
            let (topic, partitions) = topics.get_key_value(name)?;
            Some(partitions.iter().map(move |(&partition, stored)| {
                let key = OffsetKey {
                    group: group.clone(),
                    topic: topic.clone(),
                    partition,
                };
                (key, stored)
            }))
        });
        let pending = self
            .pending
            .values()
            .flatten()
            .filter(|(key, _)| &*key.topic == name)
            .map(|(key, stored)| (key.clone(), stored));
        committed
            .flatten()
            .chain(pending)
            .filter(|(_, stored)| !is_other_topic(stored.value.topic_id, id))
            .map(|(key, _)| key)
            .collect()
    }

    /// The group's offsets whose time is over, and whether nothing is left of it after them.
    pub fn expired(
        &self,
        group: &ClassicGroup,
        now: Timestamp,
        retention_ms: i64,
    ) -> (Vec<OffsetKey>, Left) {
        let Some((id, topics)) = self.groups.get_key_value(group.id()) else {
            return (Vec::new(), self.left(group, Left::Nothing));
        };
        let mut expired = Vec::new();
        let mut left = Left::Nothing;
        for (topic, partitions) in topics {
            for (&partition, stored) in partitions {
                let key = OffsetKey {
                    group: id.clone(),
                    topic: topic.clone(),
                    partition,
                };
                let is_over = retention_base(group, topic, &stored.value)
                    .is_some_and(|base| stored.value.is_expired(base, now, retention_ms));
                if is_over && !self.is_open(&key) {
                    expired.push(key);
                } else {
                    left = Left::Something;
                }
            }
        }
        (expired, self.left(group, left))
    }

    fn left(&self, group: &ClassicGroup, left: Left) -> Left {
        if self.has_open(group.id()) {
            Left::Something
        } else {
            left
        }
    }
}

/// Whether offsets of a group remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Something,
    Nothing,
}

/// When an offset's retention begins; `None` while it must not expire.
///
/// A group without protocol only stores offsets: they count from their commit. Of an empty group they
/// count from when it became empty. While a consumer group is stable, those of topics that nobody
/// subscribes to count from their commit. In all other states members may still come for them.
fn retention_base(
    group: &ClassicGroup,
    topic: &str,
    offset: &CommittedOffset,
) -> Option<Timestamp> {
    if group.protocol_type().is_none() {
        return Some(offset.committed_at);
    }
    match group.state() {
        GroupState::Empty => Some(group.state_since().unwrap_or(offset.committed_at)),
        GroupState::Stable
            if group.is_consumer_group()
                && group.knows_subscriptions()
                && !group.is_subscribed_to(topic) =>
        {
            Some(offset.committed_at)
        }
        GroupState::Stable | GroupState::PreparingRebalance | GroupState::CompletingRebalance => {
            None
        }
    }
}

/// Both ids are known and differ.
fn is_other_topic(stored: Uuid, asked: Uuid) -> bool {
    !stored.is_zero() && !asked.is_zero() && stored != asked
}
