//! The written cases, in the order in which they run: later ones use topics of earlier ones.

mod admin;
mod directories;
mod groups;
mod records;
mod topics;

use serde_json::{Value, json};

use super::pair::{Pair, Side};
use crate::checks::Checked;

pub(super) type Case = (&'static str, fn(&mut Pair<'_>) -> Checked);

pub(super) const CASES: &[Case] = &[
    ("api-versions", topics::api_versions),
    ("create-topics", topics::create),
    ("create-refused", topics::create_refused),
    ("create-partitions", topics::create_partitions),
    ("metadata", topics::metadata),
    ("describe-topics", topics::describe),
    ("delete-topics", topics::delete),
    ("produce", records::produce),
    ("produce-refused", records::produce_refused),
    ("idempotence", records::idempotence),
    ("append-time", records::append_time),
    ("fetch", records::fetch),
    ("fetch-sessions", records::fetch_sessions),
    ("list-offsets", records::list_offsets),
    ("segment-starts", records::segment_starts),
    ("leader-epochs", records::leader_epochs),
    ("delete-records", records::delete_records),
    ("producer-ids", records::producer_ids),
    ("find-coordinator", groups::find_coordinator),
    ("join", groups::join),
    ("join-refused", groups::join_refused),
    ("static-members", groups::static_members),
    ("commits", groups::commits),
    ("group-admin", groups::admin),
    ("topic-configs", admin::topic_configs),
    ("broker-configs", admin::broker_configs),
    ("other-configs", admin::other_configs),
    ("cluster", admin::cluster),
    ("reassignments", admin::reassignments),
    ("features", admin::features),
    ("log-dirs", directories::moved),
    ("log-dirs-refused", directories::not_moved),
    ("acls", admin::acls),
    ("transactions-listed", admin::transactions),
    ("telemetry", admin::telemetry),
    ("unknown-versions", topics::unknown_versions),
];

/// Creates a topic on both and keeps its id as `id:NAME`.
fn create(pair: &mut Pair<'_>, name: &str, partitions: i32, configs: Value) -> Checked {
    let topic = json!({
        "Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": configs,
    });
    pair.ask("CreateTopics", 7, |_| json!({"Topics": [topic]}))?;
    pair.keep(&format!("id:{name}"), |answer| {
        answer["Topics"][0]["TopicId"].clone()
    });
    let topics = json!({"Topics": [{"Name": name}], "AllowAutoTopicCreation": false});
    let led = |answer: &Value| {
        let partitions = answer["Topics"][0]["Partitions"].as_array();
        partitions.is_some_and(|all| {
            !all.is_empty() && all.iter().all(|partition| partition["ErrorCode"] == 0)
        })
    };
    pair.ask_until("Metadata", 12, |_| topics.clone(), led)?;
    // Kafka names a leader some time before that broker knows that it leads.
    let ask = json!({"ReplicaId": -1, "Topics": [{"Name": name, "Partitions":
        (0..partitions).map(|index| json!({"PartitionIndex": index, "Timestamp": -1})).collect::<Vec<_>>()}]});
    let serves = |answer: &Value| {
        let partitions = answer["Topics"][0]["Partitions"].as_array();
        partitions.is_some_and(|all| all.iter().all(|partition| partition["ErrorCode"] == 0))
    };
    pair.ask_until("ListOffsets", 8, |_| ask.clone(), serves)
}

/// A topic by name or, in the versions that want it, by id.
fn topic_named(side: &Side, by_id: bool, name: &str, rest: Value) -> Value {
    let mut topic = rest;
    if by_id {
        let id = side.kept(&format!("id:{name}"));
        topic["TopicId"] = if id.is_null() {
            "11".repeat(16).into()
        } else {
            id
        };
    } else {
        topic["Name"] = name.into();
    }
    topic
}
