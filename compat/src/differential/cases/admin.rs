//! Configurations, the cluster, log directories and what else administrators ask.

use serde_json::{Value, json};

use super::create;
use crate::checks::Checked;
use crate::differential::pair::Pair;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(super) fn topic_configs(pair: &mut Pair<'_>) -> Checked {
    create(
        pair,
        "tuned",
        1,
        json!([{"Name": "retention.ms", "Value": "5000"}]),
    )?;
    let describe = |pair: &mut Pair<'_>, name: &str| -> Checked {
        pair.each_version("DescribeConfigs", |_, _| {
            json!({"Resources": [{"ResourceType": TOPIC, "ResourceName": name, "ConfigurationKeys": null}],
                "IncludeSynonyms": true})
        })
    };
    for name in ["tuned", "plain", "absent", "", "a b"] {
        describe(pair, name)?;
    }
    for keys in [
        json!([]),
        json!(["retention.ms", "no.such.key", "segment.bytes"]),
    ] {
        pair.each_version("DescribeConfigs", |_, _| {
            json!({"Resources": [{"ResourceType": TOPIC, "ResourceName": "tuned", "ConfigurationKeys": keys}]})
        })?;
    }
    let changes = [
        ("retention.ms", 0, json!("6000")),
        ("retention.ms", 0, Value::Null),
        ("retention.ms", 0, json!("many")),
        ("retention.ms", 0, json!("-5")),
        ("retention.ms", 2, json!("6000")),
        ("retention.ms", 1, Value::Null),
        ("retention.ms", 1, Value::Null),
        ("retention.ms", 9, json!("1")),
        ("no.such.key", 0, json!("1")),
        ("no.such.key", 1, Value::Null),
        ("", 0, json!("1")),
        ("cleanup.policy", 2, json!("compact")),
        ("cleanup.policy", 3, json!("delete")),
        ("cleanup.policy", 2, json!("nonsense")),
        ("cleanup.policy", 3, json!("absent")),
        ("cleanup.policy", 1, Value::Null),
        ("max.message.bytes", 0, json!("1048588")),
        ("max.message.bytes", 0, json!("")),
        ("min.insync.replicas", 0, json!("2")),
        ("compression.type", 0, json!("zstd")),
        ("leader.replication.throttled.replicas", 0, json!("*")),
        ("leader.replication.throttled.replicas", 2, json!("0:1")),
        ("message.timestamp.type", 0, json!("LogAppendTime")),
    ];
    for (key, operation, value) in &changes {
        for version in pair.versions("IncrementalAlterConfigs")? {
            for validate in [true, false] {
                pair.ask("IncrementalAlterConfigs", version, |_| {
                    json!({"Resources": [{"ResourceType": TOPIC, "ResourceName": "tuned", "Configs": [
                        {"Name": key, "ConfigOperation": operation, "Value": value}]}], "ValidateOnly": validate})
                })?;
            }
        }
    }
    describe(pair, "tuned")?;
    for name in ["absent", "", "a b"] {
        pair.each_version("IncrementalAlterConfigs", |_, _| {
            json!({"Resources": [{"ResourceType": TOPIC, "ResourceName": name, "Configs": [
                {"Name": "retention.ms", "ConfigOperation": 0, "Value": "1"}]}]})
        })?;
    }
    let twice = json!([{"Name": "retention.ms", "ConfigOperation": 0, "Value": "1"}, {"Name": "retention.ms", "ConfigOperation": 1, "Value": null}]);
    let one = json!([{"Name": "retention.ms", "ConfigOperation": 0, "Value": "1"}]);
    for resources in [
        json!([{"ResourceType": TOPIC, "ResourceName": "tuned", "Configs": twice}]),
        json!([{"ResourceType": TOPIC, "ResourceName": "tuned", "Configs": one}, {"ResourceType": TOPIC, "ResourceName": "tuned", "Configs": one}]),
        json!([{"ResourceType": TOPIC, "ResourceName": "tuned", "Configs": []}]),
        json!([]),
    ] {
        pair.each_version(
            "IncrementalAlterConfigs",
            |_, _| json!({"Resources": resources}),
        )?;
    }
    for configs in [
        json!([{"Name": "retention.ms", "Value": "7000"}]),
        json!([{"Name": "retention.ms", "Value": null}]),
        json!([{"Name": "no.such.key", "Value": "1"}]),
        json!([{"Name": "segment.bytes", "Value": "1"}]),
        json!([{"Name": "segment.bytes", "Value": "2000000"}]),
        json!([]),
    ] {
        for name in ["tuned", "absent"] {
            pair.each_version("AlterConfigs", |_, _| {
                json!({"Resources": [{"ResourceType": TOPIC, "ResourceName": name, "Configs": configs}]})
            })?;
        }
        describe(pair, "tuned")?;
    }
    Ok(())
}

