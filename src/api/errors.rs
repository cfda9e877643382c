//! Our errors as Kafka's codes. Every match is exhaustive: a new error must choose its code here.
#![deny(clippy::wildcard_enum_match_arm)]

use crate::config::SubscriptionError;
use crate::controller::{
    AlterConfigsError, AssignmentError, CreateTopicError, DeleteTopicError, ElectionError,
    FeatureError, GrowTopicError, NotRegistered, ProducerIdsError, ReassignError,
};
use crate::protocol::ErrorCode;
use crate::quorum::QuorumError;
use crate::record::{InvalidBatch, RecordFault};
use crate::replica::{
    AppendError, DeleteRecordsError, EpochError, LogAppendError, LookupError, MoveError,
    ProduceError, ProducerError, SessionError,
};
use crate::telemetry::TelemetryError;

/// A code with a sentence of its own, for answers that have room for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
}

impl Refused {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused {
            code,
            message: Some(message.into()),
        }
    }

    pub(super) fn request(message: impl Into<String>) -> Refused {
        Refused::new(ErrorCode::InvalidRequest, message)
    }
}

impl From<&AlterConfigsError> for Refused {
    fn from(error: &AlterConfigsError) -> Refused {
        Refused::new(error.into(), error.to_string())
    }
}

impl From<LookupError> for ErrorCode {
    fn from(error: LookupError) -> ErrorCode {
        match error {
            LookupError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            LookupError::UnknownTopicId => ErrorCode::UnknownTopicId,
            LookupError::NotLeader => ErrorCode::NotLeaderOrFollower,
            LookupError::Offline => ErrorCode::KafkaStorageError,
        }
    }
}

impl From<DeleteRecordsError> for ErrorCode {
    fn from(error: DeleteRecordsError) -> ErrorCode {
        match error {
            DeleteRecordsError::Lookup(error) => error.into(),
            DeleteRecordsError::Compacted => ErrorCode::PolicyViolation,
            DeleteRecordsError::OutOfRange => ErrorCode::OffsetOutOfRange,
            DeleteRecordsError::Storage => ErrorCode::KafkaStorageError,
        }
    }
}

impl From<MoveError> for ErrorCode {
    fn from(error: MoveError) -> ErrorCode {
        match error {
            MoveError::UnknownDirectory => ErrorCode::LogDirNotFound,
            MoveError::OfflineDirectory => ErrorCode::KafkaStorageError,
            // Kafka keeps the older code here, for tools that know no other.
            MoveError::Lookup(LookupError::NotLeader) => ErrorCode::ReplicaNotAvailable,
            MoveError::Lookup(error) => error.into(),
            MoveError::CordonedDirectory => ErrorCode::InvalidReplicaAssignment,
            MoveError::NameTooLong => ErrorCode::InvalidTopicException,
        }
    }
}

impl From<TelemetryError> for ErrorCode {
    fn from(error: TelemetryError) -> ErrorCode {
        match error {
            TelemetryError::InvalidInstance | TelemetryError::Closed => ErrorCode::InvalidRequest,
            TelemetryError::TooEarly => ErrorCode::ThrottlingQuotaExceeded,
            TelemetryError::UnknownSubscription => ErrorCode::UnknownSubscriptionId,
            TelemetryError::UnknownCodec => ErrorCode::UnsupportedCompressionType,
            TelemetryError::TooLarge => ErrorCode::TelemetryTooLarge,
            TelemetryError::Broken => ErrorCode::InvalidRecord,
        }
    }
}

impl From<EpochError> for ErrorCode {
    fn from(error: EpochError) -> ErrorCode {
        match error {
            EpochError::Fenced => ErrorCode::FencedLeaderEpoch,
            EpochError::Unknown => ErrorCode::UnknownLeaderEpoch,
        }
    }
}

impl From<SessionError> for ErrorCode {
    fn from(error: SessionError) -> ErrorCode {
        match error {
            SessionError::NotFound => ErrorCode::FetchSessionIdNotFound,
            SessionError::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
            SessionError::TopicIds => ErrorCode::FetchSessionTopicIdError,
        }
    }
}

