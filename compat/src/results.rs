//! Results: collected per client and scenario, compared with Apache Kafka's, written as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::checks::{Checked, Failure};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All checks held, and this many were made.
    Passed(u32),
    Failed(String),
    /// The client cannot do it, and why.
    NotApplicable(String),
}

/// Outcomes of one broker: client, then scenario.
pub(crate) type Results = BTreeMap<String, BTreeMap<String, Outcome>>;

/// A client and its rows, in the order of the table.
pub(crate) struct Section {
    pub(crate) client: &'static str,
    pub(crate) version: &'static str,
    pub(crate) from: &'static str,
    /// Ottla must pass also where Kafka fails.
    pub(crate) beyond_kafka: bool,
    /// Scenario name and what it says.
    pub(crate) rows: Vec<(&'static str, &'static str)>,
}

/// The command that makes Kafka's column again.
const MADE_WITH: &str = "cargo run -p ottla-compat -- --against kafka --write-table";

/// The file's contents, if there is such a file.
pub(crate) fn read_json(path: &Path) -> Checked<Option<Value>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path)?;
    serde_json::from_str(&text).map_err(|e| Failure(format!("{}: {e}", path.display())))
}

pub(crate) fn write_json(path: &Path, file: &Value) -> Checked {
    let text = serde_json::to_string_pretty(file).map_err(|e| Failure(e.to_string()))?;
    std::fs::write(path, text + "\n")?;
    Ok(())
}

pub(crate) fn load(path: &Path) -> Checked<Results> {
    let file = read_json(path)?;
    Ok(file.map_or_else(Results::new, |file| from_json(&file["clients"])))
}

pub(crate) fn from_json(clients: &Value) -> Results {
    let mut results = Results::new();
    for (client, rows) in clients.as_object().into_iter().flatten() {
        for (scenario, row) in rows.as_object().into_iter().flatten() {
            let why = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let outcome = if let Some(checks) = row["passed"].as_u64() {
                Outcome::Passed(u32::try_from(checks).unwrap_or(u32::MAX))
            } else if row.get("failed").is_some() {
                Outcome::Failed(why("failed"))
            } else {
                Outcome::NotApplicable(why("not_applicable"))
            };
            results
                .entry(client.clone())
                .or_default()
                .insert(scenario.clone(), outcome);
        }
    }
    results
}

pub(crate) fn to_json(results: &Results) -> Value {
    let rows = |rows: &BTreeMap<String, Outcome>| -> Map<String, Value> {
        rows.iter()
            .map(|(row, outcome)| (row.clone(), outcome_json(outcome)))
            .collect()
    };
    results
        .iter()
        .map(|(client, of)| (client.clone(), Value::Object(rows(of))))
        .collect::<Map<_, _>>()
        .into()
}

fn outcome_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Passed(checks) => json!({ "passed": checks }),
        Outcome::Failed(why) => json!({ "failed": why }),
        Outcome::NotApplicable(why) => json!({ "not_applicable": why }),
    }
}

pub(crate) fn save(path: &Path, broker: &str, sections: &[Section], results: &Results) -> Checked {
    let mut clients = Map::new();
    for section in sections {
        let mut rows = Map::new();
        for (scenario, _) in &section.rows {
            if let Some(outcome) = outcome(results, section.client, scenario) {
                rows.insert((*scenario).to_owned(), outcome_json(outcome));
            }
        }
        clients.insert(section.client.to_owned(), Value::Object(rows));
    }
    let file = json!({ "broker": broker, "made_with": MADE_WITH, "clients": clients });
    write_json(path, &file)
}

fn outcome<'a>(results: &'a Results, client: &str, scenario: &str) -> Option<&'a Outcome> {
    results.get(client).and_then(|rows| rows.get(scenario))
}

/// What counts against us: everything that Kafka passes and we do not pass with the same number
/// of checks, and everything that has no result.
pub(crate) fn shortfalls(sections: &[Section], kafka: &Results, ours: &Results) -> Vec<String> {
    let mut list = Vec::new();
    for section in sections {
        let client = section.client;
        for (scenario, _) in &section.rows {
            let want = outcome(kafka, client, scenario);
            let got = outcome(ours, client, scenario);
            let line = match (want, got) {
                (None, _) => "has no result of Apache Kafka to compare with".to_owned(),
                (_, None) => "was not run".to_owned(),
                (Some(Outcome::Passed(want)), Some(Outcome::Passed(got))) if want != got => {
                    format!("made {got} checks where Apache Kafka's run made {want}")
                }
                (Some(Outcome::Passed(_)), Some(Outcome::Failed(why))) => why.clone(),
                (Some(Outcome::Failed(_)), Some(Outcome::Failed(why))) if section.beyond_kafka => {
                    why.clone()
                }
                (Some(Outcome::Passed(_)), Some(Outcome::NotApplicable(why))) => {
                    format!("does not apply here, but applies to Apache Kafka: {why}")
                }
                _ => continue,
            };
            list.push(format!("{client} {scenario}: {line}"));
        }
    }
    list
}

fn cell(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Passed(_)) => "passed",
        Some(Outcome::Failed(_)) => "**failed**",
        Some(Outcome::NotApplicable(_)) => "–",
        None => "not run",
    }
}

