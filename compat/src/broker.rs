//! The brokers the suite runs against: ours and Apache Kafka. Both are plain processes that are
//! started on a directory, stopped with SIGTERM, killed, and started again on the same port.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::checks::{Checked, Failure};

/// Which broker, and what is needed to start it.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Ottla {
        binary: PathBuf,
    },
    /// The directory that compat/kafka/setup.sh filled.
    Kafka {
        home: PathBuf,
    },
}

/// Tells a job of a suite the kind of its broker, for one that needs a second: `ottla` or `kafka`, a space, a path.
const KIND: &str = "OTTLA_COMPAT_BROKER";

impl Kind {
    /// The variable of a job's environment that [`Kind::of_this_job`] reads.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        let value = match self {
            Kind::Ottla { binary } => format!("ottla {}", binary.display()),
            Kind::Kafka { home } => format!("kafka {}", home.display()),
        };
        (KIND, value)
    }

    pub(crate) fn of_this_job() -> Checked<Kind> {
        let value = std::env::var(KIND).unwrap_or_default();
        match value.split_once(' ') {
            Some(("ottla", binary)) => Ok(Kind::Ottla {
                binary: binary.into(),
            }),
            Some(("kafka", home)) => Ok(Kind::Kafka { home: home.into() }),
            _ => Err(Failure(
                "the broker is not one that can be started again".into(),
            )),
        }
    }
}

/// Configuration keys and values, over what every run sets. `DATA` in a value stands for the data directory.
pub(crate) type Settings = [(&'static str, &'static str)];

/// A second log directory beside the first.
pub(crate) const TWO_LOG_DIRS: (&str, &str) = ("log.dirs", "DATA,DATA-2");

/// How a broker is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGTERM, then waiting for the process.
    Stop,
    /// SIGKILL.
    Kill,
}

/// A broker that this run started.
pub(crate) struct Broker {
    kind: Kind,
    settings: &'static Settings,
    dir: PathBuf,
    port: u16,
    controller_port: u16,
    child: Option<Child>,
}

/// Longest start we wait for: a JVM on a busy machine that first recovers its log.
const START_SECONDS_MAX: u64 = 120;
/// Longest controlled shutdown we wait for.
const STOP_SECONDS_MAX: u64 = 60;

impl Broker {
    /// Starts a broker on an empty directory and a free port, and waits until it serves.
    pub(crate) fn start(kind: Kind, dir: &Path) -> Checked<Broker> {
        Broker::start_with(kind, &[], None, dir)
    }

    /// The same, with other settings than a user's first broker has, and on this port.
    pub(crate) fn start_with(
        kind: Kind,
        settings: &'static Settings,
        port: Option<u16>,
        dir: &Path,
    ) -> Checked<Broker> {
        let mut broker = Broker::prepare(kind, settings, port, dir)?;
        if let Kind::Kafka { home } = &broker.kind {
            broker.format_kafka(home)?;
        }
        broker.resume()?;
        Ok(broker)
    }

    /// The same on a directory that the tool of the Apache Kafka in `home` has formatted.
    pub(crate) fn start_formatted(
        home: PathBuf,
        kind: Kind,
        settings: &'static Settings,
        dir: &Path,
    ) -> Checked<Broker> {
        let kafka = Kind::Kafka { home: home.clone() };
        let mut broker = Broker::prepare(kafka, settings, None, dir)?;
        broker.format_kafka(&home)?;
        broker.hand_to(kind)?;
        Ok(broker)
    }

    fn prepare(
        kind: Kind,
        settings: &'static Settings,
        port: Option<u16>,
        dir: &Path,
    ) -> Checked<Broker> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        let (free, controller_port) = match &kind {
            Kind::Ottla { .. } => (0, 0),
            Kind::Kafka { .. } => (free_port()?, free_port()?),
        };
        Ok(Broker {
            kind,
            settings,
            dir: dir.to_owned(),
            port: port.unwrap_or(free),
            controller_port,
            child: None,
        })
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the partition directories are.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts the process again after [`Broker::end`], on the same directory and port.
    pub(crate) fn resume(&mut self) -> Checked {
        let mut child = self
            .command()?
            .spawn()
            .map_err(|e| Failure(format!("cannot start the broker with {:?}: {e}", self.kind)))?;
        let started = match &self.kind {
            Kind::Ottla { .. } => ready_line(&mut child).map(|port| self.port = port),
            Kind::Kafka { .. } => answers_metadata(&mut child, self.port),
        };
        self.child = Some(child);
        started.map_err(|Failure(why)| {
            let log = self.dir.join("broker.log");
            Failure(format!(
                "the broker did not start: {why}; see {}",
                log.display()
            ))
        })
    }

    /// Starts another kind of broker on the directory and the port, after [`Broker::end`].
    pub(crate) fn hand_to(&mut self, kind: Kind) -> Checked {
        self.kind = kind;
        self.resume()
    }

