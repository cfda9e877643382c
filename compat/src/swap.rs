//! One data directory, formatted by Apache Kafka's tool, under Ottla and Apache Kafka in turn. Whoever comes next finds all that the others left:
//! topics, records, transactions, configurations, committed offsets, members of groups.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::broker::{Broker, End, Kind};
use crate::checks::{Checked, Failure};
use crate::clients::{Places, java_client};
use crate::context::{Context, From, Generated};
use crate::scenarios;
use crate::tools::{self, ToolRun};

/// Metadata snapshots after so few bytes that every turn begins with one that the turn before has written, and a log
/// that is cut behind it.
const SETTINGS: &crate::broker::Settings = &[
    ("metadata.log.max.record.bytes.between.snapshots", "2000"),
    ("metadata.max.retention.bytes", "8000"),
    ("internal.metadata.log.segment.bytes", "8000"),
];

const TRANSACTIONAL_RECORDS: usize = 2000;

/// Ends with `true` if every turn found everything.
pub(crate) fn run(places: &Places, ottla: Kind, dir: &Path) -> Checked<bool> {
    let kafka = Kind::Kafka {
        home: places.kafka(),
    };
    let client = java_client(places)?;
    let (home, begins) = (places.kafka(), ottla.clone());
    let mut broker = Broker::start_formatted(home, begins, SETTINGS, &dir.join("broker"))?;
    let log = dir.join("client.log");
    let mut cx = Context::new("java", broker.bootstrap(), client, log);
    cx.begin("swap");
    let mut run = ToolRun::new(&places.kafka());
    run.bootstrap = broker.bootstrap();
    run.data = Some(broker.data_dir());

    let first = scenarios::leave(&mut cx)?;
    broker.end(End::Stop)?;
    broker.hand_to(kafka.clone())?;
    scenarios::find(&mut cx, &first)?;
    println!("swap: formatted by Kafka, Ottla to Kafka: passed");
    let kept = Kept::write(&mut cx, &run)?;
    let mut left = scenarios::leave(&mut cx)?;
    for (name, kind) in [
        ("Kafka to Ottla", &ottla),
        ("Ottla to Kafka", &kafka),
        ("Kafka to Ottla again", &ottla),
    ] {
        let began = Instant::now();
        broker.end(End::Stop)?;
        let turn = || -> Checked<Value> {
            tools::dump_all(&mut run)?;
            tools::check_all_indexes(&mut run)?;
            broker.hand_to(kind.clone())?;
            scenarios::find(&mut cx, &left)?;
            kept.find(&mut cx)?;
            scenarios::leave(&mut cx)
        }();
        match turn {
            Ok(next) => left = next,
            Err(Failure(why)) => {
                println!("SHORT OF KAFKA  swap: {name}: {why}");
                return Ok(false);
            }
        }
        println!(
            "swap: {name}: passed in {:.1} s",
            began.elapsed().as_secs_f64()
        );
    }
    broker.end(End::Stop)?;
    tools::dump_all(&mut run)?;
    tools::check_all_indexes(&mut run)?;
    tools::check_metadata_is_cut(&mut run)?;
    println!("4 passed, 0 failed");
    Ok(true)
}

/// What the first broker wrote and nobody changes.
struct Kept {
    transactional: String,
    compacted: String,
    keyed: Generated,
}

impl Kept {
    fn write(cx: &mut Context, run: &ToolRun) -> Checked<Kept> {
        let transactional = cx.create_topic("transactional", 1)?;
        run.produce_in_transactions(&transactional, TRANSACTIONAL_RECORDS)?;
        let configs = json!({"cleanup.policy": "compact"});
        let compacted = cx.create_topic_with("compacted", 1, configs)?;
        let keyed = Generated {
            count: 500,
            prefix: "keyed",
            size: 100,
            partitions: vec![0],
        };
        cx.produce(
            &compacted,
            &keyed,
            json!({"acks": "all", "idempotent": true}),
        )?;
        Ok(Kept {
            transactional,
            compacted,
            keyed,
        })
    }

    fn find(&self, cx: &mut Context) -> Checked {
        let committed = json!({"isolation": "read_committed"});
        let transactional = [(self.transactional.as_str(), 0, From::Beginning)];
        cx.consume(&transactional, TRANSACTIONAL_RECORDS, committed)?;
        let compacted = [(self.compacted.as_str(), 0, From::Beginning)];
        let got = cx.consume(&compacted, self.keyed.count, json!({}))?;
        cx.check_contents(&got, &self.keyed, 0, 0)?;
        let policy = cx.topic_config(&self.compacted, "cleanup.policy")?;
        cx.checks
            .equal("cleanup.policy", policy, Some(json!("compact")))
    }
}
