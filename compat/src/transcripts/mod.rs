//! Kafka's command line tools against Apache Kafka, written down: commands, exit codes and what they
//! print. A transcript in `compat/transcripts/` is made on Apache Kafka; the same commands must do
//! the same on Ottla. Each transcript has a broker of its own, so that what lists everything can be
//! compared too.
//!
//! A command is a tool with its arguments, and perhaps a pipe through the shell; or one of these:
//!
//! - `until WORD TOOL …` runs the tool again until its output has the word.
//! - `start NAME TOOL …` runs the tool beside the commands that follow; `stop NAME [WORD]` ends it
//!   with SIGTERM, once its output has the word, and gives its output. `stop broker` ends the broker.
//! - `write FILE` writes its input lines to a file; `DATA` in them, too, stands for the data directory.

mod jvm;
mod normal;
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::broker::{Broker, End, Kind, Settings, TWO_LOG_DIRS};
use crate::checks::{Checked, Failure};
use crate::clients::Places;
use jvm::{Process, Raw, Shared};
use script::{Output, Step};

/// One transcript: `compat/transcripts/<name>.txt`.
pub(crate) struct Transcript {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// What the broker is started with.
    settings: &'static Settings,
}

/// Whether a run compares with the transcripts or writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Compare,
    Record,
}

/// A group's first rebalance does not wait for more members.
const PROMPT_GROUPS: &Settings = &[("group.initial.rebalance.delay.ms", "0")];

/// The same, with two log directories: `DATA` and `DATA-2`.
const TWO_DIRECTORIES: &Settings = &[PROMPT_GROUPS[0], TWO_LOG_DIRS];

const fn transcript(name: &'static str, about: &'static str) -> Transcript {
    Transcript {
        name,
        about,
        settings: PROMPT_GROUPS,
    }
}

pub(crate) const TRANSCRIPTS: &[Transcript] = &[
    transcript(
        "kafka-topics",
        "creates, lists, describes, alters and deletes",
    ),
    transcript(
        "kafka-configs",
        "of topics, brokers, groups and client metrics; kafka-client-metrics",
    ),
    transcript(
        "kafka-console",
        "records written, read, and dumped from disk",
    ),
    transcript("kafka-consumer-groups", "every sub command; kafka-groups"),
    transcript(
        "kafka-log-dirs",
        "offsets, deleted records, directories, reassignments, what is on disk",
    ),
    Transcript {
        name: "kafka-reassign-directories",
        about: "replicas moved between two log directories",
        settings: TWO_DIRECTORIES,
    },
    transcript(
        "kafka-cluster",
        "ids, versions, features, quorum, elections, transactions",
    ),
    transcript(
        "kafka-perf-test",
        "throughput, latency, verifiable clients, replica verification",
    ),
];

