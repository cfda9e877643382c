//! What librdkafka's test runner prints.

use std::collections::BTreeMap;

use crate::checks::Checked;
use crate::results::Outcome;
use crate::suites::{Ended, Rows};

/// The summary that ends a run has a line for each test: `|\e[32m 0001_multiobj | PASSED | 1.2s
/// \e[0m| reason`. Sub-tests are rows of their own, so that one that fails does not hide the others.
pub(super) fn rows(ended: &Ended) -> Checked<Rows> {
    let text = without_colours(&ended.text);
    let mut rows = Rows::new();
    let mut passed: BTreeMap<String, u32> = BTreeMap::new();
    for name in text.lines().filter_map(sub_test) {
        *passed.entry(name).or_default() += 1;
    }
    let sub_tests = passed.into_iter();
    rows.extend(sub_tests.map(|(name, times)| (name, Outcome::Passed(times))));
    for line in text.lines() {
        let mut columns = line.splitn(5, '|').skip(1).map(str::trim);
        let (Some(name), Some(state), Some(_), Some(why)) = (
            columns.next(),
            columns.next(),
            columns.next(),
            columns.next(),
        ) else {
            continue;
        };
        let outcome = match state {
            "PASSED" if name == "<MAIN>" => continue,
            "PASSED" => Outcome::Passed(1),
            "FAILED" | "RUNNING" => Outcome::Failed(why.to_owned()),
            // Those of other scenarios give no reason.
            "SKIPPED" if why.is_empty() || why.starts_with("Filtered due to") => continue,
            "SKIPPED" => Outcome::NotApplicable(why.to_owned()),
            _ => continue,
        };
        if let (Outcome::Failed(why), Some(sub_test)) = (&outcome, failed_in(name, why)) {
            rows.push((sub_test, Outcome::Failed(why.clone())));
        }
        // Of a job that is one sub-test, the test as a whole says nothing.
        if !is_split(&ended.job) {
            rows.push((name.to_owned(), outcome));
        }
    }
    Ok(rows)
}

/// Whether the job is a sub-test of a test: `0081-do_test_x`, but not `0045-noautocreate`.
fn is_split(job: &str) -> bool {
    job.contains('-') && !job.ends_with("-noautocreate")
}

/// The name of the sub-test that has passed, if the line says so:
/// `[0081_admin  /  1.234s] [ do_test_x:12: words: PASS (0.10s) ]`.
fn sub_test(line: &str) -> Option<String> {
    let (test, rest) = line.strip_prefix('[')?.split_once('/')?;
    let (_, rest) = rest.split_once("] [ ")?;
    let (sub_test, _) = rest.rsplit_once(": PASS (")?;
    Some(without_line(test.trim(), sub_test))
}

/// The name of the sub-test that failed, if the reason begins with one:
/// `do_test_x:12: words: helper():34: got 1`.
fn failed_in(test: &str, why: &str) -> Option<String> {
    let (before, _) = why.split_once("():")?;
    let (sub_test, _) = before.rsplit_once(": ")?;
    Some(without_line(test, sub_test))
}

/// `0081_admin/do_test_x: words` for the sub-test `do_test_x:12: words`.
fn without_line(test: &str, sub_test: &str) -> String {
    let (function, rest) = sub_test.split_once(':').unwrap_or((sub_test, ""));
    match rest.split_once(": ") {
        Some((_, words)) => format!("{test}/{function}: {words}"),
        None => format!("{test}/{function}"),
    }
}

/// The text without terminal escapes.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut plain, part| {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_and_the_sub_tests_that_passed_are_rows() {
        let text = "\u{1b}[36m[0081_admin                  /  0.001s] \u{1b}[32m[ do_x:1: PASS (0.01s) ]\n\u{1b}[0m\
             [0081_admin                  /  0.001s] [ do_y:1: SKIP: no ]\n\
             [0081_admin                  /  0.001s] [ do_x:1: PASS (0.01s) ]\n\
             [0081_admin                  /  0.001s] [ do_z:1: a: b: PASS (0.01s) ]\n\
             |\u{1b}[32m <MAIN>                                   |     PASSED |   1.000s \u{1b}[0m|\n\
             |\u{1b}[32m 0081_admin                               |     PASSED |   1.000s \u{1b}[0m|\n\
             |\u{1b}[31m 0082_a                                   |     FAILED |   1.000s \u{1b}[0m| f():3: got | 7\n\
             |\u{1b}[36m 0083_b                                   |    SKIPPED |   1.000s \u{1b}[0m| needs more\n\
             |\u{1b}[36m 0083_c                                   |    SKIPPED |   0.000s \u{1b}[0m|\n";
        let ended = ended("0081", text);
        assert_eq!(
            rows(&ended).unwrap(),
            [
                ("0081_admin/do_x".to_owned(), Outcome::Passed(2)),
                ("0081_admin/do_z: a: b".to_owned(), Outcome::Passed(1)),
                ("0081_admin".to_owned(), Outcome::Passed(1)),
                (
                    "0082_a".to_owned(),
                    Outcome::Failed("f():3: got | 7".into())
                ),
                (
                    "0083_b".to_owned(),
                    Outcome::NotApplicable("needs more".into())
                ),
            ]
        );
    }

    #[test]
    fn a_failure_is_a_row_of_the_sub_test_it_happened_in() {
        let why = "do_x:12: a, b: c: helper():34: got f():1";
        let text = format!("|0081_admin | FAILED | 1.0s | {why}\n");
        let failed = Outcome::Failed(why.into());
        let row = ("0081_admin/do_x: a, b: c".to_owned(), failed.clone());
        let split = rows(&ended("0081-do_x", &text)).unwrap();
        assert_eq!(split, std::slice::from_ref(&row));
        let whole = rows(&ended("0081", &text)).unwrap();
        assert_eq!(whole, [row, ("0081_admin".to_owned(), failed)]);
    }

    fn ended(job: &str, text: &str) -> Ended {
        Ended {
            job: job.into(),
            dir: "".into(),
            text: text.into(),
            status: None,
            took: std::time::Duration::ZERO,
        }
    }
}
