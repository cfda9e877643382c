//! Two log directories, and replicas that are moved between them.

use serde_json::{Value, json};

use super::create;
use crate::checks::Checked;
use crate::differential::batch::Batch;
use crate::differential::pair::{Pair, Side};

/// Longest topic name with which a copy's directory, `<topic>-0.<32 hex digits>-future`, has 255 characters.
const COPIED_NAME_LEN_MAX: usize = 213;

/// The log directory at this place in `log.dirs`, as the broker names it.
fn dir(side: &Side, place: usize) -> Value {
    side.kept(&format!("dir:{place}"))
}

fn moving(path: &Value, topic: &str, partition: i32) -> Value {
    json!({"Path": path, "Topics": [{"Name": topic, "Partitions": [partition]}]})
}

/// Moves partition 0 of a topic and waits until it lies there.
fn move_to(pair: &mut Pair<'_>, version: i16, topic: &str, place: usize) -> Checked {
    pair.ask(
        "AlterReplicaLogDirs",
        version,
        |side| json!({"Dirs": [moving(&dir(side, place), topic, 0)]}),
    )?;
    lies_in(pair, topic, place)
}

/// Waits until partition 0 of a topic lies in a directory, alone.
fn lies_in(pair: &mut Pair<'_>, topic: &str, place: usize) -> Checked {
    let asked = json!({"Topics": [{"Topic": topic, "Partitions": [0]}]});
    pair.ask_until(
        "DescribeLogDirs",
        5,
        |_| asked.clone(),
        |answer| {
            let there = &answer["Results"][place]["Topics"][0]["Partitions"][0];
            there["IsFutureKey"] == false && answer["Results"][1 - place]["Topics"] == json!([])
        },
    )
}

/// Has both keep their directories' names as `dir:0` and `dir:1`.
fn keep_directories(pair: &mut Pair<'_>) -> Checked {
    pair.ask("DescribeLogDirs", 5, |_| json!({"Topics": []}))?;
    for place in 0..2 {
        pair.keep(&format!("dir:{place}"), |answer| {
            answer["Results"][place]["LogDir"].clone()
        });
    }
    Ok(())
}

pub(super) fn moved(pair: &mut Pair<'_>) -> Checked {
    keep_directories(pair)?;
    create(pair, "moved", 1, json!([]))?;
    let records = Batch::default().hex();
    pair.ask("Produce", 12, |_| {
        json!({"Acks": -1, "TimeoutMs": 3000, "TopicData": [{"Name": "moved",
            "PartitionData": [{"Index": 0, "Records": records}]}]})
    })?;
    // Where the brokers put it is theirs to choose.
    move_to(pair, 2, "moved", 0)?;
    for version in pair.versions("DescribeLogDirs")? {
        for topics in [
            json!([{"Topic": "moved", "Partitions": [0, 9]}]),
            json!([{"Topic": "moved", "Partitions": [0]}, {"Topic": "moved", "Partitions": [0]}]),
            json!([{"Topic": "moved", "Partitions": []}]),
            json!([{"Topic": "absent", "Partitions": [0]}]),
            json!([]),
        ] {
            pair.ask("DescribeLogDirs", version, |_| json!({"Topics": topics}))?;
        }
    }
    for version in pair.versions("AlterReplicaLogDirs")? {
        for place in [0, 1, 1, 0] {
            move_to(pair, version, "moved", place)?;
        }
        pair.ask("AlterReplicaLogDirs", version, |_| json!({"Dirs": []}))?;
        // Of a partition that is named twice the last counts.
        pair.ask("AlterReplicaLogDirs", version, |side| {
            json!({"Dirs": [moving(&dir(side, 0), "moved", 0), moving(&dir(side, 1), "moved", 0)]})
        })?;
        lies_in(pair, "moved", 1)?;
        // A directory is remembered for a partition that does not exist yet.
        for place in [0, 1] {
            let name = format!("later-{version}-{place}");
            pair.ask(
                "AlterReplicaLogDirs",
                version,
                |side| json!({"Dirs": [moving(&dir(side, place), &name, 0)]}),
            )?;
            create(pair, &name, 1, json!([]))?;
            lies_in(pair, &name, place)?;
        }
    }
    let partition = json!({"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 100_000});
    pair.ask("Fetch", 12, |_| {
        json!({"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 1, "MaxBytes": 100_000, "Topics": [{"Topic": "moved",
            "Partitions": [partition]}]})
    })
    .map(drop)
}

pub(super) fn not_moved(pair: &mut Pair<'_>) -> Checked {
    keep_directories(pair)?;
    create(pair, "stays", 1, json!([]))?;
    let fitting = "l".repeat(COPIED_NAME_LEN_MAX);
    let long = "l".repeat(COPIED_NAME_LEN_MAX + 1);
    for name in [&fitting, &long] {
        create(pair, name, 1, json!([]))?;
    }
    for version in pair.versions("AlterReplicaLogDirs")? {
        for path in ["/no/such/dir", "relative", "data", ".", "", "/"] {
            for (name, partition) in [("stays", 0), ("absent", 0), (&long, 0), ("", 9)] {
                pair.ask(
                    "AlterReplicaLogDirs",
                    version,
                    |_| json!({"Dirs": [moving(&json!(path), name, partition)]}),
                )?;
            }
        }
        // Other names of a directory that is known.
        for suffix in ["/", "/.", "/../data"] {
            pair.ask("AlterReplicaLogDirs", version, |side| {
                let path = format!("{}{suffix}", dir(side, 0).as_str().unwrap_or_default());
                json!({"Dirs": [moving(&json!(path), "stays", 0)]})
            })?;
        }
        let invalid = "l".repeat(250);
        for (name, partition) in [
            ("stays", 1),
            ("stays", -1),
            ("absent", 0),
            ("absent", -1),
            ("", 0),
            ("not a name", 0),
            (&fitting, 0),
            (&fitting, 10),
            (&long, 0),
            (&invalid, 0),
        ] {
            pair.ask(
                "AlterReplicaLogDirs",
                version,
                |side| json!({"Dirs": [moving(&dir(side, 0), name, partition)]}),
            )?;
        }
        pair.ask("AlterReplicaLogDirs", version, |side| {
            json!({"Dirs": [{"Path": dir(side, 0), "Topics": [
                {"Name": "stays", "Partitions": [0, 7]}, {"Name": "absent", "Partitions": []}]}]})
        })?;
    }
    Ok(())
}