impl From<&QuorumError> for ErrorCode {
    fn from(error: &QuorumError) -> ErrorCode {
        match error {
            QuorumError::Storage(_) => ErrorCode::KafkaStorageError,
            QuorumError::Apply(_) | QuorumError::Encode(_) => ErrorCode::UnknownServerError,
            QuorumError::Stopping => ErrorCode::BrokerNotAvailable,
        }
    }
}

impl From<&CreateTopicError> for ErrorCode {
    fn from(error: &CreateTopicError) -> ErrorCode {
        match error {
            CreateTopicError::Name(_) | CreateTopicError::Collides { .. } => {
                ErrorCode::InvalidTopicException
            }
            CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
            CreateTopicError::NamedTwice(_)
            | CreateTopicError::Metadata(_)
            | CreateTopicError::AssignmentAndCounts => ErrorCode::InvalidRequest,
            CreateTopicError::Partitions(_) => ErrorCode::InvalidPartitions,
            CreateTopicError::ReplicationFactor(_) | CreateTopicError::Placement { .. } => {
                ErrorCode::InvalidReplicationFactor
            }
            CreateTopicError::Assignment(error) => error.into(),
            CreateTopicError::AssignedTwice(_) | CreateTopicError::AssignmentGap => {
                ErrorCode::InvalidReplicaAssignment
            }
            CreateTopicError::Config(_) | CreateTopicError::ConfigNull(_) => {
                ErrorCode::InvalidConfig
            }
            CreateTopicError::TooManyPartitions(_) => ErrorCode::PolicyViolation,
            CreateTopicError::Quorum(error) => error.into(),
        }
    }
}

impl From<&DeleteTopicError> for ErrorCode {
    fn from(error: &DeleteTopicError) -> ErrorCode {
        match error {
            DeleteTopicError::UnknownId => ErrorCode::UnknownTopicId,
            DeleteTopicError::Quorum(error) => error.into(),
        }
    }
}

impl From<&AlterConfigsError> for ErrorCode {
    fn from(error: &AlterConfigsError) -> ErrorCode {
        match error {
            AlterConfigsError::NoName(_)
            | AlterConfigsError::BrokerName
            | AlterConfigsError::NegativeBroker
            | AlterConfigsError::Logger
            | AlterConfigsError::Subscription(SubscriptionError::Request(_)) => {
                ErrorCode::InvalidRequest
            }
            AlterConfigsError::TopicName(_) => ErrorCode::InvalidTopicException,
            AlterConfigsError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
            AlterConfigsError::UnknownBroker(_) => ErrorCode::BrokerIdNotRegistered,
            AlterConfigsError::NotAList { .. }
            | AlterConfigsError::ValueTooLong
            | AlterConfigsError::MinInsyncReplicas(..)
            | AlterConfigsError::Config(_)
            | AlterConfigsError::Subscription(SubscriptionError::Value(_)) => {
                ErrorCode::InvalidConfig
            }
            AlterConfigsError::TooManyRecords(_) => ErrorCode::PolicyViolation,
            AlterConfigsError::Quorum(error) => error.into(),
        }
    }
}

impl From<&AssignmentError> for ErrorCode {
    fn from(error: &AssignmentError) -> ErrorCode {
        match error {
            AssignmentError::Empty
            | AssignmentError::NotRegistered(_)
            | AssignmentError::Twice(_)
            | AssignmentError::Factor { .. }
            | AssignmentError::AllFenced(_) => ErrorCode::InvalidReplicaAssignment,
        }
    }
}

impl From<&GrowTopicError> for ErrorCode {
    fn from(error: &GrowTopicError) -> ErrorCode {
        match error {
            GrowTopicError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            GrowTopicError::SameCount(_) | GrowTopicError::NoIncrease { .. } => {
                ErrorCode::InvalidPartitions
            }
            GrowTopicError::AssignmentCount { .. } => ErrorCode::InvalidReplicaAssignment,
            GrowTopicError::Assignment(error) => error.into(),
            GrowTopicError::Placement(_) => ErrorCode::InvalidReplicationFactor,
            GrowTopicError::TooMany => ErrorCode::PolicyViolation,
        }
    }
}

impl From<&ElectionError> for ErrorCode {
    fn from(error: &ElectionError) -> ErrorCode {
        match error {
            ElectionError::UnknownTopic(_) | ElectionError::UnknownPartition { .. } => {
                ErrorCode::UnknownTopicOrPartition
            }
            ElectionError::NotNeeded => ErrorCode::ElectionNotNeeded,
            ElectionError::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
            ElectionError::NobodyAvailable => ErrorCode::EligibleLeadersNotAvailable,
        }
    }
}

