//! Apache Kafka's column (compat/kafka/suites.json), what counts against it, and the page's section.
//!
//! - A row counts if Kafka passes it. Ours must pass it too, with the same number of checks.
//! - A row that waits for a feature must not pass yet: a line that is no longer true is an error.
//! - A row that passes with no broker at all says nothing about one and never counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::{SUITES, Suite, is_named};
use crate::checks::Checked;
use crate::results::{self, Outcome, Results};

/// What rows that pass without a broker have in Kafka's column.
pub(super) const NO_BROKER: &str = "passes with no broker at all";

/// Outcomes of one broker: suite, then job, then row.
pub(crate) type Column = BTreeMap<String, Results>;

const MADE_WITH: &str = "cargo run -p ottla-compat -- --suite all --against kafka --write-table";

pub(crate) fn load(path: &Path) -> Checked<Column> {
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

/// How a suite's rows compare.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Rows that count and that pass.
    pub(super) passed: usize,
    /// Rows that wait for a feature.
    pub(super) waiting: usize,
    pub(super) shortfalls: Vec<String>,
}

/// Compares the rows of `jobs`.
pub(super) fn compare(suite: &Suite, jobs: &[&str], kafka: &Results, ours: &Results) -> Comparison {
    let mut comparison = Comparison::default();
    let nothing = BTreeMap::new();
    for job in jobs {
        let Some(theirs) = kafka.get(*job) else {
            comparison.short(suite, job, "has no result of Apache Kafka to compare with");
            continue;
        };
        let ours = ours.get(*job).unwrap_or(&nothing);
        for (row, want) in theirs {
            comparison.row(suite, row, want, ours.get(row));
        }
        for row in ours.keys().filter(|row| !theirs.contains_key(*row)) {
            comparison.short(suite, row, "has no result of Apache Kafka to compare with");
        }
    }
    comparison
}

impl Comparison {
    fn short(&mut self, suite: &Suite, row: &str, why: &str) {
        self.shortfalls.push(format!("{} {row}: {why}", suite.name));
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
                self.short(suite, row, &line);
            }
            (_, Some(_)) => self.waiting += 1,
            (Some(Outcome::Passed(got)), None) if got == want => self.passed += 1,
            (Some(Outcome::Passed(got)), None) => {
                let line = format!("made {got} checks where Apache Kafka's run made {want}");
                self.short(suite, row, &line);
            }
            (Some(Outcome::Failed(why)), None) => self.short(suite, row, why),
            (Some(Outcome::NotApplicable(why)), None) => {
                self.short(suite, row, &format!("was skipped: {why}"));
            }
            (None, None) => self.short(suite, row, "was not run"),
        }
    }
}

/// Lines of a suite's lists that name nothing which Kafka passes: they would hide nothing, and
/// are mistakes.
pub(super) fn idle_lines(suite: &Suite, kafka: &Results) -> Vec<String> {
    let passed: Vec<&String> = kafka
        .values()
        .flatten()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Passed(_)))
        .map(|(row, _)| row)
        .collect();
    let waits = suite.waits.iter();
    let idle_waits = waits
        .filter(|wait| !passed.iter().any(|row| is_named(wait.test, row)))
        .map(|wait| wait.test);
    let unsteady = suite.unsteady.iter().map(|(test, _)| *test);
    let rows: Vec<&String> = kafka.values().flat_map(BTreeMap::keys).collect();
    let known = |test: &&str| rows.iter().any(|row| is_named(test, row));
    idle_waits
        .chain(unsteady.filter(|test| !known(test)))
        .map(|test| {
            format!(
                "{} {test}: is on a list, but Apache Kafka passes no such test",
                suite.name
            )
        })
        .collect()
}

/// The section of docs/compatibility.md. It is made from what is committed: a run of the suites
/// fails if it is not true.
pub(crate) fn section(column: &Column) -> String {
    let mut page = String::from(
        "\n## The clients' own test suites\n\n\
         Run as their authors publish them, against Apache Kafka and against Ottla: `scripts/test-suites.sh`. A test \
         counts if Kafka passes\nit and it cannot pass without a broker. Ottla passes all that count, except those \
         that wait for a feature. A run fails if a\ncounted test does not pass, or if a waiting one does.\n\n\
         | suite | version | from | Apache Kafka 4.3.1 | Ottla | waiting |\n|---|---|---|---|---|---|\n",
    );
    let mut notes = String::new();
    let nothing = Results::new();
    for suite in SUITES {
        let kafka = column.get(suite.name).unwrap_or(&nothing);
        let counted = kafka.values().flatten().filter(|(row, outcome)| {
            matches!(outcome, Outcome::Passed(_)) && !suite.is_unsteady(row)
        });
        let (waiting, passing): (Vec<_>, Vec<_>) =
            counted.partition(|(row, _)| suite.waits_for(row).is_some());
        _ = writeln!(
            page,
            "| {} | {} | {} | {} passed | {} passed | {} |",
            suite.name,
            suite.version,
            suite.from,
            passing.len() + waiting.len(),
            passing.len(),
            waiting.len(),
        );
        for wait in suite.waits {
            _ = writeln!(
                notes,
                "| {} | {} | {} | {} |",
                suite.name,
                wait.test.replace('*', "…"),
                wait.feature,
                wait.reason
            );
        }
        for (test, why) in suite.unsteady {
            _ = writeln!(
                notes,
                "| {} | {test} | – | does not count: {why} |",
                suite.name
            );
        }
    }
    if !notes.is_empty() {
        page.push_str("\n| suite | test | waits for | why |\n|---|---|---|---|\n");
        page.push_str(&notes);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::super::Wait;
    use super::*;

    const SUITE: Suite = Suite {
        name: "s",
        version: "1",
        from: "",
        prepare: |_| Ok(vec![]),
        waits: &[Wait {
            test: "later/*",
            feature: "shares",
            reason: "",
        }],
        unsteady: &[("shaky", "it races")],
        fast: &[],
    };

    fn rows(rows: &[(&str, Outcome)]) -> Results {
        let rows = rows
            .iter()
            .map(|(row, outcome)| ((*row).to_owned(), outcome.clone()));
        Results::from([("job".to_owned(), rows.collect())])
    }

    fn against(row: &str, kafka: Outcome, ours: Option<Outcome>) -> Comparison {
        let ours: Vec<_> = ours.into_iter().map(|outcome| (row, outcome)).collect();
        compare(&SUITE, &["job"], &rows(&[(row, kafka)]), &rows(&ours))
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
            assert_eq!((compared.passed, compared.shortfalls.len()), (0, 1));
        }
        assert_eq!(against("a", passes.clone(), Some(passes)).passed, 1);
    }

    #[test]
    fn a_waiting_test_may_not_pass() {
        let waiting = against("later/x", Outcome::Passed(1), None);
        assert_eq!((waiting.waiting, waiting.shortfalls.len()), (1, 0));
        let passing = against("later/x", Outcome::Passed(1), Some(Outcome::Passed(1)));
        assert_eq!(passing.shortfalls.len(), 1);
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
            compare(&SUITE, &["job"], &Results::new(), &ours)
                .shortfalls
                .len(),
            1
        );
        assert_eq!(
            compare(&SUITE, &["job"], &rows(&[]), &ours)
                .shortfalls
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
        assert_eq!(idle_lines(&SUITE, &kafka), Vec::<String>::new());
    }
}
