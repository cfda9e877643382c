//! The suites' section of docs/compatibility.md, and Ottla's column in it
//! (compat/suites/results.json): what the last whole run of each suite gave.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::column::{Column, Comparison};
use super::{SUITES, Suite};
use crate::checks::Checked;
use crate::results::{self, Outcome, Results};

/// Below `compat/`.
pub(super) const FILE: &str = "suites/results.json";

const MADE_WITH: &str = "cargo run -p ottla-compat -- --suite all --write-table";

const HEADING: &str = "\n## The clients' own test suites\n";

/// A whole run of a suite against Ottla.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    waiting: u64,
    /// Names of rows that Kafka passes and that were short of it.
    short: Vec<String>,
}

/// One for each suite.
pub(crate) type Tallies = BTreeMap<String, Tally>;

impl From<&Comparison> for Tally {
    fn from(compared: &Comparison) -> Tally {
        Tally {
            passed: compared.passed as u64,
            waiting: compared.waiting as u64,
            short: compared.short.iter().map(|(row, _)| row.clone()).collect(),
        }
    }
}

pub(super) fn load(path: &Path) -> Checked<Tallies> {
    let file = results::read_json(path)?.unwrap_or_default();
    let suites = file["suites"].as_object().into_iter().flatten();
    Ok(suites
        .map(|(suite, tally)| {
            let short = tally["short"].as_array().into_iter().flatten();
            let tally = Tally {
                passed: tally["passed"].as_u64().unwrap_or_default(),
                waiting: tally["waiting"].as_u64().unwrap_or_default(),
                short: short
                    .filter_map(|row| row.as_str().map(str::to_owned))
                    .collect(),
            };
            (suite.clone(), tally)
        })
        .collect())
}

pub(super) fn save(path: &Path, tallies: &Tallies) -> Checked {
    let suites = tallies.iter().map(|(suite, tally)| {
        let Tally {
            passed,
            waiting,
            short,
        } = tally;
        let tally = json!({ "passed": passed, "waiting": waiting, "short": short });
        (suite.clone(), tally)
    });
    let suites: serde_json::Map<String, Value> = suites.collect();
    results::write_json(
        path,
        &json!({ "broker": "Ottla", "made_with": MADE_WITH, "suites": suites }),
    )
}

/// The page with its section of the suites as it is now.
pub(crate) fn replace(page: &str, section: &str) -> String {
    let before = page.split(HEADING).next().unwrap_or_default();
    before.to_owned() + section
}

/// The section, from what is committed.
pub(crate) fn section(kafka: &Column, ours: &Tallies) -> String {
    let mut page = format!(
        "{HEADING}\n\
         Run as their authors publish them: `scripts/test-suites.sh`. A test counts if Apache Kafka passes it and it \
         cannot pass without\na broker; both are one broker, so that tests which need three do not count. A run \
         fails if a test that counts does not pass on\nOttla, or if one that waits for a feature does. Kafka's \
         results are kept in `compat/kafka/suites.json`, Ottla's in\n`compat/suites/results.json`; each file names \
         the command that makes it again.\n\n\
         | suite | version | from | Apache Kafka 4.3.1 | Ottla | waiting for a feature |\n|---|---|---|---|---|---|\n",
    );
    let mut notes = String::new();
    let nothing = Results::new();
    for suite in SUITES {
        let passed = passed_by(suite, kafka.get(suite.name).unwrap_or(&nothing));
        let (ottla, waiting) = match ours.get(suite.name) {
            Some(tally) => (format!("{} passed", tally.passed), tally.waiting),
            None => ("not run".to_owned(), 0),
        };
        let Suite {
            name,
            version,
            from,
            ..
        } = suite;
        _ = writeln!(
            page,
            "| {name} | {version} | {from} | {passed} passed | {ottla} | {waiting} |"
        );
        for row in ours.get(*name).iter().flat_map(|tally| &tally.short) {
            _ = writeln!(notes, "| {name} | {row} | – | **fails** |");
        }
        for wait in suite.waits {
            let test = wait.test.replace('*', "…");
            _ = writeln!(
                notes,
                "| {name} | {test} | {} | {} |",
                wait.feature, wait.reason
            );
        }
        for (test, why) in suite.unsteady {
            let test = test.replace('*', "…");
            _ = writeln!(notes, "| {name} | {test} | – | does not count: {why} |");
        }
    }
    if !notes.is_empty() {
        page.push_str("\n| suite | test | waits for | why |\n|---|---|---|---|\n");
        page.push_str(&notes);
    }
    page
}

/// How many rows count.
fn passed_by(suite: &Suite, kafka: &Results) -> usize {
    let rows = kafka.values().flatten();
    rows.filter(|(row, outcome)| matches!(outcome, Outcome::Passed(_)) && !suite.is_unsteady(row))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_replaced_and_what_is_before_it_stays() {
        let section = section(&Column::new(), &Tallies::new());
        let page = replace("# Page\n", &section);
        assert_eq!(replace(&page, &section), page);
        assert!(page.starts_with("# Page\n\n## The clients'"), "{page}");
    }

    #[test]
    fn a_test_that_falls_short_is_on_the_page() {
        let tally = Tally {
            passed: 7,
            waiting: 2,
            short: vec!["0001_multiobj".into()],
        };
        let ours = Tallies::from([("librdkafka".to_owned(), tally)]);
        let section = section(&Column::new(), &ours);
        assert!(section.contains("| 0 passed | 7 passed | 2 |"), "{section}");
        let line = "| librdkafka | 0001_multiobj | – | **fails** |";
        assert!(section.contains(line), "{section}");
    }
}
