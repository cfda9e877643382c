//! docs/rules.md and docs/log-checklist.md name only tests that exist.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "this test reads the sources, not a broker's data, and fails if it cannot"
)]

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_test_that_the_page_of_rules_names_exists() {
    let there = tests();
    let page = page("rules.md");
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| **")) {
        let (_, tests) = row.rsplit_once(" | ").unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(there.contains(name), "there is no test {name:?}");
            named += 1;
        }
    }
    assert!(named > 40, "the table was not found: {named} names");
}

#[test]
fn every_scenario_of_the_logs_checklist_has_a_test_or_a_reason_why_not() {
    let there = tests();
    let page = page("log-checklist.md");
    let mut classes = 0;
    for class in page.split("\n## ").skip(1) {
        classes += 1;
        let (heading, rest) = class.split_once('\n').unwrap();
        let (_, said) = heading.split_once(": ").unwrap();
        let rows: Vec<&str> = (rest.lines())
            .filter(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(said, format!("{} scenarios", rows.len()), "{heading}");
        for row in rows {
            let (_, proof) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
            let reason = ["does not apply: ", "not yet: "];
            if reason.iter().any(|start| proof.starts_with(start)) {
                continue;
            }
            let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "neither a test nor a reason: {row}");
            for name in names {
                assert!(there.contains(name), "there is no test {name:?}");
            }
        }
    }
    assert!(classes > 0, "no class was found");
}

fn page(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    std::fs::read_to_string(docs.join(name)).unwrap()
}

/// All tests: by name, and as `path::name`.
fn tests() -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    for folder in ["src", "tests"] {
        collect(Path::new(folder), &mut there);
    }
    there
}

/// Names of test functions, and headings of scripts. Paths are relative to the crate, where tests run.
fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !matches!(ending, Some("rs" | "script")) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim_start);
        if ending == Some("script") {
            names.extend(lines.filter_map(|line| Some(line.strip_prefix("# ")?.to_owned())));
            continue;
        }
        while let Some(line) = lines.next() {
            if line != "#[test]" && !line.starts_with("#[tokio::test") {
                continue;
            }
            let function = lines.next().unwrap_or_default();
            let name = function.trim_start_matches("async ").strip_prefix("fn ");
            let name = name.and_then(|rest| rest.split('(').next());
            if let Some(name) = name {
                names.insert(format!("{}::{name}", path.display()));
                names.insert(name.to_owned());
            }
        }
    }
}
