//! kafka-python: the integration tests in its source distribution, one process for each.

use std::process::Command;
use std::time::Duration;

use super::{Company, Ended, Fast, Job, Rows, Suite, Wait};
use crate::broker::Settings;
use crate::checks::{Checked, Failure};
use crate::clients::{Places, install_python, once, run};
use crate::results::Outcome;

pub(super) const SUITE: Suite = Suite {
    name: "kafka-python",
    version: "3.0.12",
    from: "PyPI, kafka-python, test/integration",
    prepare,
    port: None,
    waits: &[Wait {
        test: "test_producer_integration.py::test_transactional_producer_*",
        feature: "transactions",
        reason: "it produces in a transaction",
    }],
    unsteady: &[],
    fast: Fast::All,
};

/// As the tests configure the brokers that they start themselves (servers/4.0.0).
const BROKER: &Settings = &[
    ("node.id", "0"),
    ("num.partitions", "4"),
    ("offsets.topic.num.partitions", "2"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.initial.rebalance.delay.ms", "0"),
];

const LIMIT: Duration = Duration::from_secs(120);

fn prepare(places: &Places) -> Checked<Vec<Job>> {
    let pins = places.sources.join("suites/kafka-python");
    let requirements = pins.join("requirements.txt");
    let home = places.suite(SUITE.name)?;
    let python = install_python(&home.join("venv"), &requirements)?;
    let source = home.join(format!("kafka_python-{}", SUITE.version));
    // The distribution lacks the module that starts Kafka's processes, which other modules import.
    let service = pins.join("service.py");
    once(
        &home.join("unpacked"),
        &[requirements, service.clone()],
        || {
            let archive = format!("kafka_python-{}.tar.gz", SUITE.version);
            run(Command::new(&python)
                .args([
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--no-build-isolation",
                ])
                .args(["--no-binary", "kafka-python", "--dest"])
                .arg(&home)
                .arg(format!("kafka-python=={}", SUITE.version)))?;
            run(Command::new("tar")
                .args(["-xzf", &archive])
                .current_dir(&home))?;
            std::fs::copy(&service, source.join("test/service.py"))?;
            // Without it, `test` is Python's own package of that name.
            std::fs::write(source.join("test/__init__.py"), "")?;
            Ok(())
        },
    )?;
    let pytest = move |tests: &str| {
        let mut command = Command::new(&python);
        command
            .args(["-B", "-m", "pytest", "-p", "no:cacheprovider", tests])
            .env("KAFKA_VERSION", "4.3.1")
            // It looks for Kafka's scripts in this directory when it starts brokers itself.
            .env("KAFKA_ROOT", &home)
            .current_dir(&source);
        command
    };
    let listed = tests(pytest("test/integration"))?;
    let job = |name: String| {
        let (pytest, test) = (pytest.clone(), name.clone());
        Job {
            name: name.replace("test/integration/", "").replace('/', "_"),
            broker: BROKER,
            command: Box::new(move |bootstrap, dir| {
                let mut command = pytest(&test);
                let report = dir.join("report.xml");
                command
                    .arg(format!("--junit-xml={}", report.display()))
                    .env("KAFKA_URI", format!("kafka://{bootstrap}"));
                Ok(command)
            }),
            read: row,
            limit: LIMIT,
            company: Company::Others,
        }
    };
    Ok(listed.into_iter().map(job).collect())
}

/// The tests that pytest finds, by their ids.
fn tests(mut pytest: Command) -> Checked<Vec<String>> {
    let output = pytest.args(["--collect-only", "--quiet"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tests: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("test/") && line.contains("::"))
        .map(str::to_owned)
        .collect();
    if !output.status.success() || tests.is_empty() {
        return Err(Failure(format!("pytest finds no test: {text}")));
    }
    Ok(tests)
}

/// The one row of a process that runs one test, from the report that pytest writes when it ends.
fn row(ended: &Ended) -> Checked<Rows> {
    let report = std::fs::read_to_string(ended.dir.join("report.xml")).unwrap_or_default();
    let outcome = outcome(&report).unwrap_or_else(|| {
        let error = error(&ended.text).map(str::to_owned);
        Outcome::Failed(error.or_else(|| ended.failure()).unwrap_or_default())
    });
    Ok(vec![(ended.job.clone(), outcome)])
}

/// How the one test ended: `<testsuite errors="0" failures="0" skipped="1" tests="1">` and
/// `<skipped type="pytest.skip" message="why">`. None if it failed.
fn outcome(report: &str) -> Option<Outcome> {
    let (_, suite) = report.split_once("<testsuite ")?;
    let count = |name: &str| attribute(suite, name)?.parse().ok();
    match (
        count("tests"),
        count("errors"),
        count("failures"),
        count("skipped"),
    ) {
        (Some(1), Some(0), Some(0), Some(0)) => Some(Outcome::Passed(1)),
        (Some(1), Some(0), Some(0), Some(1)) => {
            let (_, skipped) = suite.split_once("<skipped ")?;
            let why = attribute(skipped, "message").unwrap_or_default();
            Some(Outcome::NotApplicable(why.replace("&lt;", "<")))
        }
        _ => None,
    }
}

/// The value of the first `name="value"`.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = element.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

/// The first line that pytest marks as an error: `E   AssertionError: words`.
fn error(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("E  "))?;
    Some(line.trim_start_matches('E').trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(counts: &str) -> String {
        format!("<testsuites name=\"a\"><testsuite name=\"pytest\" {counts} time=\"1\"><testcase/>")
    }

    #[test]
    fn a_test_has_passed_if_it_was_run_without_an_error() {
        let passed = report(r#"errors="0" failures="0" skipped="0" tests="1""#);
        assert_eq!(outcome(&passed), Some(Outcome::Passed(1)));
        for failed in [
            r#"errors="1" failures="0" skipped="0" tests="1""#,
            r#"errors="0" failures="1" skipped="0" tests="1""#,
            r#"errors="0" failures="0" skipped="0" tests="0""#,
            "",
        ] {
            assert_eq!(outcome(&report(failed)), None);
        }
    }

    #[test]
    fn a_skip_gives_its_reason_and_a_failure_its_first_error() {
        let skipped = report(r#"errors="0" failures="0" skipped="1" tests="1""#);
        let skipped = skipped + r#"<skipped type="pytest.skip" message="needs &lt; 2">"#;
        let want = Outcome::NotApplicable("needs < 2".into());
        assert_eq!(outcome(&skipped), Some(want));
        let text = "x\nE   AssertionError: got 1\nE   more\n";
        assert_eq!(error(text), Some("AssertionError: got 1"));
    }
}
