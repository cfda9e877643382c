//! Apache Kafka's own test of compaction: many values of few keys go in, and what a reader finds later must be
//! the newest of each, with fewer records than were written.

use super::ToolRun;
use crate::checks::{Checked, Failure};

const CONFIGS: &str = "kafka.admin.ConfigCommand";
const TESTER: &str = "org.apache.kafka.tools.LogCompactionTester";

/// Small segments, and a cleaner that looks often: what the tester leaves to the broker. Clients use the broker
/// meanwhile; a segment has room for their largest batch, of 1,048,588 bytes.
const EAGER: &str = "log.segment.bytes=1100000,log.cleaner.min.cleanable.ratio=0.1,\
                     log.cleaner.backoff.ms=100,log.cleaner.threads=2";

pub(super) fn compaction(run: &mut ToolRun) -> Checked {
    alter(run, "--add-config", EAGER)?;
    let tested = run.at_broker(
        TESTER,
        &[
            "--messages",
            "150000",
            "--percent-deletes",
            "20",
            "--sleep",
            "5",
        ],
        "",
    );
    let keys: Vec<&str> = EAGER
        .split(',')
        .filter_map(|pair| pair.split('=').next())
        .collect();
    alter(run, "--delete-config", &keys.join(","))?;
    let said = tested?;
    run.checks.holds(
        "the tester found no mismatch",
        said.lines().any(|line| line.ends_with(" 0 mismatches.")),
    )?;
    let reduction = said.lines().find_map(reduction);
    let reduction = reduction.ok_or_else(|| Failure(format!("no reduction in {said}")))?;
    // Without compaction it is 0.
    run.checks
        .holds(&format!("{reduction} % fewer records"), reduction > 30.0)
}

fn alter(run: &ToolRun, how: &str, configs: &str) -> Checked {
    let whom = ["--alter", "--entity-type", "brokers", "--entity-default"];
    run.at_broker(CONFIGS, &[&whom[..], &[how, configs]].concat(), "")?;
    Ok(())
}

/// The number in `… rows of data consumed (80.2% reduction).`
fn reduction(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once(" rows of data consumed (")?;
    rest.split_once('%')?.0.parse().ok()
}
