//! Kafka's error codes: numbers and names are the standard's, the sentences are ours. Clients show
//! their own text for a code they know; ours go into the `error_message` fields of responses.

macro_rules! error_codes {
    ($($variant:ident = $code:literal, $name:literal, $message:literal;)*) => {
        /// A code of the release that `schemas/ORIGIN` names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = $message] $variant = $code,)*
        }

        impl ErrorCode {
            /// Every code, in order of number.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The standard name, for example `OFFSET_OUT_OF_RANGE`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $name,)*
                }
            }

            /// One sentence for people.
            pub const fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $message,)*
                }
            }
        }
    };
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// `None` for a number that the release does not know.
    pub fn from_code(code: i16) -> Option<ErrorCode> {
        let found = ErrorCode::ALL.binary_search_by_key(&code, |error| error.code());
        found
            .ok()
            .and_then(|index| ErrorCode::ALL.get(index).copied())
    }

    pub const fn is_none(self) -> bool {
        matches!(self, ErrorCode::None)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", "The broker failed in a way that has no code of its own.";
    None = 0, "NONE", "No error.";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", "The partition holds no such offset.";
    CorruptMessage = 2, "CORRUPT_MESSAGE", "The batch is damaged: its checksum, its size or its keys are wrong.";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", "This broker has no such topic or partition.";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", "The fetch size is not valid.";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", "The partition has no leader at the moment.";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", "This broker neither leads nor follows the partition.";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", "The request ran out of time.";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", "The broker cannot be reached.";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", "The replica cannot be reached.";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", "The batch is larger than the topic allows.";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", "The request carries the epoch of an older controller.";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", "The metadata text of the commit is too long.";
    NetworkException = 13, "NETWORK_EXCEPTION", "The connection closed before the answer came.";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", "The coordinator is still loading.";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", "There is no coordinator at the moment.";
    NotCoordinator = 16, "NOT_COORDINATOR", "Another broker is the coordinator.";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", "The topic is not one that this operation may use.";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", "The batch is larger than a segment.";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", "Too few replicas are in sync; nothing was written.";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "The records were written, but on too few replicas in sync.";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", "The number of acknowledgements must be -1, 0 or 1.";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", "The generation is not the group's current one.";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", "The member's protocols do not fit those of the group.";
    InvalidGroupId = 24, "INVALID_GROUP_ID", "The group id is not valid.";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", "The group has no such member.";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", "The session timeout is outside the broker's range.";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", "The group is rebalancing; join it again.";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", "The commit is too large.";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", "Access to the topic is denied.";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", "Access to the group is denied.";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", "Access to the cluster is denied.";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", "The timestamp of a record is out of range.";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", "The broker does not offer this SASL mechanism.";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", "The request does not fit the state of the SASL exchange.";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", "The broker does not speak this version.";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", "A topic of this name exists.";
    InvalidPartitions = 37, "INVALID_PARTITIONS", "The number of partitions is not valid.";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", "The replication factor is not valid or more than the brokers there are.";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", "The assignment of replicas is not valid.";
    InvalidConfig = 40, "INVALID_CONFIG", "The configuration is not valid.";
    NotController = 41, "NOT_CONTROLLER", "Another node is the controller.";
    InvalidRequest = 42, "INVALID_REQUEST", "The request contradicts itself or its version.";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", "The message format cannot carry this.";
    PolicyViolation = 44, "POLICY_VIOLATION", "The request breaks a policy of the cluster.";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "A batch is missing before this one.";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", "The batch was written before and is no longer remembered in full.";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", "The producer's epoch is an old one.";
    InvalidTxnState = 48, "INVALID_TXN_STATE", "The transaction is not in a state that allows this.";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", "The producer id does not belong to the transactional id.";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", "The transaction timeout is longer than the broker allows.";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", "The transaction is still busy with an earlier step.";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", "The marker comes from an older transaction coordinator.";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "Access to the transactional id is denied.";
    SecurityDisabled = 54, "SECURITY_DISABLED", "Security is not turned on.";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", "The operation was left out because another part of the request failed.";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", "The log directory failed.";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", "The broker has no such log directory.";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", "Authentication failed.";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", "The partition knows nothing of this producer any more.";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", "The partition is being moved.";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", "Delegation tokens are not turned on.";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", "There is no such delegation token.";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", "The delegation token belongs to somebody else.";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "A delegation token cannot be asked for on this connection.";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "Access to the delegation token is denied.";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", "The delegation token has expired.";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", "The type of the principal is not supported.";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", "The group has members.";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", "There is no such group.";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", "There is no such fetch session.";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", "The epoch of the fetch session is not the next one.";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", "The leader has no listener of this name.";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", "The broker does not delete topics.";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", "The leader epoch is older than the broker's.";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", "The leader epoch is newer than the broker's.";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", "The client does not understand the partition's compression.";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", "The broker's epoch is not the current one.";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", "The leader is new and does not know its offsets yet.";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", "Join again with the member id that comes with this answer.";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", "The preferred leader is not available.";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", "The group is full.";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", "Another member took over this instance id.";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", "No replica may become leader.";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", "The partition has the leader it should have.";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", "The partition is not being moved.";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", "The group reads this topic at the moment.";
    InvalidRecord = 87, "INVALID_RECORD", "A record is not valid.";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", "An offset of an open transaction is in the way.";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", "The quota is used up.";
    ProducerFenced = 90, "PRODUCER_FENCED", "A newer producer uses this transactional id.";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", "There is no such resource.";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", "The resource is named twice.";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", "The credential is not acceptable.";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", "The voters of sender and receiver differ.";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", "The version to update to is not valid.";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", "The features could not be updated.";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", "The forwarded principal could not be read.";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", "There is no such snapshot.";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", "The position is not inside the snapshot.";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", "This broker has no topic of this id.";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", "The broker id is in use.";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", "The broker id is not registered.";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", "The topic id is not that of the log.";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", "The cluster id is not that of this cluster.";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", "There is no such transactional id.";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", "The fetch session mixes topics with and without ids.";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", "A replica may not be in the set of those in sync.";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", "The change went through, and the partition has a new leader.";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", "The offset has moved to tiered storage.";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", "The member's epoch is fenced; give everything up and join again.";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", "The instance id is still in use by another member.";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", "The group does not support this assignor.";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", "The member's epoch is an old one.";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", "The request came to the wrong kind of endpoint.";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", "This kind of endpoint is not supported.";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", "The controller id is not known.";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", "The telemetry subscription is not known.";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", "The telemetry is larger than the broker accepts.";
    InvalidRegistration = 119, "INVALID_REGISTRATION", "The registration is not valid.";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", "The transaction failed and can be aborted.";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", "The record is not in a state that allows this.";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", "There is no such share session.";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", "The epoch of the share session is not the next one.";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", "The epoch of the share group's state is not the current one.";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", "The key of the voter is not that of the receiver.";
    DuplicateVoter = 126, "DUPLICATE_VOTER", "The voter is one already.";
    VoterNotFound = 127, "VOTER_NOT_FOUND", "There is no such voter.";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", "The regular expression is not valid.";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", "The client's metadata is out of date; bootstrap again.";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", "The topology is not valid.";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", "The epoch of the topology is not valid.";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", "The epoch of the topology is an old one.";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", "There are too many share sessions.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_from_minus_one_on_is_there_once_and_found_by_its_number() {
        for (index, error) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(usize::try_from(error.code() + 1), Ok(index));
            assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
        }
        assert_eq!(ErrorCode::from_code(i16::MAX), None);
        assert_eq!(ErrorCode::from_code(-2), None);
    }

    #[test]
    fn names_are_the_standards() {
        assert_eq!(ErrorCode::OffsetOutOfRange.name(), "OFFSET_OUT_OF_RANGE");
        assert_eq!(ErrorCode::ShareSessionLimitReached.code(), 133);
        let camel = |name: &str| {
            let words = name
                .split('_')
                .map(|word| word[..1].to_owned() + &word[1..].to_lowercase());
            words.collect::<String>()
        };
        for error in ErrorCode::ALL {
            assert_eq!(format!("{error:?}"), camel(error.name()));
        }
    }
}