pub(super) fn broker_configs(pair: &mut Pair<'_>) -> Checked {
    let changes = [
        ("", "log.retention.ms", 0, json!("100000000")),
        ("1", "log.retention.ms", 0, json!("200000000")),
        ("1", "log.cleaner.threads", 0, json!("2")),
        ("", "log.cleaner.threads", 0, json!("0")),
        ("1", "broker.id", 0, json!("7")),
        ("1", "num.partitions", 0, json!("3")),
        ("", "num.partitions", 0, json!("3")),
        ("1", "no.such.key", 0, json!("1")),
        ("", "message.max.bytes", 0, json!("2000000")),
        ("1", "message.max.bytes", 0, json!("x")),
        ("2", "message.max.bytes", 0, json!("2000000")),
        ("x", "message.max.bytes", 0, json!("2000000")),
        ("1", "max.connections", 0, json!("5000")),
        ("1", "max.connections.per.ip", 0, json!("500")),
        ("1", "listeners", 0, json!("PLAINTEXT://:1")),
        ("", "log.cleanup.policy", 2, json!("compact")),
        ("", "log.cleanup.policy", 1, Value::Null),
        ("1", "min.insync.replicas", 0, json!("1")),
        ("", "unclean.leader.election.enable", 0, json!("true")),
        ("", "unclean.leader.election.enable", 1, Value::Null),
    ];
    for (name, key, operation, value) in &changes {
        for validate in [true, false] {
            pair.ask("IncrementalAlterConfigs", 1, |_| {
                json!({"Resources": [{"ResourceType": BROKER, "ResourceName": name, "Configs": [
                    {"Name": key, "ConfigOperation": operation, "Value": value}]}], "ValidateOnly": validate})
            })?;
        }
    }
    for name in ["1", "", "2", "x"] {
        let dynamic = json!([
            "log.retention.ms",
            "log.cleaner.threads",
            "message.max.bytes",
            "max.connections",
            "log.cleanup.policy",
            "min.insync.replicas",
            "num.partitions",
            "broker.id",
            "log.segment.bytes",
            "no.such.key"
        ]);
        for keys in [dynamic, Value::Null] {
            pair.ask("DescribeConfigs", 4, |_| {
                json!({"Resources": [{"ResourceType": BROKER, "ResourceName": name, "ConfigurationKeys": keys}], "IncludeSynonyms": true})
            })?;
        }
    }
    pair.ask("DescribeConfigs", 4, |_| {
        json!({"Resources": [{"ResourceType": TOPIC, "ResourceName": "plain", "ConfigurationKeys": null}], "IncludeSynonyms": true})
    })?;
    for (name, key) in [
        ("", "log.retention.ms"),
        ("1", "log.retention.ms"),
        ("1", "log.cleaner.threads"),
        ("", "message.max.bytes"),
        ("1", "max.connections"),
        ("1", "max.connections.per.ip"),
        ("1", "min.insync.replicas"),
    ] {
        pair.ask("IncrementalAlterConfigs", 1, |_| {
            json!({"Resources": [{"ResourceType": BROKER, "ResourceName": name, "Configs": [
                {"Name": key, "ConfigOperation": 1, "Value": null}]}]})
        })?;
    }
    Ok(())
}

