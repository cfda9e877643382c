//! MirrorMaker 2, from the broker of the suite to a second one of the same kind.

use std::path::Path;

use super::run::{ProgramRun, await_until};
use crate::broker::{Broker, End, Kind};
use crate::checks::{Checked, Failure};

const TOPIC: &str = "orders";
/// What the copy is called: the cluster it comes from is its prefix.
const COPY: &str = "a.orders";
const GROUP: &str = "readers";
const LINES: usize = 300;

/// Records, a topic's configuration and partitions, and a group's offsets reach the other cluster, and go on to do so.
pub(super) fn mirror_maker(run: &mut ProgramRun) -> Checked {
    let mut broker = Broker::start(Kind::of_this_job()?, Path::new("target-broker"))?;
    let target = run.at(&broker.bootstrap());
    run.create_topic_with(TOPIC, "3", &["--config", "retention.ms=123456789"])?;
    write_orders(run, 0)?;
    run.read_lines(TOPIC, LINES, &["--group", GROUP])?;
    std::fs::write("mm2.properties", properties(run, &target))?;
    let class = "org.apache.kafka.connect.mirror.MirrorMaker";
    let mirror = run.start("mirror", class, &["mm2.properties"])?;

    check_copy(run, &target, LINES)?;
    let copy = describe_topic(&target)?;
    for part in ["PartitionCount: 3", "retention.ms=123456789"] {
        run.checks.holds(part, copy.contains(part))?;
    }
    let committed = offsets_of_group(run, TOPIC)?;
    await_until("the group's offsets are there", 120, || {
        Ok(offsets_of_group(&target, COPY)? == committed)
    })?;
    run.checks
        .equal("partitions with an offset", committed.len(), 3)?;

    write_orders(run, LINES)?;
    check_copy(run, &target, 2 * LINES)?;
    mirror.stop()?;
    broker.end(End::Stop)
}

/// Writes so many records with keys, which spread them over the partitions.
fn write_orders(run: &ProgramRun, first: usize) -> Checked {
    let orders: String = (first..first + LINES)
        .map(|i| format!("key {i}\torder {i}\n"))
        .collect();
    run.write_lines(TOPIC, &orders, &["--reader-property", "parse.key=true"])
}

fn properties(source: &ProgramRun, target: &ProgramRun) -> String {
    let mut properties = format!(
        "clusters=a,b\n\
         a.bootstrap.servers={}\n\
         b.bootstrap.servers={}\n\
         a->b.enabled=true\n\
         a->b.topics={TOPIC}\n\
         b->a.enabled=false\n\
         replication.factor=1\n\
         sync.group.offsets.enabled=true\n\
         offset.lag.max=0\n",
        source.bootstrap, target.bootstrap
    );
    for topic in [
        "checkpoints.topic",
        "heartbeats.topic",
        "offset-syncs.topic",
    ] {
        properties += &format!("{topic}.replication.factor=1\n");
    }
    for storage in ["config", "offset", "status"] {
        properties += &format!("{storage}.storage.replication.factor=1\n");
    }
    for interval in [
        "refresh.topics",
        "refresh.groups",
        "sync.topic.configs",
        "sync.group.offsets",
        "emit.checkpoints",
    ] {
        properties += &format!("{interval}.interval.seconds=1\n");
    }
    properties
}

/// Waits until the copy has so many records; they must be the topic's, in the same partitions and order.
fn check_copy(run: &mut ProgramRun, target: &ProgramRun, records: usize) -> Checked {
    await_until("the topic is mirrored", 120, || {
        Ok(describe_topic(target).is_ok())
    })?;
    let options = ["--formatter-property", "print.partition=true"];
    let of = |run: &ProgramRun, topic: &str| -> Checked<Vec<String>> {
        let mut lines = run.read_lines(topic, records, &options)?;
        // Partitions come in any order; sorting keeps the order within each.
        lines.sort_by_key(|line| line.split('\t').next().map(str::to_owned));
        Ok(lines)
    };
    let (want, got) = (of(run, TOPIC)?, of(target, COPY)?);
    run.checks.equal("records", got, want)
}

fn describe_topic(target: &ProgramRun) -> Checked<String> {
    let args = [
        "--bootstrap-server",
        &target.bootstrap,
        "--describe",
        "--topic",
        COPY,
    ];
    target.succeeds("describe", "org.apache.kafka.tools.TopicCommand", &args)
}

/// Partitions and committed offsets, as kafka-consumer-groups prints them: group, topic, partition, offset.
fn offsets_of_group(run: &ProgramRun, topic: &str) -> Checked<Vec<(String, String)>> {
    let args = [
        "--bootstrap-server",
        &run.bootstrap,
        "--describe",
        "--group",
        GROUP,
    ];
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let said = run.succeeds("group", class, &args);
    // It fails while there is no such group.
    let Ok(said) = said else {
        return Ok(vec![]);
    };
    let mut offsets = vec![];
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&GROUP) && words.get(1) == Some(&topic) {
            let (Some(partition), Some(offset)) = (words.get(2), words.get(3)) else {
                return Err(Failure(format!("not an offset: {line}")));
            };
            offsets.push(((*partition).to_owned(), (*offset).to_owned()));
        }
    }
    offsets.sort();
    Ok(offsets)
}
