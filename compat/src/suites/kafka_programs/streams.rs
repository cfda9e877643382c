//! Kafka Streams, as its authors publish it: the demonstration, and the smoke test of its system tests.

use std::collections::BTreeMap;

use super::run::ProgramRun;
use crate::checks::{Checked, Failure};

const LINES: &str = "all streams lead to kafka\nhello kafka streams\njoin kafka summit\n";
/// Words in [`LINES`], each of which becomes a record of the output.
const WORDS: usize = 11;

/// Counts words through a repartition topic and a changelog. A second instance has lost the state of the first, so it
/// restores its counts from the changelog before it goes on.
pub(super) fn word_count(run: &mut ProgramRun) -> Checked {
    const INPUT: &str = "streams-plaintext-input";
    const CLASS: &str = "org.apache.kafka.streams.examples.wordcount.WordCountDemo";
    run.create_topic(INPUT, "2")?;
    run.create_topic("streams-wordcount-output", "1")?;
    let properties = format!("bootstrap.servers={}\nstate.dir=state\n", run.bootstrap);
    std::fs::write("streams.properties", properties)?;
    for round in 1..=2 {
        run.write_lines(INPUT, LINES, &[])?;
        let name = format!("demo-{round}");
        let demo = run.start(&name, CLASS, &["streams.properties"])?;
        let counts = counts(run, round * WORDS)?;
        run.checks.equal("different words", counts.len(), 8)?;
        for (word, times) in [("kafka", 3), ("streams", 2), ("summit", 1)] {
            run.checks
                .equal(word, counts.get(word), Some(&(round * times)))?;
        }
        demo.stop()?;
        std::fs::remove_dir_all("state")?;
    }
    Ok(())
}

/// The last count of each word among so many records of the output.
fn counts(run: &ProgramRun, records: usize) -> Checked<BTreeMap<String, usize>> {
    let options = [
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer",
    ];
    let lines = run.read_lines("streams-wordcount-output", records, &options)?;
    let count = |line: &String| -> Checked<(String, usize)> {
        let counted = line.split_once('\t');
        let counted =
            counted.and_then(|(word, count)| Some((word.to_owned(), count.parse().ok()?)));
        counted.ok_or_else(|| Failure(format!("not a count: {line}")))
    };
    lines.iter().map(count).collect()
}

pub(super) fn smoke_at_least_once(run: &mut ProgramRun) -> Checked {
    smoke(run, "at_least_once")
}

pub(super) fn smoke_exactly_once(run: &mut ProgramRun) -> Checked {
    smoke(run, "exactly_once_v2")
}

/// Joins, windows and aggregations: one process writes and verifies what the other makes of it.
fn smoke(run: &mut ProgramRun, guarantee: &str) -> Checked {
    const CLASS: &str = "org.apache.kafka.streams.tests.StreamsSmokeTest";
    for topic in [
        "data",
        "echo",
        "max",
        "min",
        "min-suppressed",
        "min-raw",
        "dif",
        "sum",
        "sws-raw",
        "sws-suppressed",
        "cnt",
        "avg",
        "tagg",
        "fk",
    ] {
        run.create_topic(topic, "2")?;
    }
    let properties = format!(
        "bootstrap.servers={}\nstate.dir=state\nprocessing.guarantee={guarantee}\n",
        run.bootstrap
    );
    std::fs::write("streams.properties", properties)?;
    let process = run.start("process", CLASS, &["streams.properties", "process"])?;
    let said = run.succeeds("driver", CLASS, &["streams.properties", "run"])?;
    process.stop()?;
    for line in ["ALL-RECORDS-DELIVERED", "SUCCESS"] {
        run.checks
            .holds(line, said.lines().any(|said| said.ends_with(line)))?;
    }
    Ok(())
}
