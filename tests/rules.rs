//! docs/rules.md names only tests that exist.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "this test reads the sources, not a broker's data, and fails if it cannot"
)]

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_test_that_the_page_of_rules_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut there = BTreeSet::new();
    for folder in ["src", "tests"] {
        collect(&root.join(folder), &mut there);
    }
    let page = std::fs::read_to_string(root.join("docs/rules.md")).unwrap();
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

/// Names of test functions, and headings of scripts.
fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim_start);
        if path.extension().is_some_and(|ending| ending == "script") {
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
            names.extend(name.map(str::to_owned));
        }
    }
}
