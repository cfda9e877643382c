//! One process of a suite: started in a directory of its own, its output kept, ended in time.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::checks::Checked;

/// How a process ended, and what it left behind.
pub(crate) struct Ended {
    /// The job's name.
    pub(crate) job: String,
    /// The directory that it had for itself.
    pub(crate) dir: PathBuf,
    /// Standard output and standard error, as they came.
    pub(crate) text: String,
    /// None if it was killed because its time was up.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) took: Duration,
}

impl Ended {
    /// Why the process itself failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        match self.status {
            None => Some(format!("it had not ended after {} s", self.took.as_secs())),
            Some(status) if status.success() => None,
            Some(status) => Some(match status.signal() {
                Some(signal) => format!("the process was ended by signal {signal}"),
                None => format!("the process {status}"),
            }),
        }
    }
}

/// Runs `command` with its output in `dir`/output.log.
pub(crate) fn finish(
    job: &str,
    mut command: Command,
    dir: &Path,
    limit: Duration,
) -> Checked<Ended> {
    let log = dir.join("output.log");
    let output = File::create(&log)?;
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Suites behave differently, and mostly do less, where this is set.
        .env_remove("CI")
        .process_group(0)
        .spawn()?;
    let status = wait(&mut child, began + limit)?;
    if status.is_none() {
        kill_group(&mut child)?;
    }
    Ok(Ended {
        job: job.to_owned(),
        dir: dir.to_owned(),
        text: String::from_utf8_lossy(&std::fs::read(&log)?).into_owned(),
        status,
        took: began.elapsed(),
    })
}

fn wait(child: &mut Child, deadline: Instant) -> Checked<Option<ExitStatus>> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}

/// Kills the process and all that it started.
fn kill_group(child: &mut Child) -> Checked {
    let group = format!("-{}", child.id());
    Command::new("kill")
        .args(["-KILL", "--", &group])
        .status()?;
    child.wait()?;
    Ok(())
}
