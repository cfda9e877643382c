//! A broker as a process: started from a command line, measured through /proc, killed as a group.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::wire::Fail;

/// CPU seconds (user and system) used so far by a process and its children, dead threads included, to the
/// nanosecond: an idle process uses less than a tick of /proc.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let clock = |pid: &u32| {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(*pid).ok()?);
        let time = clock_gettime(clock_getcpuclockid(pid).ok()?).ok()?;
        Some(Duration::from(time).as_secs_f64())
    };
    tree(pid).iter().filter_map(clock).sum()
}

/// The share of one core, in percent, that a process and its children use during the next `time`.
pub(crate) fn core_percent(pid: u32, time: Duration) -> f64 {
    let before = cpu_seconds(pid);
    let begin = Instant::now();
    std::thread::sleep(time);
    round((cpu_seconds(pid) - before) / begin.elapsed().as_secs_f64() * 100.0)
}

/// A memory figure of /proc/PID/status ("VmRSS", "VmHWM") in MiB, children included.
pub(crate) fn memory_mib(pid: u32, key: &str) -> f64 {
    let mut kib = 0_u32;
    for pid in tree(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        kib += line
            .and_then(|line| line.trim().split(' ').next()?.parse::<u32>().ok())
            .unwrap_or(0);
    }
    f64::from(kib) / 1024.0
}

fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for task in fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(
                text.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    found
}

/// A running broker; dropped, it is killed.
pub(crate) struct Broker {
    child: Child,
}

impl Broker {
    /// Runs `command` in a shell, in a process group of its own; `%d` is the data directory, `%p` the
    /// port. What it prints goes to `log`.
    pub(crate) fn start(command: &str, data: &Path, port: u16, log: &Path) -> Result<Broker, Fail> {
        let command = command
            .replace("%d", &data.to_string_lossy())
            .replace("%p", &port.to_string());
        let log = fs::File::options().create(true).append(true).open(log);
        let log = log.map_err(|error| format!("log of the broker: {error}"))?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("exec {command}"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{command}: {error}"))?;
        Ok(Broker { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended by itself?
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGTERM to the whole group: waits for a proper end.
    pub(crate) fn stop(&mut self) -> Result<(), Fail> {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.ended() {
            if Instant::now() > deadline {
                return Err("the broker did not stop within a minute".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// SIGKILL to the whole group, and waits.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Figures of a process over the time between `start` and `json`.
pub(crate) struct Meter {
    pid: Option<u32>,
    broker_cpu: f64,
    client_cpu: f64,
}

/// What was done while the meter ran.
pub(crate) struct Work {
    pub(crate) requests: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl Meter {
    pub(crate) fn start(pid: Option<u32>) -> Meter {
        Meter {
            pid,
            broker_cpu: pid.map_or(0.0, cpu_seconds),
            client_cpu: cpu_seconds(std::process::id()),
        }
    }

    /// Rates, and CPU per unit of work.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn json(&self, mode: &str, work: &Work) -> serde_json::Value {
        let client = cpu_seconds(std::process::id()) - self.client_cpu;
        let gigabytes = work.bytes as f64 / 1e9;
        let mut out = serde_json::json!({
            "mode": mode,
            "requests": work.requests,
            "records": work.records,
            "bytes": work.bytes,
            "seconds": round(work.seconds),
            "mb_per_s": round(work.bytes as f64 / 1e6 / work.seconds),
            "records_per_s": round(work.records as f64 / work.seconds),
            "requests_per_s": round(work.requests as f64 / work.seconds),
            "client_s_per_gb": round(client / gigabytes),
        });
        if let Some(pid) = self.pid {
            let broker = cpu_seconds(pid) - self.broker_cpu;
            out["broker_cpu_s"] = round(broker).into();
            out["broker_s_per_gb"] = round(broker / gigabytes).into();
            out["broker_us_per_request"] = round(broker * 1e6 / work.requests as f64).into();
            out["broker_us_per_record"] = round(broker * 1e6 / work.records as f64).into();
            out["broker_rss_mib"] = round(memory_mib(pid, "VmRSS")).into();
            out["broker_hwm_mib"] = round(memory_mib(pid, "VmHWM")).into();
        }
        out
    }
}

/// Four significant digits.
pub(crate) fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "an exponent")]
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}