    /// Ends the process and waits until it is gone. A stop must end with exit code 0 (Kafka's
    /// process ends with 143, the JVM's answer to SIGTERM).
    pub(crate) fn end(&mut self, how: End) -> Checked {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if how == End::Kill {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        let signalled = Command::new("kill").arg(child.id().to_string()).status()?;
        if !signalled.success() {
            return Err(Failure("the broker was gone before it was stopped".into()));
        }
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        loop {
            if let Some(status) = child.try_wait()? {
                let want = match self.kind {
                    Kind::Ottla { .. } => 0,
                    Kind::Kafka { .. } => 143,
                };
                return match status.code() {
                    Some(code) if code == want => Ok(()),
                    _ => Err(Failure(format!("SIGTERM ended the broker with {status}"))),
                };
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                return Err(Failure(format!(
                    "the broker was still running {STOP_SECONDS_MAX} s after SIGTERM"
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self) -> Checked<Command> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("broker.log"))?;
        match &self.kind {
            Kind::Ottla { binary } => {
                let mut command = Command::new(binary);
                command
                    .arg("run")
                    .args(["--listen", &format!("127.0.0.1:{}", self.port)])
                    .arg("--data")
                    .arg(self.data_dir())
                    .stdout(Stdio::piped())
                    .stderr(log);
                for (key, value) in self.settings() {
                    command.arg("--set").arg(format!("{key}={value}"));
                }
                Ok(command)
            }
            Kind::Kafka { home } => {
                let mut command = java(home);
                command
                    .args(["-Xms512m", "-Xmx1g", "-XX:+UseG1GC"])
                    .arg("kafka.Kafka")
                    .arg(self.dir.join("server.properties"))
                    .stdout(log.try_clone()?)
                    .stderr(log);
                Ok(command)
            }
        }
    }

    fn settings(&self) -> impl Iterator<Item = (&'static str, String)> {
        let data = self.data_dir().display().to_string();
        (self.settings.iter()).map(move |(key, value)| (*key, value.replace("DATA", &data)))
    }

    fn format_kafka(&self, home: &Path) -> Checked {
        let (port, controller) = (self.port, self.controller_port);
        let properties = self.dir.join("server.properties");
        let settings: String = (self.settings())
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        std::fs::write(
            &properties,
            format!(
                "process.roles=broker,controller\n\
                 node.id=1\n\
                 controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
                 listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
                 controller.listener.names=CONTROLLER\n\
                 offsets.topic.replication.factor=1\n\
                 share.coordinator.state.topic.replication.factor=1\n\
                 share.coordinator.state.topic.min.isr=1\n\
                 transaction.state.log.replication.factor=1\n\
                 transaction.state.log.min.isr=1\n\
                 log.dirs={}\n\
                 {settings}",
                self.data_dir().display()
            ),
        )?;
        let output = java_tool(home)
            .args(["kafka.tools.StorageTool", "format", "--standalone"])
            .args(["-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"])
            .arg(&properties)
            .output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Failure(format!("kafka-storage format failed: {text}")));
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A JVM for something short-lived: it compiles fast and collects simply.
pub(crate) fn java_tool(home: &Path) -> Command {
    let mut command = java(home);
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"]);
    command
}

/// [`java_tool`] with these arguments, `input` on its standard input and its output in pipes; ended after `longest`.
pub(crate) fn start_tool(
    home: &Path,
    longest: Duration,
    args: &[&str],
    dir: &Path,
    input: &str,
) -> Checked<Child> {
    let java = java_tool(home);
    let mut child = Command::new("timeout")
        .arg(longest.as_secs().to_string())
        .arg(java.get_program())
        .args(java.get_args())
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    Ok(child)
}

/// A JVM with Kafka's jars on its class path and its logs, from WARN, on standard error.
pub(crate) fn java(home: &Path) -> Command {
    let mut command = Command::new("java");
    command
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            home.join("log4j2.yaml").display()
        ))
        .arg("-cp")
        .arg(format!(
            "{}/classes:{}/libs/*",
            home.display(),
            home.display()
        ));
    command
}

pub(crate) fn free_port() -> Checked<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Reads the first line on standard output: one JSON object with `ready` and `bootstrap`.
fn ready_line(child: &mut Child) -> Checked<u16> {
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| Failure("no standard output".into()))?;
    let (sender, first) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        drop(reader.read_line(&mut line));
        drop(sender.send(line));
        // Keeps the pipe empty for as long as the broker lives.
        drop(std::io::copy(&mut reader, &mut std::io::sink()));
    });
    let line = first
        .recv_timeout(Duration::from_secs(START_SECONDS_MAX))
        .map_err(|_| Failure("no ready line on standard output".into()))?;
    let ready: Value = serde_json::from_str(&line)
        .map_err(|e| Failure(format!("the first line is not JSON ({e}): {line:?}")))?;
    for key in ["ready", "bootstrap", "cluster_id", "node_id", "pid"] {
        if ready.get(key).is_none() {
            return Err(Failure(format!("the ready line has no {key}: {line}")));
        }
    }
    let bootstrap = ready["bootstrap"].as_str().unwrap_or_default();
    let port = bootstrap
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    port.ok_or_else(|| Failure(format!("the ready line's bootstrap has no port: {line}")))
}

/// Waits until a Metadata request (version 1, no topics) is answered with a broker in it.
fn answers_metadata(child: &mut Child, port: u16) -> Checked {
    const REQUEST: &[u8] = b"\0\0\0\x0f\0\x03\0\x01\0\0\0\x01\0\x01x\0\0\0\0";
    let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Err(Failure(format!("it ended with {status}")));
        }
        let ask = || -> std::io::Result<[u8; 12]> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(REQUEST)?;
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            Ok(head)
        };
        if ask().is_ok_and(|head| head[8..12] != [0, 0, 0, 0]) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failure(format!(
        "no answer to Metadata within {START_SECONDS_MAX} s"
    )))
}
