//! Why a group request is refused.

use crate::coordinator::{ShardError, WriteError};

/// Each is one of Kafka's codes; `api` has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GroupError {
    #[error("another broker coordinates this group")]
    NotCoordinator,
    #[error("the coordinator is loading the group")]
    LoadInProgress,
    #[error("the coordinator cannot answer now")]
    NotAvailable,
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("the session timeout is outside what this broker allows")]
    InvalidSessionTimeout,
    #[error("the group does not know this member")]
    UnknownMember,
    #[error("the member is of another generation")]
    IllegalGeneration,
    #[error("another member holds this group instance id")]
    FencedInstance,
    #[error("the member and the group share no protocol")]
    InconsistentProtocol,
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    #[error("join again with the member id that is given")]
    MemberIdRequired,
    #[error("the group has its most members already")]
    GroupFull,
    #[error("there is no such group")]
    GroupNotFound,
    #[error("the group has members")]
    NonEmptyGroup,
    #[error("the group is subscribed to the topic")]
    SubscribedToTopic,
    #[error("the metadata kept with the offset is too long")]
    MetadataTooLarge,
    #[error("a transaction holds an offset that is not decided yet")]
    UnstableOffset,
    #[error("the group's record is larger than the offsets topic allows")]
    RecordTooLarge,
}

impl From<WriteError> for GroupError {
    fn from(error: WriteError) -> GroupError {
        match error {
            WriteError::NotLeader | WriteError::Storage => GroupError::NotCoordinator,
            WriteError::UnknownPartition | WriteError::NotEnoughReplicas | WriteError::TimedOut => {
                GroupError::NotAvailable
            }
            WriteError::TooLarge => GroupError::RecordTooLarge,
        }
    }
}

impl From<ShardError> for GroupError {
    fn from(error: ShardError) -> GroupError {
        match error {
            ShardError::NotCoordinator => GroupError::NotCoordinator,
            ShardError::Loading => GroupError::LoadInProgress,
            ShardError::Write(error) => error.into(),
        }
    }
}
