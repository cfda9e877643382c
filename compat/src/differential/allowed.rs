//! Where the two brokers may answer differently, and why.

use serde_json::Value;

/// One allowed difference.
pub(super) struct Allowed {
    /// `*` stands for every case.
    pub(super) case: &'static str,
    pub(super) api: &'static str,
    /// The end of the field's path without the names of elements; or, if it names one (`Configs[key]`), any
    /// part of the path with them.
    pub(super) path: &'static str,
    pub(super) rule: Rule,
    pub(super) why: &'static str,
}

impl Allowed {
    pub(super) fn is_about(&self, case: &str, api: &str, path: &str, plain: &str) -> bool {
        let matches = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        let path_fits = if self.path.contains('[') {
            path.contains(self.path)
        } else {
            plain == self.path || plain.ends_with(&format!(".{}", self.path))
        };
        matches(self.case, case) && matches(self.api, api) && path_fits
    }
}

/// What must be true all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Both say something or both nothing.
    BothOrNeither,
    /// Ottla says something wherever Kafka does.
    AtLeastKafka,
    /// Both are negative, or neither is.
    SameSign,
    /// Kafka answered UNKNOWN_SERVER_ERROR.
    KafkaFails,
    /// Kafka answered INVALID_CONFIG to what Ottla takes.
    KafkaRefuses,
    /// Kafka lists what Ottla does not have.
    OttlaHasNot,
    /// Kafka did not answer.
    KafkaSilent,
    /// Kafka closed the connection, and Ottla answered.
    KafkaCloses,
    /// Nothing.
    Any,
}

impl Rule {
    pub(super) fn holds(self, kafka: Option<&Value>, ottla: Option<&Value>) -> bool {
        let says = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
        let sign = |value: Option<&Value>| value.and_then(Value::as_i64).map(|number| number < 0);
        match self {
            Rule::BothOrNeither => says(kafka) == says(ottla),
            Rule::AtLeastKafka => says(ottla) || !says(kafka),
            Rule::SameSign => sign(kafka).is_some() && sign(kafka) == sign(ottla),
            Rule::KafkaFails => kafka.and_then(Value::as_i64) == Some(-1),
            Rule::KafkaRefuses => {
                kafka.and_then(Value::as_i64) == Some(40)
                    && ottla.and_then(Value::as_i64) == Some(0)
            }
            Rule::OttlaHasNot => ottla.is_none(),
            Rule::KafkaSilent => kafka.and_then(Value::as_str) == Some("Silence"),
            Rule::KafkaCloses => {
                kafka.and_then(Value::as_str) == Some("Closed")
                    && ottla.and_then(Value::as_str) == Some("an answer")
            }
            Rule::Any => true,
        }
    }
}

const fn line(
    case: &'static str,
    api: &'static str,
    path: &'static str,
    rule: Rule,
    why: &'static str,
) -> Allowed {
    Allowed {
        case,
        api,
        path,
        rule,
        why,
    }
}

const OWN_WORDS: &str = "messages for people are in our own words, also where Kafka has none";
const DRAWN: &str = "drawn by the broker";
const OLD_VERSIONS: &str =
    "Kafka 4 has dropped the version; Ottla serves it to the clients that still send it";
const NOT_UNPACKED: &str = "Kafka answers an unknown codec, and bytes that are not in the codec they claim, with \
     UNKNOWN_SERVER_ERROR; Ottla names the codec, and does not unpack what it need not look at";

const ELIGIBLE_LEADERS: &str = "Kafka writes min.insync.replicas as a cluster default, and guards it, where eligible \
     leader replicas are on";
const NOT_BUILT: &str = "what is not built yet is not advertised";
const OWN_LOG: &str = "each one's own metadata log and clock";
const OWN_SETTINGS: &str = "each was started with its own addresses, directory and controller";
const OWN_LOGGERS: &str = "each broker's loggers are its own parts";

