//! A bit that flipped in any kind of file of a broker's directory, while the broker was down: what is served
//! then is what was written, or there is an error.
//!
//! `OTTLA_FLIPS=N` flips so many bits in each kind of file; a failure names the file, the byte and the bit.

#![expect(clippy::disallowed_methods, reason = "the scene is a broker's files")]

use crate::common::client::{Client, fetch_request, idempotent_batch, keyed};
use crate::common::crash::{shown, unguarded};
use crate::common::local::{End, Local, config};
use crate::common::until;
use ottla::Server;
use ottla::protocol::messages::FetchResponse;
use ottla::record::{Batches, DecodeLimits};
use ottla::runtime::os;
use ottla::sim::SimRng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FLIPS: u64 = 12;

/// Small segments, and a cleaner that looks for work all the time.
const SETTINGS: [(&str, &str); 4] = [
    ("offsets.topic.num.partitions", "1"),
    ("log.cleaner.backoff.ms", "20"),
    ("log.flush.offset.checkpoint.interval.ms", "50"),
    ("log.flush.start.offset.checkpoint.interval.ms", "50"),
];
const SMALL: [(&str, &str); 2] = [
    ("internal.segment.bytes", "2000"),
    ("index.interval.bytes", "100"),
];
const COMPACTED: [(&str, &str); 3] = [
    ("internal.segment.bytes", "2000"),
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0.01"),
];
/// Records of `orders`, and the first that DeleteRecords left.
const RECORDS: i32 = 200;
const START: i64 = 20;
const COMMITTED: i64 = 33;
const UNKNOWN_TOPIC: i16 = 3;

/// What a directory holds: paths relative to it, and bytes.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn read_files(dir: &Path, at: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_files(dir, &path, files);
        } else {
            let name = path.strip_prefix(dir).unwrap().to_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

fn write_files(dir: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// What kind of file it is. Fails for one that this test does not know, so that no kind is forgotten.
fn kind(path: &Path) -> &'static str {
    let name = path.file_name().unwrap().to_str().unwrap();
    let is_metadata = path.starts_with("__cluster_metadata-0");
    let whole = [
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
        "log-start-offset-checkpoint",
        "cleaner-offset-checkpoint",
        "leader-epoch-checkpoint",
        "partition.metadata",
        "meta.properties",
        "quorum-state",
        "bootstrap.checkpoint",
        ".kafka_cleanshutdown",
        ".ottla-spare",
        ".lock",
    ];
    if let Some(known) = whole.iter().find(|known| **known == name) {
        return known;
    }
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("log") if is_metadata => "log of the metadata",
        Some("checkpoint") if is_metadata => "snapshot of the metadata",
        Some("log") => "log",
        Some("index") => "index",
        Some("timeindex") => "timeindex",
        Some("txnindex") => "txnindex",
        Some("snapshot") => "snapshot",
        _ => panic!("what kind of file is {}?", path.display()),
    }
}

/// A broker's directory after some work, stopped or killed.
async fn scene(end: End) -> Files {
    let mut local = Local::start(&SETTINGS).await;
    let mut client = local.connect().await;
    for (topic, configs) in [("orders", &SMALL[..]), ("prices", &COMPACTED)] {
        client.make_topic(topic, 1, configs).await;
    }
    let producer = client.producer_id().await.unwrap().unwrap();
    let now = os::runtime().clock.wall();
    for n in 0..RECORDS {
        let batch = idempotent_batch(now, producer, n, &[value(n.into())]);
        client
            .produce("orders", 0, -1, batch)
            .await
            .unwrap()
            .unwrap();
    }
    for n in 0..100 {
        let priced = keyed(now, "key", Some(&value(n)));
        client
            .produce("prices", 0, -1, priced)
            .await
            .unwrap()
            .unwrap();
    }
    let deleted = client.delete_records("orders", 0, START).await.unwrap();
    assert_eq!(deleted, Ok(START));
    client.await_coordinator("group").await;
    until("a commit", async || {
        let committed = client.commit("group", "orders", 0, COMMITTED).await;
        committed.unwrap().is_ok()
    })
    .await;
    until("a cleaning", async || {
        local.dir().join("cleaner-offset-checkpoint").exists()
    })
    .await;
    local.end(end).await;
    let mut files = Files::new();
    read_files(local.dir(), local.dir(), &mut files);
    files.retain(|path, _| path.extension().is_none_or(|ending| ending != "deleted"));
    files
}

fn value(n: i64) -> String {
    format!("value {n}")
}

