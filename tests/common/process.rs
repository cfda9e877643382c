//! The binary in a process of its own.

use super::client::Client;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use tokio::net::TcpStream;

/// The binary, without the variables of whoever runs the tests.
pub(crate) fn ottla() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_ottla")))
}

/// `command` without the variables that the binary and the image's script read.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("KAFKA_") || matches!(&*name, "OTTLA_LOG" | "RUST_LOG" | "CLUSTER_ID") {
            command.env_remove(name);
        }
    }
    command
}

/// A process that was started; killed when the test ends, however it ends.
pub(crate) struct Running {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Standard error goes where `command` says.
    pub(crate) fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended: {}", self.log());
        line.trim_end().to_owned()
    }

    /// The ready line, as JSON.
    pub(crate) fn ready(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end; the exit code, and all that it logged where its standard error is a pipe.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let log = self.log();
        (self.child.wait().unwrap().code(), log)
    }

    fn log(&mut self) -> String {
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker that serves.
pub(crate) struct Broker {
    running: Running,
    bootstrap: String,
}

impl Broker {
    /// Starts on `data`, with settings as `KEY=VALUE`.
    pub(crate) fn start(data: &Path, settings: &[&str]) -> Broker {
        Broker::run(ottla(), data, settings)
    }

    /// Starts on `data`; it may open so many files at a time, connections and all.
    pub(crate) fn start_within(open_files: u32, data: &Path) -> Broker {
        let mut command = clean(Command::new("sh"));
        command.args(["-c", "ulimit -n \"$0\" && exec \"$@\""]);
        command.args([&open_files.to_string(), env!("CARGO_BIN_EXE_ottla")]);
        Broker::run(command, data, &[])
    }

    fn run(mut command: Command, data: &Path, settings: &[&str]) -> Broker {
        command.args(["run", "--listen", "127.0.0.1:0", "--log", "error"]);
        command.arg("--data").arg(data);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut running = Running::start(&mut command);
        let bootstrap = running.ready()["bootstrap"].as_str().unwrap().to_owned();
        Broker { running, bootstrap }
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client::to(&self.bootstrap).await
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(self) {
        drop(self.running);
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(self) {
        self.running.signal("TERM");
        assert_eq!(self.running.ended().0, Some(0));
    }
}
