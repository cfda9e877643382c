//! The front door: finds the shard of a group, checks what needs no shard, and waits for answers.

use super::{
    Commit, CommitVerdicts, DeletedTopic, DescribedGroup, FetchTopic, FetchedPartition,
    FetchedTopic, GroupError, GroupReply, GroupSettings, GroupShard, Heartbeat, Join, JoinRefused,
    Joined, Leaving, ListedGroup, Stability, SyncRequest, Synced,
};
use crate::coordinator::{
    Host, HostSettings, ShardError, ShardLog, Written, partition_for, runtime::Waiting,
};
use crate::record::control::TransactionResult;
use crate::runtime::{Rng, Runtime};
use crate::types::{LeaderEpoch, Offset, ProducerId};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// The topic behind the group coordinator.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// An answer that is there, or one that comes later.
pub enum Answer<T> {
    Ready(T),
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Answer<T> {
    /// Changes the answer, whenever it comes.
    pub fn map<U: Send + 'static>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Answer<U> {
        match self {
            Answer::Ready(answer) => Answer::Ready(change(answer)),
            Answer::Later(answer) => Answer::Later(Box::pin(async move { change(answer.await) })),
        }
    }

    /// The answer, however long it takes.
    pub async fn get(self) -> T {
        match self {
            Answer::Ready(answer) => answer,
            Answer::Later(answer) => answer.await,
        }
    }
}

/// All groups that this broker coordinates.
pub struct GroupCoordinator {
    host: Host<GroupShard>,
    settings: Arc<GroupSettings>,
    rng: Arc<dyn Rng>,
    /// Partitions of [`OFFSETS_TOPIC`]; fixed once the topic exists.
    partitions: AtomicI32,
}

impl GroupCoordinator {
    /// A coordinator that leads no partition yet. `partitions` counts those of [`OFFSETS_TOPIC`], or
    /// those that it will be created with. Its one task ends when the runtime's tasks stop.
    pub fn new(settings: GroupSettings, partitions: i32, runtime: &Runtime) -> GroupCoordinator {
        let settings = Arc::new(settings);
        let shard_settings = settings.clone();
        let host_settings = HostSettings {
            commit_timeout_ms: settings.commit_timeout_ms,
            load_bytes: settings.load_bytes,
            compression: settings.compression,
        };
        let host = Host::new(
            OFFSETS_TOPIC,
            host_settings,
            runtime.clock.clone(),
            &runtime.tasks,
            move || GroupShard::new(shard_settings.clone()),
        );
        GroupCoordinator {
            host,
            settings,
            rng: runtime.rng.clone(),
            partitions: AtomicI32::new(partitions.max(1)),
        }
    }

    // ---- leadership ----

    /// The topic exists, with so many partitions.
    pub fn set_partitions(&self, partitions: i32) {
        self.partitions.store(partitions.max(1), Ordering::Release);
    }

    /// This broker leads a partition of [`OFFSETS_TOPIC`] in `epoch`: its groups are loaded, in the
    /// background unless there is nothing to load. Told again of the same epoch it does nothing.
    pub fn lead(&self, partition: i32, epoch: LeaderEpoch, log: Arc<dyn ShardLog>) {
        self.host.lead(partition, epoch, log);
    }

    /// As of `epoch` another broker leads the partition, or none.
    pub fn resign(&self, partition: i32, epoch: LeaderEpoch) {
        self.host.resign(partition, epoch);
    }

    /// The broker stops: whoever waits is sent to look for another coordinator.
    pub fn stop(&self) {
        self.host.stop();
    }

    /// Offsets committed for topics that were deleted are deleted too.
    pub fn topics_deleted(&self, topics: &[DeletedTopic]) {
        self.host
            .act_on_all(|shard, _| shard.on_topics_deleted(topics));
    }

    /// A transaction's marker was appended to a partition of [`OFFSETS_TOPIC`], which now ends at `end`.
    pub fn end_transaction(
        &self,
        partition: i32,
        producer: ProducerId,
        result: TransactionResult,
        end: Offset,
    ) {
        self.host.end_transaction(partition, producer, result, end);
    }

    /// The partition of [`OFFSETS_TOPIC`] that holds a group.
    pub fn partition_of(&self, group_id: &str) -> i32 {
        partition_for(group_id, self.partitions.load(Ordering::Acquire))
    }

    // ---- membership ----