/// What a broker on these files served that nobody wrote there, or left out without an error. `None` if it did
/// not start, which it must say.
async fn served(files: &Files, may_be_short: bool) -> Option<Vec<String>> {
    let home = tempfile::tempdir().unwrap();
    write_files(home.path(), files);
    let mut settings = SETTINGS.to_vec();
    settings.push(("log.dirs", home.path().to_str().unwrap()));
    let server = match Server::start(config(&settings), os::runtime()).await {
        Ok(server) => server,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let mut client = Client::to(server.bootstrap()).await;
    let mut violations = Vec::new();
    let mut next = START;
    while next < i64::from(RECORDS) {
        let request = fetch_request("orders", 0, next);
        let response: FetchResponse = client.call(&request, 12).await.unwrap();
        let answer = &response.responses[0].partitions[0];
        if answer.error_code == UNKNOWN_TOPIC {
            violations.push("the topic is gone".to_owned());
        }
        if answer.error_code != 0 {
            break;
        }
        let before = next;
        for batch in Batches::of(answer.records.clone().unwrap_or_default()) {
            let Ok(batch) = batch else { break };
            if batch.check_crc().is_err() {
                server.kill().await;
                return Some(violations); // the reader sees it
            }
            for record in batch.records(DecodeLimits::default()) {
                let record = record.unwrap();
                if record.offset.0 < next {
                    continue;
                }
                if record.offset.0 != next || record.value.unwrap() != value(next) {
                    violations.push(format!("{} instead of {next}", record.offset));
                }
                next = record.offset.0 + 1;
            }
        }
        if next == before {
            if !may_be_short {
                violations.push(format!("nothing is served at {next}, and no error"));
            }
            break;
        }
    }
    if let Ok(Ok(committed)) = client.committed("group", "orders", 0).await
        && committed != COMMITTED
        && !(may_be_short && committed == -1)
    {
        violations.push(format!("offset {committed} was never committed"));
    }
    server.kill().await;
    Some(violations)
}

async fn flip_all(end: End) {
    let files = scene(end).await;
    let flips = std::env::var("OTTLA_FLIPS").map_or(FLIPS, |text| text.parse().unwrap());
    let mut kinds: BTreeMap<&str, Vec<&PathBuf>> = BTreeMap::new();
    for path in files.keys() {
        kinds.entry(kind(path)).or_default().push(path);
    }
    assert_eq!(served(&files, false).await, Some(Vec::new()));
    let rng = SimRng::new(1);
    let mut counts = BTreeMap::new();
    let mut violations = Vec::new();
    for (kind, paths) in kinds {
        let filled: Vec<_> = paths
            .iter()
            .filter(|path| !files[**path].is_empty())
            .collect();
        for _ in 0..if filled.is_empty() { 0 } else { flips } {
            let path = filled[rng.index(filled.len())];
            let mut flipped = files.clone();
            let bytes = flipped.get_mut(*path).unwrap();
            let (at, bit) = (rng.index(bytes.len()), rng.below(8));
            let unguarded = if kind == "log" {
                unguarded(bytes)
            } else {
                Vec::new()
            };
            if unguarded.iter().any(|field| field.contains(&(at as u64))) {
                continue;
            }
            bytes[at] ^= 1 << bit;
            let count: &mut (u64, u64) = counts.entry(kind).or_default();
            count.0 += 1;
            match served(&flipped, may_be_short(kind)).await {
                None => count.1 += 1,
                Some(found) if found.is_empty() => {}
                Some(found) => violations.push(format!("{path:?} byte {at} bit {bit}: {found:?}")),
            }
        }
    }
    for kind in [
        "log",
        "index",
        "timeindex",
        "snapshot",
        "log of the metadata",
    ] {
        assert!(
            counts.contains_key(kind),
            "there is no {kind} to flip bits in"
        );
    }
    println!("{end:?}: bits flipped, and starts refused: {counts:?}");
    assert!(violations.is_empty(), "{}", shown(&violations));
}

/// Whether a flipped bit may cost records, as in Apache Kafka: where a log's last segment is found broken its
/// end is cut off, a start that is possible is believed, and a directory with another topic's id is set aside.
fn may_be_short(kind: &str) -> bool {
    matches!(
        kind,
        "log" | "log-start-offset-checkpoint" | "partition.metadata"
    )
}

#[tokio::test]
async fn a_bit_that_flipped_while_a_stopped_broker_was_down_is_never_served() {
    flip_all(End::Stop).await;
}

#[tokio::test]
async fn a_bit_that_flipped_after_a_kill_is_never_served() {
    flip_all(End::Kill).await;
}
