//! Apache Kafka's column (compat/kafka/suites.json), and what counts against it.
//!
//! - A row counts if Kafka passes it. Ours must pass it too, with the same number of checks.
//! - A row that waits for a feature must not pass yet: a line that is no longer true is an error.
//! - A row that passes with no broker at all says nothing about one and never counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{Suite, is_named};
use crate::checks::Checked;
use crate::results::{self, Outcome, Results};

/// What rows that pass without a broker have in Kafka's column.
pub(super) const NO_BROKER: &str = "passes with no broker at all";

/// Outcomes of one broker: suite, then job, then row.
pub(crate) type Column = BTreeMap<String, Results>;

/// Below `compat/`.
pub(super) const FILE: &str = "kafka/suites.json";

const MADE_WITH: &str = "cargo run -p ottla-compat -- --suite all --against kafka --write-table";

pub(super) fn load(path: &Path) -> Checked<Column> {
    let Some(file) = results::read_json(path)? else {
        return Ok(Column::new());
    };
    let suites = file["suites"].as_object().into_iter().flatten();
    Ok(suites
        .map(|(suite, jobs)| (suite.clone(), results::from_json(jobs)))
        .collect())
}

/// Writes one line for each job, so that a change can be read.
pub(super) fn save(path: &Path, column: &Column) -> Checked {
    let suites = column.iter().map(|(suite, jobs)| {
        let jobs = results::to_json(jobs);
        let lines = jobs.as_object().into_iter().flatten();
        let lines = lines.map(|(job, rows)| format!("   {}: {rows}", Value::from(job.as_str())));
        let lines: Vec<String> = lines.collect();
        format!("  \"{suite}\": {{\n{}\n  }}", lines.join(",\n"))
    });
    let suites: Vec<String> = suites.collect();
    let text = format!(
        "{{\n \"broker\": \"Apache Kafka 4.3.1\",\n \"made_with\": \"{MADE_WITH}\",\n \"suites\": {{\n{}\n }}\n}}\n",
        suites.join(",\n")
    );
    std::fs::write(path, text)?;
    Ok(())
}

const NO_RESULT: &str = "has no result of Apache Kafka to compare with";

/// How a suite's rows compare.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Rows that count and that pass.
    pub(super) passed: usize,
    /// Rows that wait for a feature.
    pub(super) waiting: usize,
    /// Rows that are short of Kafka's, and why.
    pub(super) short: Vec<(String, String)>,
}

/// Compares the rows of `jobs`.
pub(super) fn compare(
    suite: &Suite,
    jobs: &BTreeSet<&str>,
    kafka: &Results,
    ours: &Results,
) -> Comparison {
    let mut comparison = Comparison::default();
    let nothing = BTreeMap::new();
    for job in jobs {
        let Some(theirs) = kafka.get(*job) else {
            comparison.short(job, NO_RESULT);
            continue;
        };
        let ours = ours.get(*job).unwrap_or(&nothing);
        for (row, want) in theirs {
            comparison.row(suite, row, want, ours.get(row));
        }
        for row in ours.keys().filter(|row| !theirs.contains_key(*row)) {
            comparison.short(row, NO_RESULT);
        }
    }
    comparison
}

impl Comparison {
    pub(super) fn short(&mut self, row: &str, why: &str) {
        self.short.push((row.to_owned(), why.to_owned()));
    }

    fn row(&mut self, suite: &Suite, row: &str, want: &Outcome, got: Option<&Outcome>) {
        let Outcome::Passed(want) = want else {
            return;
        };
        if suite.is_unsteady(row) {
            return;
        }
        let waits = suite.waits_for(row);
        match (got, waits) {
            (Some(Outcome::Passed(_)), Some(wait)) => {
                let line = format!("passes now: its line ({}) is to be deleted", wait.feature);
                self.short(row, &line);
            }
            (_, Some(_)) => self.waiting += 1,
            (Some(Outcome::Passed(got)), None) if got == want => self.passed += 1,
            (Some(Outcome::Passed(got)), None) => {
                let line = format!("made {got} checks where Apache Kafka's run made {want}");
                self.short(row, &line);
            }
            (Some(Outcome::Failed(why)), None) => self.short(row, why),
            (Some(Outcome::NotApplicable(why)), None) => {
                self.short(row, &format!("was skipped: {why}"));
            }
            (None, None) => self.short(row, "was not run"),
        }
    }
}