    /// JoinGroup; `new_id_suffix` need not be filled in.
    pub fn join(&self, join: Join<'_>) -> Answer<Result<Joined, JoinRefused>> {
        let error = if join.group_id.is_empty() {
            Some(GroupError::InvalidGroupId)
        } else if join.session_timeout_ms < self.settings.session_timeout_ms_min
            || join.session_timeout_ms > self.settings.session_timeout_ms_max
        {
            Some(GroupError::InvalidSessionTimeout)
        } else {
            None
        };
        if let Some(error) = error {
            let member_id = join.member_id.into();
            return Answer::Ready(Err(JoinRefused { error, member_id }));
        }
        let suffix = if join.member_id.is_empty() {
            self.random_uuid()
        } else {
            String::new()
        };
        let join = Join {
            new_id_suffix: &suffix,
            ..join
        };
        let asked = self
            .host
            .ask(self.partition_of(join.group_id), |shard, reply, now| {
                shard.on_join(&join, reply, now)
            });
        let refused = |error: ShardError| {
            Err(JoinRefused {
                error: error.into(),
                member_id: "".into(),
            })
        };
        later(asked, move |reply| match reply {
            Ok(GroupReply::Join(answer)) => answer,
            Ok(GroupReply::Sync(_)) => unreachable!("a join is answered as a join"),
            Err(error) => refused(error),
        })
    }

    /// SyncGroup.
    pub fn sync(&self, sync: &SyncRequest<'_>) -> Answer<Result<Synced, GroupError>> {
        if sync.group_id.is_empty() {
            return Answer::Ready(Err(GroupError::InvalidGroupId));
        }
        let asked = self
            .host
            .ask(self.partition_of(sync.group_id), |shard, reply, now| {
                shard.on_sync(sync, reply, now)
            });
        later(asked, |reply| match reply {
            Ok(GroupReply::Sync(answer)) => answer,
            Ok(GroupReply::Join(_)) => unreachable!("a sync is answered as a sync"),
            Err(error) => Err(error.into()),
        })
    }

    /// Heartbeat. While the group is being loaded every member is believed: its session begins anew
    /// afterwards anyway.
    pub fn heartbeat(&self, heartbeat: &Heartbeat<'_>) -> Answer<Result<(), GroupError>> {
        if heartbeat.group_id.is_empty() {
            return Answer::Ready(Err(GroupError::InvalidGroupId));
        }
        let written = self
            .host
            .write(self.partition_of(heartbeat.group_id), |shard, now| {
                shard.on_heartbeat(heartbeat, now)
            });
        match written {
            Err(ShardError::Loading) => Answer::Ready(Ok(())),
            written => answer(written, GroupError::from).map(flatten),
        }
    }