pub(super) fn other_configs(pair: &mut Pair<'_>) -> Checked {
    for (kind, name) in [
        (32, "g"),
        (32, ""),
        (16, "m"),
        (16, ""),
        (8, "1"),
        (8, ""),
        (8, "2"),
        (0, "x"),
        (1, "x"),
        (3, "x"),
        (99, "x"),
        (-1, "x"),
    ] {
        pair.each_version("DescribeConfigs", |_, _| {
            json!({"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": []}]})
        })?;
    }
    for (kind, name, key, operation, value) in [
        (32, "g", "consumer.session.timeout.ms", 0, json!("50000")),
        (32, "g", "consumer.session.timeout.ms", 0, json!("1")),
        (32, "g", "no.such.key", 0, json!("1")),
        (32, "", "consumer.session.timeout.ms", 0, json!("50000")),
        (16, "m", "interval.ms", 0, json!("1000")),
        (16, "m", "interval.ms", 0, json!("1")),
        (16, "m", "metrics", 0, json!("org.apache.kafka.producer.")),
        (16, "m", "match", 0, json!("client_id=x")),
        (16, "m", "match", 0, json!("nonsense=x")),
        (16, "", "interval.ms", 0, json!("1000")),
        (0, "x", "y", 0, json!("1")),
        (1, "x", "y", 0, json!("1")),
        (99, "x", "y", 0, json!("1")),
    ] {
        for validate in [true, false] {
            pair.ask("IncrementalAlterConfigs", 1, |_| {
                json!({"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": [
                    {"Name": key, "ConfigOperation": operation, "Value": value}]}], "ValidateOnly": validate})
            })?;
        }
    }
    for (kind, name) in [(32, "g"), (16, "m")] {
        pair.ask("DescribeConfigs", 4, |_| {
            json!({"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": null}], "IncludeSynonyms": true})
        })?;
    }
    pair.ask("ListConfigResources", 0, |_| json!({}))?;
    for kinds in [
        json!([]),
        json!([16]),
        json!([32]),
        json!([2]),
        json!([4, 8]),
        json!([99]),
        json!([0]),
    ] {
        pair.ask(
            "ListConfigResources",
            1,
            |_| json!({"ResourceTypes": kinds}),
        )?;
    }
    for (kind, name, key) in [
        (32, "g", "consumer.session.timeout.ms"),
        (16, "m", "interval.ms"),
        (16, "m", "metrics"),
        (16, "m", "match"),
    ] {
        pair.ask("IncrementalAlterConfigs", 1, |_| {
            json!({"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": key, "ConfigOperation": 1, "Value": null}]}]})
        })?;
    }
    pair.ask("ListConfigResources", 1, |_| json!({"ResourceTypes": []}))
        .map(drop)
}

pub(super) fn cluster(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("DescribeCluster")? {
        for (operations, kind, fenced) in [
            (false, 1, false),
            (true, 1, true),
            (false, 2, false),
            (false, 3, false),
        ] {
            pair.ask("DescribeCluster", version, |_| {
                json!({"IncludeClusterAuthorizedOperations": operations,
                    "EndpointType": if version >= 1 { kind } else { 1 }, "IncludeFencedBrokers": fenced && version >= 2})
            })?;
        }
    }
    for version in pair.versions("DescribeQuorum")? {
        for (name, partition) in [
            ("__cluster_metadata", 0),
            ("__cluster_metadata", 1),
            ("plain", 0),
        ] {
            pair.ask("DescribeQuorum", version, |_| {
                json!({"Topics": [{"TopicName": name, "Partitions": [{"PartitionIndex": partition}]}]})
            })?;
        }
        pair.ask("DescribeQuorum", version, |_| json!({"Topics": []}))?;
    }
    for id in [2, -1] {
        pair.ask("UnregisterBroker", 0, |_| json!({"BrokerId": id}))?;
    }
    Ok(())
}

pub(super) fn reassignments(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("AlterPartitionReassignments")? {
        for (name, partition, replicas) in [
            ("plain", 0, json!([1])),
            ("plain", 0, Value::Null),
            ("plain", 0, json!([2])),
            ("plain", 0, json!([1, 2])),
            ("plain", 0, json!([])),
            ("plain", 0, json!([1, 1])),
            ("plain", 0, json!([-1])),
            ("plain", 9, json!([1])),
            ("absent", 0, json!([1])),
            ("", 0, json!([1])),
        ] {
            pair.ask("AlterPartitionReassignments", version, |_| {
                json!({"Topics": [{"Name": name, "Partitions": [{"PartitionIndex": partition, "Replicas": replicas}]}]})
            })?;
        }
        pair.ask(
            "AlterPartitionReassignments",
            version,
            |_| json!({"Topics": []}),
        )?;
    }
    for topics in [
        Value::Null,
        json!([]),
        json!([{"Name": "plain", "PartitionIndexes": [0, 9]}]),
        json!([{"Name": "absent", "PartitionIndexes": [0]}]),
    ] {
        pair.ask(
            "ListPartitionReassignments",
            0,
            |_| json!({"Topics": topics}),
        )?;
    }
    for version in pair.versions("ElectLeaders")? {
        for kind in if version >= 1 { vec![0, 1, 2] } else { vec![0] } {
            for topics in [
                Value::Null,
                json!([]),
                json!([{"Topic": "plain", "Partitions": [0, 1]}]),
                json!([{"Topic": "plain", "Partitions": [9]}, {"Topic": "absent", "Partitions": [0]}, {"Topic": "", "Partitions": [0]}]),
            ] {
                pair.ask(
                    "ElectLeaders",
                    version,
                    |_| json!({"ElectionType": kind, "TopicPartitions": topics, "TimeoutMs": 3000}),
                )?;
            }
        }
    }
    Ok(())
}