/// Lines of a suite's lists that name nothing which Kafka passes: they would hide nothing, and
/// are mistakes.
pub(super) fn idle_lines(suite: &Suite, kafka: &Results) -> Vec<&'static str> {
    let rows = || kafka.values().flatten();
    let waits = suite.waits.iter().map(|wait| wait.test).filter(|test| {
        !rows().any(|(row, outcome)| matches!(outcome, Outcome::Passed(_)) && is_named(test, row))
    });
    let unsteady = suite.unsteady.iter().map(|(test, _)| *test);
    let unsteady = unsteady.filter(|test| !rows().any(|(row, _)| is_named(test, row)));
    waits.chain(unsteady).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Fast, Wait};
    use super::*;

    const SUITE: Suite = Suite {
        name: "s",
        version: "1",
        from: "",
        prepare: |_| Ok(vec![]),
        port: None,
        waits: &[Wait {
            test: "later/*",
            feature: "shares",
            reason: "",
        }],
        unsteady: &[("shaky", "it races")],
        fast: Fast::All,
    };

    fn rows(rows: &[(&str, Outcome)]) -> Results {
        let rows = rows
            .iter()
            .map(|(row, outcome)| ((*row).to_owned(), outcome.clone()));
        Results::from([("job".to_owned(), rows.collect())])
    }

    fn against(row: &str, kafka: Outcome, ours: Option<Outcome>) -> Comparison {
        let ours: Vec<_> = ours.into_iter().map(|outcome| (row, outcome)).collect();
        compare(
            &SUITE,
            &BTreeSet::from(["job"]),
            &rows(&[(row, kafka)]),
            &rows(&ours),
        )
    }

    #[test]
    fn a_skip_a_failure_and_a_test_that_was_not_run_are_no_passes() {
        let passes = Outcome::Passed(1);
        for ours in [
            None,
            Some(Outcome::Failed("f".into())),
            Some(Outcome::NotApplicable("n".into())),
            Some(Outcome::Passed(2)),
        ] {
            let compared = against("a", passes.clone(), ours);
            assert_eq!((compared.passed, compared.short.len()), (0, 1));
        }
        assert_eq!(against("a", passes.clone(), Some(passes)).passed, 1);
    }

    #[test]
    fn a_waiting_test_may_not_pass() {
        let waiting = against("later/x", Outcome::Passed(1), None);
        assert_eq!((waiting.waiting, waiting.short.len()), (1, 0));
        let passing = against("later/x", Outcome::Passed(1), Some(Outcome::Passed(1)));
        assert_eq!(passing.short.len(), 1);
    }

    #[test]
    fn what_kafka_does_not_pass_and_what_is_unsteady_does_not_count() {
        let failed = Outcome::Failed(String::new());
        assert_eq!(
            against("a", failed.clone(), Some(failed)),
            Comparison::default()
        );
        assert_eq!(
            against("shaky", Outcome::Passed(1), None),
            Comparison::default()
        );
    }

    #[test]
    fn a_job_or_a_test_that_kafka_never_ran_is_a_shortfall() {
        let ours = rows(&[("a", Outcome::Passed(1))]);
        assert_eq!(
            compare(&SUITE, &BTreeSet::from(["job"]), &Results::new(), &ours)
                .short
                .len(),
            1
        );
        assert_eq!(
            compare(&SUITE, &BTreeSet::from(["job"]), &rows(&[]), &ours)
                .short
                .len(),
            1
        );
    }

    #[test]
    fn a_line_that_names_no_test_is_found() {
        assert_eq!(idle_lines(&SUITE, &rows(&[])).len(), 2);
        let kafka = rows(&[
            ("later/x", Outcome::Passed(1)),
            ("shaky", Outcome::Passed(1)),
        ]);
        assert_eq!(idle_lines(&SUITE, &kafka), Vec::<&str>::new());
    }
}
