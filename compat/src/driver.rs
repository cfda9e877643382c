//! One running client program. It reads one JSON request a line and answers one JSON line; see
//! compat/README.md for the operations.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checks::{Checked, Failure};

/// How to start a client program; the broker's address is appended.
#[derive(Debug, Clone)]
pub(crate) struct DriverCommand {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

pub(crate) struct Driver {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    next_id: u64,
}

/// What a client answered to one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Ok(Value),
    /// Kafka's error code where the client gave one, and the client's own words.
    Error {
        code: Option<i64>,
        message: String,
    },
}

impl Driver {
    /// Starts the program; its standard error is appended to `log`.
    pub(crate) fn start(
        command: &DriverCommand,
        bootstrap: &str,
        log: &PathBuf,
    ) -> Checked<Driver> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)?;
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .arg(bootstrap)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|e| Failure(format!("cannot start {}: {e}", command.program.display())))?;
        let stdin = child
            .stdin
            .take()
            .ok_or_else(|| Failure("no standard input".into()))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failure("no standard output".into()))?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Driver {
            child,
            stdin,
            lines,
            next_id: 1,
        })
    }

    /// Sends a request and waits for its answer; `on_event` sees the progress lines before it.
    pub(crate) fn call(
        &mut self,
        op: &str,
        mut args: Value,
        timeout: Duration,
        mut on_event: impl FnMut(&Value),
    ) -> Checked<Reply> {
        let id = self.next_id;
        self.next_id += 1;
        args["id"] = json!(id);
        args["op"] = json!(op);
        let deadline = Instant::now() + timeout;
        writeln!(self.stdin, "{args}")
            .and_then(|()| self.stdin.flush())
            .map_err(|_| Failure(format!("the client program ended before {op}")))?;
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(wait) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = timeout.as_secs();
                    return Err(Failure(format!("{op} had no answer within {seconds} s")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure(format!("the client program ended during {op}")));
                }
            };
            // Some clients print notices of their own; only JSON objects with our id are answers.
            let Ok(answer) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            if answer["id"] != json!(id) {
                continue;
            }
            if answer.get("event").is_some() {
                on_event(&answer);
                continue;
            }
            if answer["ok"] == json!(true) {
                return Ok(Reply::Ok(answer));
            }
            let message = answer["message"]
                .as_str()
                .unwrap_or("no message")
                .to_owned();
            return Ok(Reply::Error {
                code: answer["code"].as_i64(),
                message,
            });
        }
    }

    /// Ends the program at once, as a crash of the client would.
    pub(crate) fn kill(mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
