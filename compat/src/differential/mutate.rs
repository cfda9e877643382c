//! Requests with one field changed by chance: what nobody thought of writing down.

use ottla_codegen::schema::{Field, Message, Type};
use serde_json::{Map, Value, json};

use super::Settings;
use super::codec::default;
use super::pair::Pair;
use crate::checks::Checked;

/// An API, and a request of it.
type Base = (&'static str, fn() -> Value);

/// What is changed: an answer to these says nothing about time, and none of them waits.
const BASES: &[Base] = &[
    (
        "Metadata",
        || json!({"Topics": [{"Name": "plain"}], "AllowAutoTopicCreation": false}),
    ),
    (
        "ListOffsets",
        || json!({"ReplicaId": -1, "Topics": [{"Name": "read", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]}),
    ),
    (
        "Fetch",
        || json!({"Topics": [{"Topic": "read", "Partitions": [{"Partition": 0, "FetchOffset": 2, "PartitionMaxBytes": 1000}]}]}),
    ),
    (
        "OffsetForLeaderEpoch",
        || json!({"Topics": [{"Topic": "read", "Partitions": [{"Partition": 0, "LeaderEpoch": 0}]}]}),
    ),
    ("CreateTopics", || {
        json!({"validateOnly": true, "Topics": [{"Name": "chance", "NumPartitions": 1, "ReplicationFactor": 1,
        "Configs": [{"Name": "retention.ms", "Value": "5"}]}]})
    }),
    (
        "CreatePartitions",
        || json!({"ValidateOnly": true, "TimeoutMs": 1000, "Topics": [{"Name": "plain", "Count": 5, "Assignments": null}]}),
    ),
    (
        "DescribeConfigs",
        || json!({"Resources": [{"ResourceType": 2, "ResourceName": "plain", "ConfigurationKeys": ["retention.ms"]}]}),
    ),
    ("IncrementalAlterConfigs", || {
        json!({"ValidateOnly": true, "Resources": [{"ResourceType": 2, "ResourceName": "plain",
        "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "5"}]}]})
    }),
    ("AlterConfigs", || {
        json!({"ValidateOnly": true, "Resources": [{"ResourceType": 2, "ResourceName": "plain",
        "Configs": [{"Name": "retention.ms", "Value": "5"}]}]})
    }),
    (
        "FindCoordinator",
        || json!({"Key": "life-0", "KeyType": 0, "CoordinatorKeys": ["life-0"]}),
    ),
    (
        "Heartbeat",
        || json!({"GroupId": "life-0", "GenerationId": 1, "MemberId": "x"}),
    ),
    (
        "SyncGroup",
        || json!({"GroupId": "life-0", "GenerationId": 1, "MemberId": "x"}),
    ),
    (
        "LeaveGroup",
        || json!({"GroupId": "life-0", "MemberId": "x", "Members": [{"MemberId": "x"}]}),
    ),
    (
        "OffsetCommit",
        || json!({"GroupId": "chance", "Topics": [{"Name": "read", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 1}]}]}),
    ),
    ("OffsetFetch", || {
        json!({"GroupId": "chance", "Topics": [{"Name": "read", "PartitionIndexes": [0]}],
        "Groups": [{"GroupId": "chance", "Topics": [{"Name": "read", "PartitionIndexes": [0]}]}]})
    }),
    ("DescribeGroups", || json!({"Groups": ["life-0"]})),
    ("DescribeCluster", || json!({})),
    (
        "DescribeTopicPartitions",
        || json!({"Topics": [{"Name": "plain"}], "Cursor": {"TopicName": "plain", "PartitionIndex": 0}}),
    ),
    (
        "OffsetDelete",
        || json!({"GroupId": "chance", "Topics": [{"Name": "absent", "Partitions": [{"PartitionIndex": 0}]}]}),
    ),
    (
        "DescribeProducers",
        || json!({"Topics": [{"Name": "ordered", "PartitionIndexes": [0]}]}),
    ),
    (
        "AlterPartitionReassignments",
        || json!({"Topics": [{"Name": "plain", "Partitions": [{"PartitionIndex": 0, "Replicas": [1]}]}]}),
    ),
    (
        "InitProducerId",
        || json!({"TransactionalId": null, "TransactionTimeoutMs": 1000}),
    ),
];

/// Fields that are not changed: waiting is not what is compared here, what only transactions and share groups
/// have is not built yet, and Kafka looks at an isolation level only once a partition was found.
const LEFT_ALONE: &[&str] = &[
    "MaxWaitMs",
    "imeoutMs",
    "KeyType",
    "TransactionalId",
    "IsolationLevel",
];

/// Numbers that are not tried, since Kafka's own arithmetic fails over them: the first and the last session ids
/// belong to none of its shards, and a cursor overflows.
const NOT_TRIED: &[(&str, i32)] = &[
    ("/SessionId", i32::MAX),
    ("/SessionId", i32::MIN),
    ("/Cursor/PartitionIndex", i32::MAX),
];

pub(super) fn run(pair: &mut Pair<'_>, settings: &Settings) -> Checked {
    let mut chance = Chance(settings.seed ^ 0x9e37_79b9_7f4a_7c15);
    for _ in 0..settings.mutations {
        let (api, base) = BASES[chance.below(BASES.len())];
        let versions = pair.versions(api)?;
        let version = versions[chance.below(versions.len())];
        let request = pair.schemas.request(api)?;
        let mut body = completed(request, &request.fields, version, &base());
        let mut places = Vec::new();
        leaves(request, &request.fields, version, &body, "", &mut places);
        let Some((pointer, field)) = places.get(chance.below(places.len().max(1))) else {
            continue;
        };
        if LEFT_ALONE.iter().any(|name| pointer.ends_with(name)) {
            continue;
        }
        let Some(value) = chance.value(field, version) else {
            continue;
        };
        if NOT_TRIED
            .iter()
            .any(|(name, number)| pointer == name && value == *number)
        {
            continue;
        }
        pair.oddity = format!(" with {pointer} {value}");
        if let Some(place) = body.pointer_mut(pointer) {
            *place = value;
        }
        pair.ask(api, version, |_| body.clone())?;
    }
    Ok(())
}

/// `given` with every field of the version written out.
fn completed(message: &Message, fields: &[Field], version: i16, given: &Value) -> Value {
    let mut whole = Map::new();
    for field in fields {
        if !field.versions.contains(version) {
            continue;
        }
        let value = given
            .get(&field.name)
            .cloned()
            .unwrap_or_else(|| default(field));
        let nested = nested(message, field);
        let value = match value {
            Value::Array(elements) if !nested.is_empty() => {
                let complete = |element: &Value| completed(message, nested, version, element);
                elements.iter().map(complete).collect()
            }
            Value::Object(_) if !nested.is_empty() => completed(message, nested, version, &value),
            // Not every version of a null field allows it.
            Value::Null if !field.nullable.contains(version) => empty(&field.ty),
            plain => plain,
        };
        whole.insert(field.name.clone(), value);
    }
    Value::Object(whole)
}

fn empty(ty: &Type) -> Value {
    match ty {
        Type::Array(_) => json!([]),
        _ => json!(""),
    }
}

fn nested<'a>(message: &'a Message, field: &'a Field) -> &'a [Field] {
    if !field.fields.is_empty() {
        return &field.fields;
    }
    let name = field.ty.struct_name();
    name.and_then(|name| message.find_struct(name))
        .map_or(&[], |(fields, _)| fields)
}

/// JSON pointers of everything that can be changed, with its field.
fn leaves<'a>(
    message: &'a Message,
    fields: &'a [Field],
    version: i16,
    value: &Value,
    at: &str,
    found: &mut Vec<(String, &'a Field)>,
) {
    for field in fields
        .iter()
        .filter(|field| field.versions.contains(version))
    {
        let pointer = format!("{at}/{}", field.name);
        let nested = nested(message, field);
        match value.get(&field.name) {
            Some(Value::Array(elements)) if !nested.is_empty() => {
                for (index, element) in elements.iter().enumerate() {
                    leaves(
                        message,
                        nested,
                        version,
                        element,
                        &format!("{pointer}/{index}"),
                        found,
                    );
                }
            }
            Some(object @ Value::Object(_)) => {
                leaves(message, nested, version, object, &pointer, found);
            }
            _ => {}
        }
        found.push((pointer, field));
    }
}

/// A small generator: the same seed gives the same requests on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a remainder")]
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<T: Clone>(&mut self, pool: &[T]) -> T {
        pool[self.below(pool.len())].clone()
    }

    /// Another value for a field; `None` where there is none worth trying.
    fn value(&mut self, field: &Field, version: i16) -> Option<Value> {
        if field.nullable.contains(version) && self.below(4) == 0 {
            return Some(Value::Null);
        }
        let small = [-3_i64, -2, -1, 0, 1, 2, 3, 5, 9, 99];
        Some(match &field.ty {
            Type::Bool => json!(self.below(2) == 0),
            Type::Int8 => json!(self.of(&[small.as_slice(), &[127, -128]].concat())),
            Type::Int16 => json!(self.of(&[small.as_slice(), &[32767, -32768]].concat())),
            Type::Int32 => json!(
                self.of(&[
                    small.as_slice(),
                    &[i64::from(i32::MAX), i64::from(i32::MIN)]
                ]
                .concat())
            ),
            Type::Int64 => json!(self.of(&[small.as_slice(), &[i64::MAX, i64::MIN]].concat())),
            Type::String => json!(self.of(&[
                "",
                "plain",
                "read",
                "absent",
                "..",
                "a b",
                "1",
                "retention.ms",
                "life-1"
            ])),
            Type::Uuid => json!(self.of(&["00", "11", "ff"]).repeat(16)),
            Type::Array(element) => match &**element {
                Type::Int32 | Type::Int8 => {
                    json!(self.of(&[vec![], vec![1], vec![0, 0], vec![-1], vec![0, 1, 2, 99]]))
                }
                Type::String => json!(self.of(&[vec![], vec!["", "plain"], vec!["absent"]])),
                _ => json!([]),
            },
            _ => return None,
        })
    }
}