pub(super) fn features(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("UpdateFeatures")? {
        for (feature, level, kind) in [
            ("no.such.feature", 1, 1),
            ("metadata.version", 0, 1),
            ("metadata.version", 99, 1),
            ("metadata.version", -1, 1),
            ("metadata.version", 1, 2),
            ("kraft.version", 9, 1),
            ("no.such.feature", 0, 2),
            ("", 1, 1),
        ] {
            pair.ask("UpdateFeatures", version, |_| {
                json!({"FeatureUpdates": [{"Feature": feature, "MaxVersionLevel": level, "AllowDowngrade": kind != 1 && version == 0, "UpgradeType": if version >= 1 { kind } else { 1 }}],
                    "ValidateOnly": version >= 1})
            })?;
        }
        pair.ask("UpdateFeatures", version, |_| json!({"FeatureUpdates": []}))?;
    }
    Ok(())
}

pub(super) fn acls(pair: &mut Pair<'_>) -> Checked {
    // A topic by its whole name; User:a may, from every host, read it.
    let of_topic = json!({
        "ResourceType": 2, "ResourceName": "t", "ResourcePatternType": 3,
        "Principal": "User:a", "Host": "*", "Operation": 3, "PermissionType": 3,
    });
    // Any access control list at all.
    let any = json!({
        "ResourceTypeFilter": 1, "ResourceNameFilter": null, "PatternTypeFilter": 1,
        "PrincipalFilter": null, "HostFilter": null, "Operation": 1, "PermissionType": 1,
    });
    for version in pair.versions("DescribeAcls")? {
        pair.ask("DescribeAcls", version, |_| any.clone())?;
        for creations in [json!([]), json!([of_topic, of_topic])] {
            pair.ask("CreateAcls", version, |_| json!({"Creations": creations}))?;
        }
        for filters in [json!([]), json!([any, any])] {
            pair.ask("DeleteAcls", version, |_| json!({"Filters": filters}))?;
        }
    }
    Ok(())
}

pub(super) fn transactions(pair: &mut Pair<'_>) -> Checked {
    for version in pair.versions("ListTransactions")? {
        for (states, ids) in [
            (json!([]), json!([])),
            (json!(["Ongoing", "nothing"]), json!([])),
            (json!([]), json!([5])),
        ] {
            pair.ask(
                "ListTransactions",
                version,
                |_| json!({"StateFilters": states, "ProducerIdFilters": ids}),
            )?;
        }
    }
    for pattern in ["a.*", "("] {
        pair.ask(
            "ListTransactions",
            2,
            |_| json!({"TransactionalIdPattern": pattern}),
        )?;
    }
    Ok(())
}

pub(super) fn telemetry(pair: &mut Pair<'_>) -> Checked {
    let zero = "0".repeat(32);
    pair.ask(
        "GetTelemetrySubscriptions",
        0,
        |_| json!({"ClientInstanceId": zero}),
    )?;
    pair.keep("client", |answer| answer["ClientInstanceId"].clone());
    pair.keep("subscription", |answer| answer["SubscriptionId"].clone());
    pair.ask(
        "GetTelemetrySubscriptions",
        0,
        |side| json!({"ClientInstanceId": side.kept("client")}),
    )?;
    for (known, subscription, terminating, codec) in [
        (true, true, false, 0),
        (true, true, false, 0),
        (true, false, false, 0),
        (false, true, false, 0),
        (true, true, false, 99),
        (true, true, true, 0),
        (true, true, true, 0),
        (true, true, false, 0),
    ] {
        pair.ask("PushTelemetry", 0, |side| {
            let client = if known { side.kept("client") } else { json!(zero) };
            let id = if subscription { side.kept("subscription") } else { json!(17) };
            json!({"ClientInstanceId": client, "SubscriptionId": id, "Terminating": terminating, "CompressionType": codec, "Metrics": ""})
        })?;
    }
    Ok(())
}
