//! Suites that are published as crates: where cargo keeps the source of a pinned crate, the test
//! binaries built from it, one process for each of their tests, and what it prints.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Company, Ended, Job, Rows};
use crate::broker::Settings;
use crate::checks::{Checked, Failure};
use crate::clients::{Places, once, run};
use crate::results::Outcome;

/// A crate whose integration tests are a suite.
pub(super) struct Crate {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The manifest below `compat/` that pins it.
    pub(super) pins: &'static str,
    /// What has to be changed to build it, a file below `compat/`.
    pub(super) patch: Option<&'static str>,
    pub(super) broker: &'static Settings,
    /// The variable of the environment that tells the tests the broker's address.
    pub(super) address: &'static str,
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// For each test.
    pub(super) limit: Duration,
}

impl Crate {
    /// One job for each test.
    pub(super) fn jobs(&'static self, places: &Places) -> Checked<Vec<Job>> {
        let mut source = source(&places.sources.join(self.pins), self.name, self.version)?;
        let home = places.suite(self.name)?;
        if let Some(patch) = self.patch {
            source = patched(&source, &places.sources.join(patch), &home)?;
        }
        let mut jobs = Vec::new();
        for (file, binary) in test_binaries(&source, &home)? {
            for test in tests(&binary)? {
                jobs.push(self.job(format!("{file}::{test}"), test, binary.clone()));
            }
        }
        Ok(jobs)
    }

    fn job(&'static self, name: String, test: String, binary: PathBuf) -> Job {
        Job {
            name,
            broker: self.broker,
            command: Box::new(move |bootstrap, dir| {
                let mut command = Command::new(&binary);
                command
                    .args(["--exact", &test, "--nocapture"])
                    .envs(self.environment.iter().copied())
                    .env(self.address, bootstrap)
                    .current_dir(dir);
                Ok(command)
            }),
            read: row,
            limit: self.limit,
            company: Company::Others,
        }
    }
}

/// The source of crate `name` as the lock file beside `manifest` pins it; fetches what is missing.
pub(super) fn source(manifest: &Path, name: &str, version: &str) -> Checked<PathBuf> {
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure(format!(
            "cargo metadata of {}: {text}",
            manifest.display()
        )));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| Failure(format!("cargo metadata of {}: {e}", manifest.display())))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages
        .filter(|package| package["name"] == name && package["version"] == version)
        .find_map(|package| Path::new(package["manifest_path"].as_str()?).parent());
    found.map(Path::to_owned).ok_or_else(|| {
        Failure(format!(
            "{} does not pin {name} {version}",
            manifest.display()
        ))
    })
}

/// A copy of the crate in `source`, below `home`, with `patch`.
fn patched(source: &Path, patch: &Path, home: &Path) -> Checked<PathBuf> {
    let copy = home.join("source");
    let inputs = [source.join("Cargo.lock"), patch.to_owned()];
    once(&home.join("patched"), &inputs, || {
        if copy.exists() {
            std::fs::remove_dir_all(&copy)?;
        }
        run(Command::new("cp").arg("-r").arg(source).arg(&copy))?;
        run(Command::new("patch")
            .args(["--quiet", "--strip=0", "--input"])
            .arg(patch)
            .current_dir(&copy))
    })?;
    Ok(copy)
}

/// Builds the integration tests of the crate in `source`, and answers name and path of each binary.
fn test_binaries(source: &Path, target: &Path) -> Checked<Vec<(String, PathBuf)>> {
    let output = Command::new("cargo")
        .args(["test", "--no-run", "--locked", "--test", "*"])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(source.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target)
        // Warnings of a crate that is not ours are nobody's business here.
        .env("RUSTFLAGS", "--cap-lints=allow -Cdebuginfo=0")
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure(format!(
            "{} does not build: {text}",
            source.display()
        )));
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let binary = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?.into();
        Some((message["target"]["name"].as_str()?.to_owned(), path))
    };
    Ok(messages.lines().filter_map(binary).collect())
}

/// The names of the tests in a binary.
fn tests(binary: &Path) -> Checked<Vec<String>> {
    let output = Command::new(binary)
        .args(["--list", "--format", "terse"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tests = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(tests.map(str::to_owned).collect())
}

/// The one row of a process that runs one test: `test result: ok. 1 passed; 0 failed; 0 ignored`.
fn row(ended: &Ended) -> Checked<Rows> {
    let result = ended
        .text
        .lines()
        .find_map(|line| line.split_once("test result: ").map(|(_, result)| result));
    let outcome = match result {
        Some(result) if result.starts_with("ok. 1 passed") => Outcome::Passed(1),
        Some(result) if result.contains("1 ignored") => {
            Outcome::NotApplicable("it is marked to be ignored".into())
        }
        _ => Outcome::Failed(
            panic(&ended.text)
                .or_else(|| ended.failure())
                .unwrap_or_else(|| "no test was run".into()),
        ),
    };
    Ok(vec![(ended.job.clone(), outcome)])
}

/// Where the test panicked and what it said: `thread 'x' panicked at tests/a.rs:7:9:` and a line.
fn panic(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let (_, place) = lines.find_map(|line| line.split_once(" panicked at "))?;
    Some(format!("{place} {}", lines.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outcome {
        let ended = Ended {
            job: "a::b".into(),
            dir: "".into(),
            text: text.into(),
            status: None,
            took: std::time::Duration::ZERO,
        };
        row(&ended).unwrap().remove(0).1
    }

    #[test]
    fn only_a_test_that_ran_has_passed() {
        let line = "test b ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n";
        assert_eq!(read(line), Outcome::Passed(1));
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n";
        assert!(matches!(read(none), Outcome::Failed(_)));
        let ignored = "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured\n";
        assert!(matches!(read(ignored), Outcome::NotApplicable(_)));
    }

    #[test]
    fn a_failure_names_the_place_and_what_was_said() {
        let text = "thread 'b' (7) panicked at tests/a.rs:7:9:\nassertion failed\ntest result: FAILED. 0 passed\n";
        let want = Outcome::Failed("tests/a.rs:7:9: assertion failed".into());
        assert_eq!(read(text), want);
    }
}