/// The names of the tools, and their classes.
const TOOLS: &[(&str, &str)] = &[
    (
        "kafka-broker-api-versions",
        "org.apache.kafka.tools.BrokerApiVersionsCommand",
    ),
    (
        "kafka-client-metrics",
        "org.apache.kafka.tools.ClientMetricsCommand",
    ),
    ("kafka-cluster", "org.apache.kafka.tools.ClusterTool"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    (
        "kafka-console-consumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    (
        "kafka-console-producer",
        "org.apache.kafka.tools.ConsoleProducer",
    ),
    (
        "kafka-consumer-groups",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
    (
        "kafka-consumer-perf-test",
        "org.apache.kafka.tools.ConsumerPerformance",
    ),
    (
        "kafka-delete-records",
        "org.apache.kafka.tools.DeleteRecordsCommand",
    ),
    ("kafka-dump-log", "org.apache.kafka.tools.DumpLogSegments"),
    (
        "kafka-e2e-latency",
        "org.apache.kafka.tools.EndToEndLatency",
    ),
    ("kafka-features", "org.apache.kafka.tools.FeatureCommand"),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("kafka-groups", "org.apache.kafka.tools.GroupsCommand"),
    (
        "kafka-leader-election",
        "org.apache.kafka.tools.LeaderElectionCommand",
    ),
    ("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
    (
        "kafka-metadata-quorum",
        "org.apache.kafka.tools.MetadataQuorumCommand",
    ),
    (
        "kafka-producer-perf-test",
        "org.apache.kafka.tools.ProducerPerformance",
    ),
    (
        "kafka-reassign-partitions",
        "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    ),
    (
        "kafka-replica-verification",
        "org.apache.kafka.tools.ReplicaVerificationTool",
    ),
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
    (
        "kafka-transactions",
        "org.apache.kafka.tools.TransactionsCommand",
    ),
    (
        "kafka-verifiable-consumer",
        "org.apache.kafka.tools.VerifiableConsumer",
    ),
    (
        "kafka-verifiable-producer",
        "org.apache.kafka.tools.VerifiableProducer",
    ),
];

/// Tools that end their process in a way that the shared JVM cannot catch.
const ALONE: &[&str] = &["kafka-verifiable-consumer", "kafka-verifiable-producer"];

/// Longest that `until` tries.
const UNTIL: Duration = Duration::from_secs(60);

/// Where transcripts run: one JVM for the tools, and a broker for each transcript.
pub(crate) struct Stage {
    kind: Kind,
    home: PathBuf,
    transcripts: PathBuf,
    dir: PathBuf,
    purpose: Purpose,
    tools: Option<Shared>,
}

impl Stage {
    /// Brokers' directories, and the tools' log, go to `dir`.
    pub(crate) fn new(kind: &Kind, places: &Places, dir: &Path, purpose: Purpose) -> Stage {
        Stage {
            kind: kind.clone(),
            home: places.kafka(),
            transcripts: places.sources.join("transcripts"),
            dir: dir.to_owned(),
            purpose,
            tools: None,
        }
    }

    /// Runs one transcript and gives the number of its commands. Each counts as a check.
    pub(crate) fn run(&mut self, transcript: &Transcript) -> Checked<usize> {
        let file = self.transcripts.join(format!("{}.txt", transcript.name));
        let read = std::fs::read_to_string(&file)
            .map_err(|e| Failure(format!("{}: {e}", file.display())))?;
        let want = script::parse(&read)?;
        let dir = self.dir.join(transcript.name);
        let broker = Broker::start_with(self.kind.clone(), transcript.settings, None, &dir)?;
        let mut tools = match self.tools.take() {
            Some(tools) => tools,
            None => Shared::start(&self.home, &self.dir)?,
        };
        let mut scene = Scene {
            bootstrap: broker.bootstrap(),
            data: broker.data_dir(),
            broker,
            home: &self.home,
            tools: &mut tools,
            dir: &self.dir,
            started: BTreeMap::new(),
        };
        let mut got = Vec::with_capacity(want.len());
        for step in &want {
            let output = scene.perform(step)?;
            got.push(Step {
                output,
                ..step.clone()
            });
        }
        drop(scene);
        self.tools = Some(tools);
        let text = script::write(&got);
        if self.purpose == Purpose::Record {
            std::fs::write(&file, text)?;
            return Ok(got.len());
        }
        let kept = dir.join("transcript.txt");
        std::fs::write(&kept, text)?;
        match script::first_difference(&got, &want) {
            None => Ok(got.len()),
            Some(difference) => Err(Failure(format!("{difference}; see {}", kept.display()))),
        }
    }
}

/// The first word, and what follows it.
fn first_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// One transcript's broker, and what runs beside its commands.
struct Scene<'a> {
    broker: Broker,
    bootstrap: String,
    data: PathBuf,
    home: &'a Path,
    tools: &'a mut Shared,
    dir: &'a Path,
    started: BTreeMap<String, Process>,
}

impl Scene<'_> {
    fn perform(&mut self, step: &Step) -> Checked<Output> {
        let (command, pipe) = match step.command.split_once(" | ") {
            Some((command, pipe)) => (command, Some(pipe)),
            None => (&*step.command, None),
        };
        let mut output = self.act(command, &step.input)?;
        if let Some(pipe) = pipe {
            output.stdout = jvm::piped(pipe, &output.stdout)?;
        }
        Ok(output)
    }

    fn act(&mut self, command: &str, input: &str) -> Checked<Output> {
        let (first, rest) = first_word(command);
        match first {
            "write" => {
                let data = self.data.display().to_string();
                std::fs::write(self.dir.join(rest), input.replace(normal::DATA, &data))?;
                Ok(Output::default())
            }
            "until" => {
                let (word, command) = first_word(rest);
                let deadline = Instant::now() + UNTIL;
                loop {
                    let output = self.tool(command, input)?;
                    if output.stdout.contains(word) || Instant::now() > deadline {
                        return Ok(output);
                    }
                }
            }
            "start" => {
                let (name, command) = first_word(rest);
                let (class, args) = self.tool_of(command)?;
                let process = Process::start(self.home, self.dir, class, &args, input)?;
                self.started.insert(name.to_owned(), process);
                Ok(Output::default())
            }
            "stop" if rest == "broker" => {
                self.broker.end(End::Stop)?;
                Ok(Output::default())
            }
            "stop" => {
                let (name, word) = first_word(rest);
                let process = self.started.remove(name);
                let process = process.ok_or_else(|| Failure(format!("{name} does not run")))?;
                process.wait_for(word, UNTIL);
                Ok(self.output(&process.stop()?))
            }
            _ => self.tool(command, input),
        }
    }

    fn tool(&mut self, command: &str, input: &str) -> Checked<Output> {
        let (class, args) = self.tool_of(command)?;
        let alone = ALONE.iter().any(|tool| command.starts_with(tool));
        let raw = if alone {
            Process::start(self.home, self.dir, class, &args, input)?.wait()?
        } else {
            self.tools.run(class, &args, input)?
        };
        Ok(self.output(&raw))
    }

    /// The class and the arguments of a command.
    fn tool_of(&self, command: &str) -> Checked<(&'static str, Vec<String>)> {
        let words = script::words(command);
        let name = words.first().map_or("", String::as_str);
        let found = TOOLS.iter().find(|(tool, _)| *tool == name);
        let (_, class) = found.ok_or_else(|| Failure(format!("no tool is called {name:?}")))?;
        let data = self.data.display().to_string();
        let args = words[1..].iter().map(|word| {
            let word = word.replace(normal::BROKER, &self.bootstrap);
            word.replace(normal::DATA, &data)
        });
        Ok((class, args.collect()))
    }

    fn output(&self, raw: &Raw) -> Output {
        let data = self.data.display().to_string();
        let normal = |text: &str| normal::normal(text, &self.bootstrap, &data);
        Output {
            code: raw.code,
            stdout: normal(&raw.stdout),
            stderr: normal(&raw.stderr),
        }
    }
}