fn count(results: &Results, section: &Section, wanted: fn(&Outcome) -> bool) -> usize {
    let rows = section.rows.iter();
    rows.filter(|(scenario, _)| outcome(results, section.client, scenario).is_some_and(wanted))
        .count()
}

/// The page docs/compatibility.md. It has no dates and no durations, so that it changes only when
/// a result does.
pub(crate) fn page(sections: &[Section], kafka: &Results, ours: &Results) -> String {
    let mut page = String::from(
        "# Compatibility\n\n\
         Real clients and Kafka's own tools, run against Ottla and against Apache Kafka 4.3.1. This page \
         is generated:\n`cargo run -p ottla-compat -- --write-table` runs the suite against Ottla and \
         writes it; `--against kafka --write-table`\nmakes Kafka's column again (kept in \
         `compat/kafka/results.json`). A scenario counts only where Kafka passes it, and it\nmust make \
         the same number of checks on both brokers. What each scenario checks is in \
         `compat/src/scenarios/`.\n\n\
         | client | version | from | Apache Kafka 4.3.1 | Ottla | not applicable |\n|---|---|---|---|---|---|\n",
    );
    for section in sections {
        let passed = |o: &Outcome| matches!(o, Outcome::Passed(_));
        let lacking = |o: &Outcome| matches!(o, Outcome::NotApplicable(_));
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} passed | {} passed | {} |",
            section.client,
            section.version,
            section.from,
            count(kafka, section, passed),
            count(ours, section, passed),
            count(ours, section, lacking),
        );
    }
    for section in sections {
        let client = section.client;
        let _ = write!(
            page,
            "\n## {client} {}\n\n| scenario | | Apache Kafka 4.3.1 | Ottla |\n|---|---|---|---|\n",
            section.version
        );
        let mut notes = Vec::new();
        for (scenario, about) in &section.rows {
            let (theirs, our) = (
                outcome(kafka, client, scenario),
                outcome(ours, client, scenario),
            );
            let _ = writeln!(
                page,
                "| {scenario} | {about} | {} | {} |",
                cell(theirs),
                cell(our)
            );
            match (theirs, our) {
                (_, Some(Outcome::NotApplicable(why))) => {
                    notes.push(format!("- {scenario}: {why}."))
                }
                (Some(Outcome::Failed(why)), _) => {
                    let counts = if section.beyond_kafka {
                        "counts all the same"
                    } else {
                        "does not count"
                    };
                    notes.push(format!("- {scenario} {counts}: on Apache Kafka, {why}."));
                }
                _ => {}
            }
        }
        if !notes.is_empty() {
            let _ = writeln!(page, "\n{}", notes.join("\n"));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> Vec<Section> {
        vec![Section {
            client: "c",
            version: "1",
            from: "",
            beyond_kafka: false,
            rows: vec![("s", "about s")],
        }]
    }

    fn one(outcome: Outcome) -> Results {
        Results::from([("c".to_owned(), BTreeMap::from([("s".to_owned(), outcome)]))])
    }

    fn short(kafka: Outcome, ours: Outcome) -> bool {
        !shortfalls(&sections(), &one(kafka), &one(ours)).is_empty()
    }

    #[test]
    fn the_same_number_of_checks_is_not_short_of_kafka() {
        assert!(!short(Outcome::Passed(3), Outcome::Passed(3)));
    }

    #[test]
    fn fewer_checks_than_kafka_made_are_a_shortfall() {
        assert!(short(Outcome::Passed(3), Outcome::Passed(2)));
    }

    #[test]
    fn neither_a_failure_nor_a_skip_counts_as_passed() {
        assert!(short(Outcome::Passed(3), Outcome::Failed("why".into())));
        assert!(short(
            Outcome::Passed(3),
            Outcome::NotApplicable("why".into())
        ));
    }

    #[test]
    fn what_kafka_fails_does_not_count_against_us() {
        assert!(!short(
            Outcome::Failed("why".into()),
            Outcome::Failed("why".into())
        ));
    }

    #[test]
    fn a_client_that_only_we_serve_must_pass_where_kafka_fails() {
        let failed = one(Outcome::Failed("why".into()));
        let mut sections = sections();
        sections[0].beyond_kafka = true;
        assert_eq!(shortfalls(&sections, &failed, &failed), ["c s: why"]);
        assert!(shortfalls(&sections, &failed, &one(Outcome::Passed(3))).is_empty());
    }

    #[test]
    fn a_row_that_was_not_run_is_a_shortfall_on_either_side() {
        let ran = one(Outcome::Passed(1));
        assert_eq!(shortfalls(&sections(), &ran, &Results::new()).len(), 1);
        assert_eq!(shortfalls(&sections(), &Results::new(), &ran).len(), 1);
    }

    #[test]
    fn the_page_names_what_does_not_count_and_what_does_not_apply() {
        let text = page(
            &sections(),
            &one(Outcome::Failed("it broke".into())),
            &one(Outcome::NotApplicable("it cannot".into())),
        );
        assert!(text.contains("| s | about s | **failed** | – |"), "{text}");
        assert!(text.contains("- s: it cannot."), "{text}");
    }
}