    /// LeaveGroup: a result for each member, in their order.
    pub fn leave(
        &self,
        group_id: &str,
        leaving: &[Leaving<'_>],
    ) -> Answer<Result<Vec<Result<(), GroupError>>, GroupError>> {
        if group_id.is_empty() {
            return Answer::Ready(Err(GroupError::InvalidGroupId));
        }
        let written = self.host.write(self.partition_of(group_id), |shard, now| {
            shard.on_leave(group_id, leaving, now)
        });
        answer(written, GroupError::from)
    }

    // ---- offsets ----

    /// OffsetCommit: a verdict per partition, in the order of the request. The empty group id is
    /// allowed here, as in Kafka.
    pub fn commit(&self, commit: &Commit<'_>) -> Answer<Result<CommitVerdicts, GroupError>> {
        let partition = self.partition_of(commit.group_id);
        let written = self.host.write(partition, |shard, now| {
            fallible(shard.on_offset_commit(commit, now))
        });
        answer(written, GroupError::from).map(flatten)
    }

    /// OffsetFetch of some partitions: per topic, per partition, in the order asked.
    pub fn fetch(
        &self,
        group_id: &str,
        topics: &[FetchTopic<'_>],
        stability: Stability,
    ) -> Answer<Result<Vec<Vec<FetchedPartition>>, GroupError>> {
        let read = self.host.read(self.partition_of(group_id), |shard| {
            shard.fetch_offsets(group_id, topics, stability)
        });
        answer(read, fetch_error)
    }

    /// OffsetFetch of everything that a group has committed.
    pub fn fetch_all(
        &self,
        group_id: &str,
        stability: Stability,
    ) -> Answer<Result<Vec<FetchedTopic>, GroupError>> {
        let read = self.host.read(self.partition_of(group_id), |shard| {
            shard.fetch_all_offsets(group_id, stability)
        });
        answer(read, fetch_error)
    }

    /// OffsetDelete: a verdict per topic.
    pub fn delete_offsets(
        &self,
        group_id: &str,
        topics: &[(&str, &[i32])],
    ) -> Answer<Result<Vec<Result<(), GroupError>>, GroupError>> {
        if group_id.is_empty() {
            return Answer::Ready(Err(GroupError::InvalidGroupId));
        }
        let written = self.host.write(self.partition_of(group_id), |shard, _| {
            fallible(shard.on_offset_delete(group_id, topics))
        });
        answer(written, GroupError::from).map(flatten)
    }

    // ---- groups ----

    /// ListGroups: every group that this broker coordinates. An error while any shard is loading, since
    /// the list would not be whole.
    pub fn list(&self) -> Answer<Result<Vec<ListedGroup>, GroupError>> {
        let mut ready = Vec::new();
        let mut waiting = Vec::new();
        for partition in self.host.partitions() {
            match self.host.read(partition, GroupShard::list) {
                Ok(Written::Now(groups)) => ready.extend(groups),
                Ok(Written::Later(groups)) => waiting.push(groups),
                Err(ShardError::NotCoordinator) => {} // resigned just now
                Err(error) => return Answer::Ready(Err(error.into())),
            }
        }
        if waiting.is_empty() {
            return Answer::Ready(Ok(ready));
        }
        Answer::Later(Box::pin(async move {
            for groups in waiting {
                ready.extend(groups.await?);
            }
            Ok(ready)
        }))
    }

    /// DescribeGroups of one group; `None` if there is no such group.
    pub fn describe(&self, group_id: &str) -> Answer<Result<Option<DescribedGroup>, GroupError>> {
        let read = self.host.read(self.partition_of(group_id), |shard| {
            shard.describe(group_id)
        });
        answer(read, GroupError::from)
    }

    /// DeleteGroups of one group.
    pub fn delete(&self, group_id: &str) -> Answer<Result<(), GroupError>> {
        let written = self.host.write(self.partition_of(group_id), |shard, _| {
            fallible(shard.on_delete_group(group_id).map(|outcome| (outcome, ())))
        });
        answer(written, GroupError::from).map(flatten)
    }

    /// A version 4 uuid as Java writes it.
    fn random_uuid(&self) -> String {
        let mut bytes = [0u8; 16];
        self.rng.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 0x0f] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        text
    }
}

/// A decision that may be a refusal, as the host takes it.
fn fallible<R>(
    decided: Result<(super::shard::GroupOutcome, R), GroupError>,
) -> (super::shard::GroupOutcome, Result<R, GroupError>) {
    match decided {
        Ok((outcome, result)) => (outcome, Ok(result)),
        Err(error) => (Default::default(), Err(error)),
    }
}

fn flatten<R>(result: Result<Result<R, GroupError>, GroupError>) -> Result<R, GroupError> {
    result.and_then(|result| result)
}

fn answer<R: Send + 'static>(
    written: Result<Written<R>, ShardError>,
    error: fn(ShardError) -> GroupError,
) -> Answer<Result<R, GroupError>> {
    match written {
        Ok(Written::Now(result)) => Answer::Ready(Ok(result)),
        Ok(Written::Later(later)) => {
            Answer::Later(Box::pin(async move { later.await.map_err(error) }))
        }
        Err(refused) => Answer::Ready(Err(error(refused))),
    }
}

/// Consumers before 3.9 do not know COORDINATOR_NOT_AVAILABLE as an answer to OffsetFetch.
fn fetch_error(error: ShardError) -> GroupError {
    match GroupError::from(error) {
        GroupError::NotAvailable => GroupError::NotCoordinator,
        error => error,
    }
}

fn later<T: Send + 'static>(
    asked: Result<Waiting<GroupReply>, ShardError>,
    tell: impl FnOnce(Result<GroupReply, ShardError>) -> T + Send + 'static,
) -> Answer<T> {
    let mut waiting = match asked {
        Ok(waiting) => waiting,
        Err(error) => return Answer::Ready(tell(Err(error))),
    };
    match waiting.now() {
        Some(reply) => Answer::Ready(tell(reply)),
        None => Answer::Later(Box::pin(async move { tell(waiting.get().await) })),
    }
}
