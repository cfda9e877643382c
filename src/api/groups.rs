//! What the group APIs share: the coordinator's answers as handlers give them, its errors as codes.
#![deny(clippy::wildcard_enum_match_arm)]

use super::context::{RequestContext, Staged};
use crate::coordinator::group::{Answer, GroupError};
use crate::protocol::{ErrorCode, Text};
use std::sync::Arc;

impl From<GroupError> for ErrorCode {
    fn from(error: GroupError) -> ErrorCode {
        match error {
            GroupError::NotCoordinator => ErrorCode::NotCoordinator,
            GroupError::LoadInProgress => ErrorCode::CoordinatorLoadInProgress,
            GroupError::NotAvailable => ErrorCode::CoordinatorNotAvailable,
            GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
            GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
            GroupError::UnknownMember => ErrorCode::UnknownMemberId,
            GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
            GroupError::FencedInstance => ErrorCode::FencedInstanceId,
            GroupError::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
            GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
            GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
            GroupError::GroupFull => ErrorCode::GroupMaxSizeReached,
            GroupError::GroupNotFound => ErrorCode::GroupIdNotFound,
            GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
            GroupError::SubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
            GroupError::MetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
            GroupError::UnstableOffset => ErrorCode::UnstableOffsetCommit,
            // Kafka hides that it is the size: the client cannot change it.
            GroupError::RecordTooLarge => ErrorCode::UnknownServerError,
        }
    }
}

/// The code of a result.
pub(super) fn code<T>(result: &Result<T, GroupError>) -> i16 {
    match result {
        Ok(_) => ErrorCode::None.code(),
        Err(error) => ErrorCode::from(*error).code(),
    }
}

/// The coordinator's answer as a handler's.
pub(super) fn staged<T>(answer: Answer<T>) -> Staged<T> {
    match answer {
        Answer::Ready(answer) => Staged::Ready(answer),
        Answer::Later(answer) => Staged::Later(answer),
    }
}

/// `client.id`; a client that gives none has the empty one.
pub(super) fn client_id(context: &RequestContext) -> &str {
    context.client_id.as_deref().unwrap_or("")
}

/// The client's address as Java writes it, which is how the tools show it.
pub(super) fn client_host(context: &RequestContext) -> String {
    format!("/{}", context.peer.ip())
}

pub(super) fn text(shared: &Arc<str>) -> Text {
    Text::copy(shared)
}

pub(super) fn text_opt(shared: Option<&Arc<str>>) -> Option<Text> {
    shared.map(text)
}

#[cfg(test)]
pub(super) mod tests {
    //! A coordinator of one partition, on a log in memory, and requests to it.

    use super::*;
    use crate::coordinator::group::{GroupCoordinator, GroupSettings};
    use crate::coordinator::{Appended, Committed, ShardLog, WriteError};
    use crate::record::ValidBatch;
    use crate::sim::{SimClock, SimDisk};
    use crate::types::{LeaderEpoch, Offset, Timestamp};
    use bytes::Bytes;
    use parking_lot::Mutex;

    /// Takes whatever is appended; nothing is read back.
    #[derive(Default)]
    struct Sink(Mutex<i64>);

    impl ShardLog for Sink {
        fn start(&self) -> Offset {
            Offset::ZERO
        }

        fn end(&self) -> Offset {
            Offset(*self.0.lock())
        }

        fn read(&self, _: Offset, _: usize) -> Result<Bytes, WriteError> {
            Ok(Bytes::new())
        }

        fn append(&self, batch: ValidBatch) -> Result<Appended, WriteError> {
            let mut end = self.0.lock();
            let base = Offset(*end);
            *end += i64::from(batch.header().last_offset_delta) + 1;
            Ok(Appended { base })
        }

        fn committed(&self, _: Offset) -> Committed {
            Committed::Already
        }
    }

    pub(in crate::api) fn coordinator() -> GroupCoordinator {
        let clock = SimClock::simulated();
        let disk = SimDisk::new(clock.clone());
        let runtime = crate::sim::runtime(1, &disk, &clock);
        let settings = GroupSettings {
            initial_rebalance_delay_ms: 0,
            ..GroupSettings::default()
        };
        let groups = GroupCoordinator::new(settings, 1, &runtime);
        groups.lead(0, LeaderEpoch(0), Arc::new(Sink::default()));
        groups
    }

    pub(in crate::api) fn context(version: i16) -> RequestContext {
        RequestContext {
            version,
            correlation_id: 1,
            client_id: Some("c".into()),
            peer: ([127, 0, 0, 1], 5000).into(),
            listener: "PLAINTEXT".into(),
            now: Timestamp(0),
        }
    }

    pub(in crate::api) async fn answer<T>(staged: Staged<T>) -> T {
        match staged {
            Staged::Ready(answer) => answer,
            Staged::Later(answer) => answer.await,
        }
    }
}
