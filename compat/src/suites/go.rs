//! What `go test -v` prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Ended, Rows};
use crate::checks::{Checked, Failure};
use crate::results::Outcome;

/// A release of a module, and the checksum of its source as go.sum has it.
pub(super) struct Module {
    pub(super) path: &'static str,
    pub(super) version: &'static str,
    pub(super) sum: &'static str,
}

impl Module {
    /// Where the module cache has the source; it is downloaded if it is missing.
    pub(super) fn source(&self) -> Checked<PathBuf> {
        let name = format!("{}@v{}", self.path, self.version);
        let output = Command::new("go")
            .args(["mod", "download", "-json", &name])
            // Not in a module of ours, whose requirements would be read too.
            .current_dir("/")
            .output()?;
        let answer: Value = serde_json::from_slice(&output.stdout)
            .map_err(|e| Failure(format!("go mod download {name}: {e}")))?;
        let dir = answer["Dir"].as_str().map(PathBuf::from);
        dir.filter(|_| answer["Sum"] == self.sum)
            .ok_or_else(|| Failure(format!("go mod download {name}: {answer}")))
    }
}

/// The top-level tests of a test binary.
pub(super) fn tests(binary: &Path) -> Checked<Vec<String>> {
    let output = Command::new(binary).arg("-test.list=^Test").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tests: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("Test"))
        .map(str::to_owned)
        .collect();
    if tests.is_empty() {
        return Err(Failure(format!("{} lists no test", binary.display())));
    }
    Ok(tests)
}

/// One row for each `--- PASS: TestName/sub (1.20s)`, also of tests within tests.
pub(super) fn rows(ended: &Ended) -> Checked<Rows> {
    let mut said: BTreeMap<&str, String> = BTreeMap::new();
    let mut speaker = "";
    let mut rows = Rows::new();
    for line in ended.text.lines() {
        if let Some((name, word)) = verdict(line) {
            let told = || said.get(name).cloned().unwrap_or_default();
            let outcome = match word {
                "PASS" => Outcome::Passed(1),
                "SKIP" => Outcome::NotApplicable(told()),
                _ => Outcome::Failed(told()),
            };
            rows.push((name.to_owned(), outcome));
        } else if let Some(heading) = line.strip_prefix("=== ") {
            speaker = heading.split_whitespace().nth(1).unwrap_or_default();
        } else if let Some(words) = words(line) {
            let said = said.entry(speaker).or_default();
            // What testify says stands on a line of its own.
            if !said.ends_with(": ") {
                said.clear();
            }
            said.push_str(words);
        }
    }
    Ok(rows)
}

/// What a test logged: `    file_test.go:12: words`, or testify's `        \tError:      \twords`.
fn words(line: &str) -> Option<&str> {
    if let Some(error) = line.trim_start().strip_prefix("Error:") {
        return Some(error.trim());
    }
    let is_log = line.starts_with("    ") && line.contains("_test.go:");
    is_log.then(|| line.trim_start())
}

/// The test's name and PASS, FAIL or SKIP, if the line says how a test ended.
fn verdict(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.trim_start().strip_prefix("--- ")?.split_once(": ")?;
    if !matches!(word, "PASS" | "FAIL" | "SKIP") {
        return None;
    }
    Some((rest.split(" (").next()?, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(text: &str) -> Ended {
        Ended {
            job: "TestA".into(),
            dir: "".into(),
            text: text.into(),
            status: None,
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn tests_within_tests_are_rows_of_their_own() {
        let text = "=== RUN   TestA\n=== RUN   TestA/x\n    a_test.go:7: needs more\n=== RUN   TestA/y\n    \
                    a_test.go:9: \n        \tError Trace:\ta\n        \tError:      \tgot 1\n\
                    --- PASS: TestA (1.00s)\n    --- SKIP: TestA/x (0.00s)\n    --- FAIL: TestA/y (0.00s)\nPASS\n";
        let rows = rows(&ended(text)).unwrap();
        assert_eq!(
            rows,
            [
                ("TestA".to_owned(), Outcome::Passed(1)),
                (
                    "TestA/x".to_owned(),
                    Outcome::NotApplicable("a_test.go:7: needs more".into())
                ),
                (
                    "TestA/y".to_owned(),
                    Outcome::Failed("a_test.go:9: got 1".into())
                ),
            ]
        );
    }
}
