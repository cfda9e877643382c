//! What there is to run: read from the sources of the tests.

use std::path::Path;

use crate::checks::{Checked, Failure};

/// What one process runs.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Test {
    pub(super) number: String,
    pub(super) scenario: Scenario,
    /// Only the sub-tests whose name contains this.
    pub(super) sub_test: Option<String>,
}

/// How the cluster is configured that a test runs on (`tests/scenarios/`).
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Scenario {
    Default,
    NoAutoCreate,
}

impl Test {
    pub(super) fn name(&self) -> String {
        match (self.scenario, &self.sub_test) {
            (_, Some(sub_test)) => format!("{}-{sub_test}", self.number),
            (Scenario::Default, None) => self.number.clone(),
            (Scenario::NoAutoCreate, None) => format!("{}-noautocreate", self.number),
        }
    }
}

/// Tests whose sub-tests are processes of their own: what follows a sub-test that fails would not be
/// run (0081: ACLs, where there is no authorizer), or all together take more than five minutes.
const SPLIT: &[(&str, &str)] = &[
    ("0081", "0081-admin.c"),
    ("0113", "0113-cooperative_rebalance.cpp"),
];

/// All tests that are run, given the directory of their sources.
pub(super) fn tests(sources: &Path) -> Checked<Vec<Test>> {
    let numbers = numbers(&std::fs::read_to_string(sources.join("test.c"))?);
    if numbers.len() < 50 {
        let count = numbers.len();
        return Err(Failure(format!("tests/test.c lists {count} tests only")));
    }
    let mut tests = Vec::new();
    for test in numbers {
        let Some((_, file)) = SPLIT.iter().find(|(number, _)| *number == test.number) else {
            tests.push(test);
            continue;
        };
        let functions = sub_tests(&std::fs::read_to_string(sources.join(file))?);
        tests.extend(functions.into_iter().map(|function| Test {
            sub_test: Some(function),
            ..test.clone()
        }));
    }
    Ok(tests)
}

/// The numbers that have a test which talks to a broker, from the table in tests/test.c:
/// `_TEST(0045_subscribe_update, 0, TEST_BRKVER(0, 9, 0, 0), .scenario = "noautocreate")`.
fn numbers(test_c: &str) -> Vec<Test> {
    let mut numbers = Vec::new();
    let table = test_c
        .split("struct test tests[]")
        .nth(1)
        .unwrap_or_default();
    let table = table.split("{NULL}").next().unwrap_or_default();
    for entry in table.split("_TEST(").skip(1) {
        let Some((name, rest)) = entry.split_once(',') else {
            continue;
        };
        // No broker or a person is needed, or its authors know that it fails on this system.
        let flags = rest
            .replace("TEST_F_KNOWN_ISSUE_WIN32", "")
            .replace("TEST_F_KNOWN_ISSUE_OSX", "");
        let left_out = ["TEST_F_LOCAL", "TEST_F_MANUAL", "TEST_F_KNOWN_ISSUE"];
        // Some run against a mock of a cluster inside the client.
        if left_out.iter().any(|flag| flags.contains(flag)) || name.ends_with("_mock") {
            continue;
        }
        let test = Test {
            number: name.split('_').next().unwrap_or_default().to_owned(),
            scenario: if rest.contains("\"noautocreate\"") {
                Scenario::NoAutoCreate
            } else {
                Scenario::Default
            },
            sub_test: None,
        };
        if !numbers.contains(&test) {
            numbers.push(test);
        }
    }
    numbers
}

/// The functions that begin with `SUB_TEST(` or `SUB_TEST_QUICK(`.
fn sub_tests(source: &str) -> Vec<String> {
    let mut functions: Vec<String> = Vec::new();
    let mut function = "";
    for line in source.lines() {
        let begins = ["SUB_TEST(", "SUB_TEST_QUICK("];
        if begins
            .iter()
            .any(|word| line.trim_start().starts_with(word))
        {
            if functions.last().is_none_or(|last| last != function) {
                functions.push(function.to_owned());
            }
        } else if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let name = line.split('(').next().unwrap_or_default();
            function = name.rsplit([' ', '*']).next().unwrap_or_default();
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_manual_and_failing_tests_are_not_run_and_each_scenario_is_a_job() {
        let table = "struct test tests[] = {\n {.name = \"<MAIN>\"},\n _TEST(0000_unit, TEST_F_LOCAL,\n _X(1)),\n \
             _TEST(0045_a, 0), _TEST(0045_b, 0, .scenario = \"noautocreate\"),\n _TEST(0045_c, 0),\n \
             _TEST(0047_d, TEST_F_KNOWN_ISSUE), _TEST(0055_e, TEST_F_KNOWN_ISSUE_WIN32),\n \
             _TEST(0066_f, TEST_F_LOCAL | TEST_F_KNOWN_ISSUE_OSX), _TEST(0139_mock, 0),\n _TEST(8000_idle, TEST_F_MANUAL),\n {NULL}};";
        let names: Vec<_> = numbers(table).iter().map(Test::name).collect();
        assert_eq!(names, ["0045", "0045-noautocreate", "0055"]);
    }

    #[test]
    fn a_sub_test_is_a_function_that_says_so() {
        let source = "static int help(int a) {\n  b();\n}\n\nstatic void\ndo_test_a(rd_kafka_t *rk,\n          int v) {\n        \
             SUB_TEST_QUICK(\"%s\", v);\n        SUB_TEST_PASS();\n}\nstatic void do_test_b() {\n  SUB_TEST();\n}\n";
        assert_eq!(sub_tests(source), ["do_test_a", "do_test_b"]);
    }
}