#[rustfmt::skip]
pub(super) const ALLOWED: &[Allowed] = &[
    line("*", "*", "ErrorMessage", Rule::AtLeastKafka, OWN_WORDS),
    line("*", "*", "BatchIndexErrorMessage", Rule::AtLeastKafka, OWN_WORDS),
    line("*", "*", "ClusterId", Rule::BothOrNeither, "each cluster has its own"),
    line("*", "*", "Port", Rule::SameSign, "each broker has its own"),
    line("*", "*", "TopicId", Rule::BothOrNeither, DRAWN),
    line("*", "*", "MemberId", Rule::BothOrNeither, DRAWN),
    line("*", "*", "Leader", Rule::BothOrNeither, "the member id that the broker drew"),
    line("*", "*", "SessionId", Rule::SameSign, DRAWN),
    line("*", "*", "ProducerId", Rule::SameSign, DRAWN),
    line("*", "*", "ClientInstanceId", Rule::BothOrNeither, DRAWN),
    line("*", "*", "LogAppendTimeMs", Rule::SameSign, "the moment at which each took the batch"),
    line("*", "*", "Configs[min.insync.replicas]", Rule::Any, ELIGIBLE_LEADERS),
    line("broker-configs", "DescribeConfigs", "Results[].Configs.count", Rule::Any, ELIGIBLE_LEADERS),
    line("broker-configs", "IncrementalAlterConfigs", "Responses[1].ErrorMessage", Rule::Any, ELIGIBLE_LEADERS),
    line("broker-configs", "IncrementalAlterConfigs", "Responses[1].ErrorCode", Rule::KafkaRefuses, ELIGIBLE_LEADERS),
    line("*", "ApiVersions", "ApiKeys.ApiKey", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "ApiKeys.MinVersion", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "ApiKeys.MaxVersion", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "ApiKeys.count", Rule::Any, NOT_BUILT),
    line("*", "ApiVersions", "FinalizedFeatures.Name", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "FinalizedFeatures.MinVersionLevel", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "FinalizedFeatures.MaxVersionLevel", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "FinalizedFeatures.count", Rule::Any, NOT_BUILT),
    line("*", "ApiVersions", "SupportedFeatures.Name", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "SupportedFeatures.MinVersion", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "SupportedFeatures.MaxVersion", Rule::OttlaHasNot, NOT_BUILT),
    line("*", "ApiVersions", "SupportedFeatures.count", Rule::Any, NOT_BUILT),
    line("*", "ApiVersions", "FinalizedFeaturesEpoch", Rule::SameSign, "an offset of each one's own metadata log"),
    line("*", "DescribeLogDirs", "LogDir", Rule::BothOrNeither, OWN_SETTINGS),
    line("*", "DescribeLogDirs", "UsableBytes", Rule::SameSign, "the disk fills meanwhile"),
    line("*", "DescribeQuorum", "Nodes[1].Listeners", Rule::Any, "nobody is let in at the quorum of one"),
    line("*", "DescribeQuorum", "ReplicaDirectoryId", Rule::BothOrNeither, DRAWN),
    line("*", "DescribeQuorum", "LastFetchTimestamp", Rule::SameSign, OWN_LOG),
    line("*", "DescribeQuorum", "LastCaughtUpTimestamp", Rule::SameSign, OWN_LOG),
    line("*", "DescribeQuorum", "LogEndOffset", Rule::SameSign, OWN_LOG),
    line("*", "DescribeQuorum", "HighWatermark", Rule::SameSign, OWN_LOG),
    line("*", "DescribeQuorum", "LeaderEpoch", Rule::SameSign, OWN_LOG),
    line("*", "GetTelemetrySubscriptions", "SubscriptionId", Rule::Any, DRAWN),
    line("*", "CreatePartitions", "Results.ErrorCode", Rule::KafkaFails,
        "Kafka falls over more partitions than one request may make; Ottla names the limit"),
    line("*", "DescribeConfigs", "Documentation", Rule::BothOrNeither, OWN_WORDS),
    line("mutations", "IncrementalAlterConfigs", "Responses.ErrorCode", Rule::KafkaFails,
        "Kafka falls over an operation that does not exist"),
    line("reassignments", "ElectLeaders", "ErrorCode", Rule::Any,
        "Kafka's controller answers an election type that does not exist with success"),
    line("broker-configs", "DescribeConfigs", "Configs[broker.id]", Rule::Any, OWN_SETTINGS),
    line("broker-configs", "DescribeConfigs", "Configs[listeners]", Rule::Any, OWN_SETTINGS),
    line("broker-configs", "DescribeConfigs", "Configs[log.dirs]", Rule::Any, OWN_SETTINGS),
    line("broker-configs", "DescribeConfigs", "Configs[controller.listener.names]", Rule::Any, OWN_SETTINGS),
    line("broker-configs", "DescribeConfigs", "Configs[controller.quorum.bootstrap.servers]", Rule::Any, OWN_SETTINGS),
    line("other-configs", "DescribeConfigs", "Results[1].Configs", Rule::Any, OWN_LOGGERS),
    line("topic-configs", "IncrementalAlterConfigs", "Responses.ErrorCode", Rule::KafkaFails,
        "Kafka falls over a null where a list element to add or take away should stand; Ottla calls the request invalid"),
    line("broker-configs", "IncrementalAlterConfigs", "Responses[].ErrorMessage", Rule::Any,
        "Kafka divides by its zero of cleaner threads"),
    line("broker-configs", "IncrementalAlterConfigs", "Responses[].ErrorCode", Rule::Any,
        "Kafka divides by its zero of cleaner threads"),
    line("unknown-versions", "ListOffsets", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "OffsetCommit", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "CreateTopics", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "DeleteTopics", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "OffsetForLeaderEpoch", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "DescribeAcls", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "CreateAcls", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "DeleteAcls", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "DescribeConfigs", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("unknown-versions", "DescribeLogDirs", "reply", Rule::KafkaCloses, OLD_VERSIONS),
    line("*", "DescribeConfigs", "Configs.IsDefault", Rule::Any, "Kafka 3.9 calls no value the default; Ottla does"),
    line("produce-refused", "Produce", "reply", Rule::KafkaSilent,
        "Kafka never answers a batch of a negative number of records"),
    line("produce-refused", "Produce", "PartitionResponses.ErrorCode", Rule::KafkaFails, NOT_UNPACKED),
    line("produce-refused", "Produce", "PartitionResponses.BaseOffset", Rule::Any, NOT_UNPACKED),
];