impl From<&ReassignError> for ErrorCode {
    fn from(error: &ReassignError) -> ErrorCode {
        match error {
            ReassignError::UnknownTopic(_) | ReassignError::UnknownPartition { .. } => {
                ErrorCode::UnknownTopicOrPartition
            }
            ReassignError::Assignment(error) => error.into(),
            ReassignError::FactorChanged { .. } => ErrorCode::InvalidReplicationFactor,
            ReassignError::NothingUnderWay => ErrorCode::NoReassignmentInProgress,
            ReassignError::RevertUnclean { .. } => ErrorCode::InvalidReplicaAssignment,
        }
    }
}

impl From<&NotRegistered> for ErrorCode {
    fn from(NotRegistered(_): &NotRegistered) -> ErrorCode {
        ErrorCode::BrokerIdNotRegistered
    }
}

impl From<&FeatureError> for ErrorCode {
    fn from(error: &FeatureError) -> ErrorCode {
        match error {
            FeatureError::Level { .. } | FeatureError::MetadataDowngrade { .. } => {
                ErrorCode::InvalidUpdateVersion
            }
        }
    }
}

impl From<&ProducerIdsError> for ErrorCode {
    fn from(error: &ProducerIdsError) -> ErrorCode {
        match error {
            ProducerIdsError::Exhausted => ErrorCode::UnknownServerError,
            // The client asks again, as it does while Kafka has no block of ids at hand.
            ProducerIdsError::Quorum(_) => ErrorCode::CoordinatorLoadInProgress,
        }
    }
}

impl From<&ProduceError> for ErrorCode {
    fn from(error: &ProduceError) -> ErrorCode {
        match error {
            ProduceError::Invalid(error) => error.into(),
            ProduceError::Append(error) => error.into(),
            ProduceError::Internal => ErrorCode::InvalidTopicException,
            ProduceError::NotInTransaction => ErrorCode::InvalidTxnState,
        }
    }
}

impl From<&InvalidBatch> for ErrorCode {
    fn from(error: &InvalidBatch) -> ErrorCode {
        match error {
            InvalidBatch::Corrupt(_) => ErrorCode::CorruptMessage,
            InvalidBatch::ZstdNotAllowed | InvalidBatch::UnknownCodec(_) => {
                ErrorCode::UnsupportedCompressionType
            }
            InvalidBatch::TooLarge { .. } | InvalidBatch::DecodedTooLarge { .. } => {
                ErrorCode::MessageTooLarge
            }
            InvalidBatch::LogAppendTimeType
            | InvalidBatch::Timestamp { .. }
            | InvalidBatch::Records {
                fault: RecordFault::Timestamp,
                ..
            } => ErrorCode::InvalidTimestamp,
            InvalidBatch::Records {
                fault: RecordFault::Record,
                ..
            }
            | InvalidBatch::NoBatch
            | InvalidBatch::MoreThanOneBatch
            | InvalidBatch::OldMagic(_)
            | InvalidBatch::BaseOffset(_)
            | InvalidBatch::OffsetRange { .. }
            | InvalidBatch::Control
            | InvalidBatch::Sequence(_)
            | InvalidBatch::Malformed(_)
            | InvalidBatch::Undecodable(_) => ErrorCode::InvalidRecord,
        }
    }
}

impl From<&AppendError> for ErrorCode {
    fn from(error: &AppendError) -> ErrorCode {
        match error {
            AppendError::NotLeader => ErrorCode::NotLeaderOrFollower,
            AppendError::Log(error) => match error {
                LogAppendError::Offline | LogAppendError::Storage(_) => {
                    ErrorCode::KafkaStorageError
                }
                LogAppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
                LogAppendError::StaleLeaderEpoch { .. } => ErrorCode::NotLeaderOrFollower,
                LogAppendError::Producer(error) => error.into(),
            },
        }
    }
}

impl From<&ProducerError> for ErrorCode {
    fn from(error: &ProducerError) -> ErrorCode {
        match error {
            ProducerError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerError::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerError::NotTransactional => ErrorCode::InvalidTxnState,
            ProducerError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        }
    }
}
