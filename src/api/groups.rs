//! What the group APIs share: the coordinator's answers as handlers give them, its errors as codes.
#![deny(clippy::wildcard_enum_match_arm)]

use super::context::{RequestContext, Staged};
use crate::coordinator::group::{Answer, GroupError};
use crate::protocol::{ErrorCode, Text};
use std::collections::HashSet;
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

/// One answer made of several: there at once if all of them are.
pub(super) fn all<T: Send + 'static, U: Send + 'static>(
    answers: Vec<Answer<T>>,
    finish: impl FnOnce(Vec<T>) -> U + Send + 'static,
) -> Staged<U> {
    let is_ready = |answer: &Answer<T>| matches!(answer, Answer::Ready(_));
    if answers.iter().all(is_ready) {
        let ready = answers.into_iter().filter_map(|answer| match answer {
            Answer::Ready(answer) => Some(answer),
            Answer::Later(_) => None,
        });
        return Staged::Ready(finish(ready.collect()));
    }
    Staged::later(async move {
        let mut gathered = Vec::with_capacity(answers.len());
        for answer in answers {
            gathered.push(answer.get().await);
        }
        finish(gathered)
    })
}

/// Each name once, where it comes first.
pub(super) fn distinct(names: Vec<Text>) -> impl Iterator<Item = Text> {
    let mut seen = HashSet::with_capacity(names.len());
    names
        .into_iter()
        .filter(move |name| seen.insert(name.clone()))
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
    use crate::coordinator::group::{
        GroupCoordinator, GroupSettings, Join, MemberIdRule, Protocol, SkipAssignment, SyncRequest,
    };
    use crate::coordinator::{Appended, Committed, ShardLog, WriteError};
    use crate::record::ValidBatch;
    use crate::sim::{self, SimClock};
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
        let (_, runtime) = sim::on_empty_disk(&SimClock::simulated());
        let settings = GroupSettings {
            initial_rebalance_delay_ms: 0,
            ..GroupSettings::default()
        };
        let groups = GroupCoordinator::new(settings, 1, &runtime);
        groups.lead(0, LeaderEpoch(0), Arc::new(Sink::default()));
        groups
    }

    /// A subscription to topic `t`.
    pub(in crate::api) const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";

    /// Makes group `g` a stable consumer group of one static member, `i`, that is assigned `mine`; its
    /// member id.
    pub(in crate::api) async fn stable_group(groups: &GroupCoordinator) -> Arc<str> {
        let join = Join {
            group_id: "g",
            member_id: "",
            instance_id: Some("i"),
            client_id: "c",
            client_host: "/127.0.0.1",
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer",
            protocols: vec![Protocol {
                name: "range".into(),
                metadata: Bytes::from_static(SUBSCRIPTION),
            }],
            reason: None,
            member_id_rule: MemberIdRule::RequiredFirst,
            skip_assignment: SkipAssignment::Understood,
            new_id_suffix: "",
        };
        let joined = groups.join(join).get().await.unwrap();
        let sync = SyncRequest {
            group_id: "g",
            member_id: &joined.member_id,
            instance_id: Some("i"),
            generation: joined.generation,
            protocol_type: None,
            protocol: None,
            assignments: vec![(&*joined.member_id, Bytes::from_static(b"mine"))],
        };
        groups.sync(&sync).get().await.unwrap();
        joined.member_id
    }

    /// A coordinator that leads nothing.
    pub(in crate::api) fn stranger() -> GroupCoordinator {
        let (_, runtime) = sim::on_empty_disk(&SimClock::simulated());
        GroupCoordinator::new(GroupSettings::default(), 1, &runtime)
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
