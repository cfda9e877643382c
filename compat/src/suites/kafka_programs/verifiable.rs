//! The programs that Kafka's system tests run beside a broker: each checks for itself, and says so.

use serde_json::{Value, json};

use super::run::ProgramRun;
use crate::checks::{Checked, Failure};

pub(super) fn client_compatibility(run: &mut ProgramRun) -> Checked {
    run.create_topic("compatibility", "1")?;
    let bootstrap = run.bootstrap.clone();
    let mut args = vec!["--bootstrap-server", &bootstrap, "--topic", "compatibility"];
    args.extend(["--num-cluster-nodes", "1"]);
    // Clients before KIP-74 could not read a record that is larger than a partition's fetch limit.
    args.extend(["--expect-record-too-large-exception", "false"]);
    for supported in [
        "--offsets-for-times-supported",
        "--cluster-id-supported",
        "--create-topics-supported",
        "--describe-acls-supported",
        "--describe-configs-supported",
        "--idempotent-producer-supported",
    ] {
        args.extend([supported, "true"]);
    }
    let class = "org.apache.kafka.tools.ClientCompatibilityTest";
    let said = run.succeeds("compatibility", class, &args)?;
    let success = said.lines().any(|line| line == "SUCCESS.");
    run.checks.holds("it says SUCCESS", success)
}

const MESSAGES: usize = 2000;

pub(super) fn produce_and_consume(run: &mut ProgramRun) -> Checked {
    run.create_topic("verifiable", "3")?;
    let (bootstrap, count) = (run.bootstrap.clone(), MESSAGES.to_string());
    let common = ["--bootstrap-server", &bootstrap, "--topic", "verifiable"];
    let common = [&common[..], &["--max-messages", &count]].concat();
    let class = "org.apache.kafka.tools.VerifiableProducer";
    let said = events(&run.succeeds(
        "producer",
        class,
        &[&common[..], &["--acks", "-1"]].concat(),
    )?);
    run.checks.equal(
        "acknowledged",
        named(&said, "producer_send_success").count(),
        MESSAGES,
    )?;
    let data = named(&said, "tool_data")
        .next()
        .cloned()
        .unwrap_or_default();
    let totals = (&data["sent"], &data["acked"]);
    run.checks
        .equal("totals", totals, (&json!(MESSAGES), &json!(MESSAGES)))?;

    let class = "org.apache.kafka.tools.VerifiableConsumer";
    let group = ["--group-id", "verifiable", "--reset-policy", "earliest"];
    let said = events(&run.succeeds("consumer", class, &[&common[..], &group].concat())?);
    let sum =
        |name: &str, number: fn(&Value) -> u64| -> u64 { named(&said, name).map(number).sum() };
    let consumed = sum("records_consumed", |event| {
        event["count"].as_u64().unwrap_or(0)
    });
    run.checks
        .equal("consumed", usize::try_from(consumed).ok(), Some(MESSAGES))?;
    let committed = named(&said, "offsets_committed").all(|event| event["success"] == json!(true));
    run.checks.holds("every commit succeeded", committed)?;
    let last = named(&said, "offsets_committed")
        .last()
        .cloned()
        .unwrap_or_default();
    run.checks
        .holds("offsets were committed", last["offsets"].is_array())
}

/// The events of a verifiable client, one JSON object a line.
fn events(said: &str) -> Vec<Value> {
    let lines = said.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn named<'a>(events: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events
        .iter()
        .filter(move |event| event["name"] == json!(name))
}

/// Trogdor's agent as one process: it produces, consumes, and compares what it sent with what came.
pub(super) fn trogdor(run: &mut ProgramRun) -> Checked {
    let agent = json!({
        "platform": "org.apache.kafka.trogdor.basic.BasicPlatform",
        "nodes": {"node0": {"hostname": "localhost", "trogdor.agent.port": 0}},
    });
    std::fs::write("agent.json", agent.to_string())?;
    let task = json!({
        "class": "org.apache.kafka.trogdor.workload.RoundTripWorkloadSpec",
        "startMs": 0,
        "durationMs": 120_000,
        "clientNode": "node0",
        "bootstrapServers": run.bootstrap,
        "targetMessagesPerSec": 2000,
        "maxMessages": MESSAGES,
        "valueGenerator": {"type": "sequential", "size": 512, "startOffset": 0},
        "activeTopics": {"trogdor[0-1]": {"numPartitions": 2, "replicationFactor": 1}},
    });
    std::fs::write("task.json", task.to_string())?;
    let args = [
        "--agent.config",
        "agent.json",
        "--node-name",
        "node0",
        "--exec",
        "task.json",
    ];
    let said = run.succeeds("agent", "org.apache.kafka.trogdor.agent.Agent", &args)?;
    let status = said
        .split_once("Task succeeded with status ")
        .map(|(_, status)| status);
    let Some(status) = status else {
        return Err(Failure(format!("the task did not succeed: {said}")));
    };
    for total in ["totalUniqueSent", "totalReceived"] {
        let line = format!("\"{total}\" : {MESSAGES}");
        run.checks.holds(&line, status.contains(&line))?;
    }
    Ok(())
}

/// Copies a partition in transactions, some of which are aborted by chance and done again: who reads what is committed
/// reads every message once, in order.
pub(super) fn transactional_copy(run: &mut ProgramRun) -> Checked {
    let (bootstrap, count) = (run.bootstrap.clone(), MESSAGES.to_string());
    for topic in ["originals", "copies"] {
        run.create_topic(topic, "1")?;
    }
    let args = ["--bootstrap-server", &bootstrap, "--topic", "originals"];
    let args = [&args[..], &["--max-messages", &count]].concat();
    run.succeeds(
        "producer",
        "org.apache.kafka.tools.VerifiableProducer",
        &args,
    )?;
    let args = [
        ["--broker-list", &bootstrap],
        ["--input-topic", "originals"],
        ["--input-partition", "0"],
        ["--output-topic", "copies"],
        ["--transactional-id", "copier"],
        ["--consumer-group", "copier"],
    ];
    let args = [&args.concat()[..], &["--enable-random-aborts"]].concat();
    let class = "org.apache.kafka.tools.TransactionalMessageCopier";
    run.succeeds("copier", class, &args)?;
    let copies = run.read_lines("copies", MESSAGES, &["--isolation-level", "read_committed"])?;
    let originals: Vec<String> = (0..MESSAGES).map(|i| i.to_string()).collect();
    run.checks.equal("copies", copies, originals)
}
