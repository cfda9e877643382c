//! What Kafka's command line tools find in the data directory that all clients have written to. What
//! they print and how they end is compared in `transcripts/`.

mod compaction;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::start_tool;
use crate::checks::{Checked, Checks, Failure};

/// The name of the tools' section beside the clients.
pub(crate) const NAME: &str = "tools";

/// When a tool runs: while the broker serves, or on the data directory of a stopped one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    Stopped,
}

/// One row of the tools' table. The rows run in order; what is read later was written before.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) stage: Stage,
    pub(crate) run: fn(&mut ToolRun) -> Checked,
}

/// What a tool works with.
pub(crate) struct ToolRun {
    pub(crate) bootstrap: String,
    /// Where the partition directories are, once the broker is stopped.
    pub(crate) data: Option<PathBuf>,
    pub(crate) checks: Checks,
    home: PathBuf,
}

struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Longest that a tool may take.
const LONGEST: Duration = Duration::from_secs(100);

const fn serving(
    name: &'static str,
    about: &'static str,
    run: fn(&mut ToolRun) -> Checked,
) -> Tool {
    Tool {
        name,
        about,
        stage: Stage::Serving,
        run,
    }
}

const fn stopped(
    name: &'static str,
    about: &'static str,
    run: fn(&mut ToolRun) -> Checked,
) -> Tool {
    Tool {
        name,
        about,
        stage: Stage::Stopped,
        run,
    }
}

pub(crate) const TOOLS: &[Tool] = &[
    serving(
        "kafka-console-producer",
        "keys, headers and gzip",
        console_producer,
    ),
    serving(
        "kafka-console-consumer",
        "a group that resumes; a single offset",
        console_consumer,
    ),
    serving(
        "kafka-producer-perf-test",
        "50,000 records over several segments",
        producer_perf,
    ),
    serving(
        "kafka-log-compaction-tester",
        "the newest value of each key stays, in fewer records",
        compaction::compaction,
    ),
    stopped(
        "kafka-dump-log",
        "every log file of the broker, batch by batch",
        dump_all,
    ),
    stopped(
        "kafka-dump-log-records",
        "every record of a partition",
        dump_records,
    ),
    stopped(
        "kafka-dump-log-indexes",
        "offset and time indexes agree with the log",
        dump_indexes,
    ),
    stopped(
        "kafka-dump-log-offsets",
        "committed offsets and groups",
        dump_offsets,
    ),
    stopped(
        "kafka-dump-log-metadata",
        "the cluster's metadata records",
        dump_metadata,
    ),
];

const PERF_RECORDS: usize = 50_000;

impl ToolRun {
    pub(crate) fn new(home: &Path) -> ToolRun {
        ToolRun {
            bootstrap: String::new(),
            data: None,
            checks: Checks::default(),
            home: home.to_owned(),
        }
    }

    /// A topic or group name; the same for all tools of this run.
    fn name(&self, about: &str) -> String {
        format!("tools.{about}.{}", std::process::id())
    }

    fn run(&self, class: &str, args: &[&str], input: &str) -> Checked<Output> {
        let args = [&[class], args].concat();
        let child = start_tool(&self.home, LONGEST, &args, Path::new("."), input)?;
        let output = child.wait_with_output()?;
        Ok(Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a tool that must end with exit code 0.
    fn succeeds(&self, class: &str, args: &[&str], input: &str) -> Checked<String> {
        let output = self.run(class, args, input)?;
        if output.code != Some(0) {
            let text: Vec<&str> = output.stdout.lines().chain(output.stderr.lines()).collect();
            let tail = text[text.len().saturating_sub(12)..].join(" / ");
            return Err(Failure(format!(
                "{class} ended with {:?}: {tail}",
                output.code
            )));
        }
        Ok(output.stdout)
    }

    fn at_broker(&self, class: &str, args: &[&str], input: &str) -> Checked<String> {
        let mut all = vec!["--bootstrap-server", &self.bootstrap];
        all.extend(args);
        self.succeeds(class, &all, input)
    }

    /// The files of a partition directory with this ending, in order.
    fn files(&self, partition: &str, ending: &str) -> Checked<Vec<String>> {
        let data = self
            .data
            .clone()
            .ok_or_else(|| Failure("no data directory".into()))?;
        let dir = data.join(partition);
        let mut files: Vec<String> = std::fs::read_dir(&dir)
            .map_err(|e| Failure(format!("{}: {e}", dir.display())))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .map(|path| path.display().to_string())
            .collect();
        files.sort();
        Ok(files)
    }

    /// The files of all partitions with this ending.
    fn all_files(&self, ending: &str) -> Checked<Vec<String>> {
        let data = self
            .data
            .clone()
            .ok_or_else(|| Failure("no data directory".into()))?;
        let mut files = vec![];
        for entry in std::fs::read_dir(&data)?.filter_map(Result::ok) {
            if entry.path().is_dir() {
                files.extend(self.files(&entry.file_name().to_string_lossy(), ending)?);
            }
        }
        Ok(files)
    }

    /// Writes records in short transactions that are all committed.
    pub(crate) fn produce_in_transactions(&self, topic: &str, records: usize) -> Checked {
        let count = records.to_string();
        let args = [
            &["--topic", topic, "--num-records", &count][..],
            &["--record-size", "100", "--throughput", "2000"],
            &["--transactional-id", topic],
            &["--transaction-duration-ms", "100"],
        ];
        self.at_broker(PRODUCER_PERFORMANCE, &args.concat(), "")?;
        Ok(())
    }

    fn dump(&self, options: &[&str], files: &[String]) -> Checked<String> {
        let list = files.join(",");
        let mut args = options.to_vec();
        args.extend(["--files", &list]);
        self.succeeds(DUMP_LOG, &args, "")
    }
}

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const DUMP_LOG: &str = "org.apache.kafka.tools.DumpLogSegments";
const PRODUCER_PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSOLE_PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSOLE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

fn console_producer(run: &mut ToolRun) -> Checked {
    let topic = run.name("console");
    run.at_broker(
        TOPICS,
        &["--create", "--topic", &topic, "--partitions", "1"],
        "",
    )?;
    run.at_broker(
        CONSOLE_PRODUCER,
        &[
            "--topic",
            &topic,
            "--compression-codec",
            "gzip",
            "--reader-property",
            "parse.key=true",
            "--reader-property",
            "parse.headers=true",
        ],
        "h1:v1,h2:v2\tkey1\tvalue1\nh3:v3\tkey2\tvalue2\nh4:\tkey3\tvalue 3\n",
    )?;
    let said = run.at_broker(
        CONSOLE_CONSUMER,
        &[
            "--topic",
            &topic,
            "--from-beginning",
            "--max-messages",
            "3",
            "--timeout-ms",
            "60000",
            "--formatter-property",
            "print.key=true",
            "--formatter-property",
            "print.headers=true",
            "--formatter-property",
            "print.partition=true",
            "--formatter-property",
            "print.offset=true",
        ],
        "",
    )?;
    let lines: Vec<&str> = said.lines().collect();
    let want = vec![
        "Partition:0\tOffset:0\th1:v1,h2:v2\tkey1\tvalue1",
        "Partition:0\tOffset:1\th3:v3\tkey2\tvalue2",
        "Partition:0\tOffset:2\th4:\tkey3\tvalue 3",
    ];
    run.checks.equal("records", lines, want)
}

fn console_consumer(run: &mut ToolRun) -> Checked {
    let (topic, group) = (run.name("group"), run.name("readers"));
    run.at_broker(
        TOPICS,
        &["--create", "--topic", &topic, "--partitions", "1"],
        "",
    )?;
    let lines: Vec<String> = (0..10).map(|i| format!("line {i}")).collect();
    run.at_broker(
        CONSOLE_PRODUCER,
        &["--topic", &topic],
        &(lines.join("\n") + "\n"),
    )?;
    let read = |run: &ToolRun, count: &str| -> Checked<Vec<String>> {
        let said = run.at_broker(
            CONSOLE_CONSUMER,
            &[
                "--topic",
                &topic,
                "--group",
                &group,
                "--from-beginning",
                "--max-messages",
                count,
                "--timeout-ms",
                "60000",
            ],
            "",
        )?;
        Ok(said.lines().map(str::to_owned).collect())
    };
    let first = read(run, "4")?;
    run.checks
        .equal("the first four", first, lines[..4].to_vec())?;
    let second = read(run, "6")?;
    run.checks
        .equal("the group resumes", second, lines[4..].to_vec())?;
    let said = run.at_broker(
        CONSOLE_CONSUMER,
        &[
            "--topic",
            &topic,
            "--partition",
            "0",
            "--offset",
            "7",
            "--max-messages",
            "1",
            "--timeout-ms",
            "60000",
        ],
        "",
    )?;
    run.checks.equal("offset 7", said.trim(), "line 7")
}

fn producer_perf(run: &mut ToolRun) -> Checked {
    let topic = run.name("perf");
    let small_segments = ["--config", "segment.bytes=1048576"];
    let mut create = vec!["--create", "--topic", &topic, "--partitions", "1"];
    create.extend(small_segments);
    run.at_broker(TOPICS, &create, "")?;
    let count = PERF_RECORDS.to_string();
    let said = run.at_broker(
        PRODUCER_PERFORMANCE,
        &[
            "--topic",
            &topic,
            "--num-records",
            &count,
            "--record-size",
            "100",
            "--throughput",
            "-1",
        ],
        "",
    )?;
    let last = said.lines().last().unwrap_or_default();
    run.checks.holds(
        &format!("all records are sent ({last})"),
        last.starts_with(&format!("{count} records sent, ")),
    )
}

/// Splits a list of files so that one argument stays far below the system's limit of 128 KiB.
fn in_parts(files: &[String]) -> impl Iterator<Item = &[String]> {
    files.chunks(300)
}

/// Every batch of every log is valid, and there is nothing beside them.
pub(crate) fn dump_all(run: &mut ToolRun) -> Checked {
    let mut files = run.all_files("log")?;
    files.extend(run.all_files("checkpoint")?);
    files.retain(|file| std::fs::metadata(file).is_ok_and(|found| found.len() > 0));
    run.checks.holds("there are log files", !files.is_empty())?;
    let (mut batches, mut bytes) = (0, 0);
    for part in in_parts(&files) {
        for line in run.dump(&[], part)?.lines() {
            if line.starts_with("baseOffset:") {
                batches += 1;
                bytes += field(line, "size").unwrap_or(0);
                if !line.ends_with("isvalid: true") {
                    return Err(Failure(format!("not valid: {line}")));
                }
            } else if !["Dumping ", "Log starting offset: ", "Snapshot end offset: "]
                .iter()
                .any(|head| line.starts_with(head))
            {
                // Control records of the metadata log print lines of their own.
                let control = line.is_empty() || line.starts_with("| ") || !line.contains(':');
                if !control && !line.contains("SnapshotHeader") {
                    return Err(Failure(format!("kafka-dump-log complains: {line}")));
                }
            }
        }
    }
    run.checks.holds("there are batches", batches > 0)?;
    let on_disk: u64 = files
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|m| m.len())
        .sum();
    run.checks.equal(
        "bytes in valid batches",
        u64::try_from(bytes).ok(),
        Some(on_disk),
    )
}

/// The number after `name: ` in a line of kafka-dump-log.
fn field(line: &str, name: &str) -> Option<i64> {
    let mut words = line.split(' ');
    words.find(|word| word.strip_suffix(':') == Some(name))?;
    words.next()?.parse().ok()
}

fn dump_records(run: &mut ToolRun) -> Checked {
    let files = run.files(&format!("{}-0", run.name("perf")), "log")?;
    run.checks.holds("several segments", files.len() >= 4)?;
    let said = run.dump(&["--deep-iteration", "--print-data-log"], &files)?;
    let offsets: Vec<i64> = said
        .lines()
        .filter(|line| line.starts_with("| offset:"))
        .filter_map(|line| field(line, "offset"))
        .collect();
    let want: Vec<i64> = (0..).take(PERF_RECORDS).collect();
    run.checks.equal("records", offsets.len(), PERF_RECORDS)?;
    run.checks
        .holds("their offsets have no gap", offsets == want)?;

    let files = run.files(&format!("{}-0", run.name("console")), "log")?;
    let said = run.dump(&["--deep-iteration", "--print-data-log"], &files)?;
    let gzip = said.lines().filter(|line| line.starts_with("baseOffset:"));
    let gzip: Vec<bool> = gzip
        .map(|line| line.contains("compresscodec: gzip"))
        .collect();
    run.checks.holds(
        "the batches are still gzip",
        !gzip.is_empty() && gzip.iter().all(|is| *is),
    )?;
    let records: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("| offset:"))
        .filter_map(|line| line.split_once("headerKeys: ").map(|(_, rest)| rest))
        .collect();
    let want = vec![
        "[h1,h2] key: key1 payload: value1",
        "[h3] key: key2 payload: value2",
        "[h4] key: key3 payload: value 3",
    ];
    run.checks.equal("records", records, want)
}

/// Every index of every log passes Kafka's sanity check.
pub(crate) fn check_all_indexes(run: &mut ToolRun) -> Checked {
    let mut files = run.all_files("index")?;
    files.extend(run.all_files("timeindex")?);
    let mut passed = 0;
    for part in in_parts(&files) {
        passed += passed_sanity_checks(&run.dump(&["--index-sanity-check"], part)?);
    }
    run.checks
        .equal("indexes that pass the sanity check", passed, files.len())
}

fn passed_sanity_checks(said: &str) -> usize {
    let lines = said.lines();
    let fine =
        |line: &&str| line.ends_with(" passed sanity check.") || line.ends_with(" is empty.");
    lines.filter(fine).count()
}

fn dump_indexes(run: &mut ToolRun) -> Checked {
    let partition = format!("{}-0", run.name("perf"));
    let mut files = run.files(&partition, "index")?;
    let segments = files.len();
    files.extend(run.files(&partition, "timeindex")?);
    run.checks.equal(
        "a time index for each offset index",
        files.len(),
        2 * segments,
    )?;
    let said = run.dump(&["--index-sanity-check"], &files)?;
    run.checks.equal(
        "indexes that pass the sanity check",
        passed_sanity_checks(&said),
        files.len(),
    )?;
    // Anything beside the names of the files is a mismatch between an index and its log.
    let said = run.dump(&["--verify-index-only"], &files)?;
    let others: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("Dumping "))
        .collect();
    run.checks.equal("mismatches", others, Vec::<&str>::new())?;
    let said = run.dump(&[], &files)?;
    let entries = said
        .lines()
        .filter(|line| line.starts_with("offset: "))
        .count();
    run.checks
        .holds("the offset indexes have entries", entries > segments)?;
    let times = said
        .lines()
        .filter(|line| line.starts_with("timestamp: "))
        .count();
    run.checks
        .holds("the time indexes have entries", times >= segments)?;
    let snapshots = run.files(&partition, "snapshot")?;
    run.checks
        .holds("there is a producer snapshot", !snapshots.is_empty())?;
    let said = run.dump(&[], &snapshots[snapshots.len() - 1..])?;
    let sequence = said.lines().find_map(|line| field(line, "lastSequence"));
    run.checks.equal(
        "the last sequence in it",
        sequence,
        i64::try_from(PERF_RECORDS).ok().map(|count| count - 1),
    )
}

fn dump_offsets(run: &mut ToolRun) -> Checked {
    let (topic, group) = (run.name("group"), run.name("readers"));
    let mut files = vec![];
    for partition in 0..50 {
        files.extend(run.files(&format!("__consumer_offsets-{partition}"), "log")?);
    }
    run.checks
        .equal("partitions of __consumer_offsets", files.len(), 50)?;
    files.retain(|file| std::fs::metadata(file).is_ok_and(|found| found.len() > 0));
    let said = run.dump(&["--offsets-decoder"], &files)?;
    let key = format!(
        r#"key: {{"type":"1","data":{{"group":"{group}","topic":"{topic}","partition":0}}}}"#
    );
    let commits: Vec<&str> = said.lines().filter(|line| line.contains(&key)).collect();
    let last = commits.last().copied().unwrap_or_default();
    let at_ten = last.contains(r#"payload: {"version":"4","data":{"offset":10,"#);
    run.checks
        .holds(&format!("the group's last commit is 10: {last}"), at_ten)?;
    let key = format!(r#"key: {{"type":"2","data":{{"group":"{group}"}}}}"#);
    let states: Vec<&str> = said.lines().filter(|line| line.contains(&key)).collect();
    let joined = states.iter().any(|line| {
        line.contains(r#""protocolType":"consumer""#)
            && line.contains(r#""members":[{"memberId":"console-consumer-"#)
            && line.contains(&format!(r#""subscription":{{"topics":["{topic}"]"#))
            && line.contains(&format!(
                r#""assignment":{{"assignedPartitions":[{{"topic":"{topic}","partitions":[0]}}]"#
            ))
    });
    run.checks
        .holds(&format!("the group with its member: {states:?}"), joined)?;
    let last = states.last().copied().unwrap_or_default();
    run.checks.holds(
        "the group is empty at last",
        last.contains(r#""members":[]"#),
    )
}

/// Ends with an error unless the metadata log was cut behind a snapshot.
pub(crate) fn check_metadata_is_cut(run: &mut ToolRun) -> Checked {
    let snapshots = run.files("__cluster_metadata-0", "checkpoint")?;
    run.checks
        .holds("a metadata snapshot", !snapshots.is_empty())?;
    let segments = run.files("__cluster_metadata-0", "log")?;
    let is_whole = segments
        .iter()
        .any(|name| name.ends_with("/00000000000000000000.log"));
    run.checks.holds(
        &format!("a metadata log that is cut: {segments:?}"),
        !is_whole,
    )
}

fn dump_metadata(run: &mut ToolRun) -> Checked {
    let files = run.files("__cluster_metadata-0", "log")?;
    run.checks
        .holds("there is a metadata log", !files.is_empty())?;
    let said = run.dump(&["--cluster-metadata-decoder"], &files)?;
    let mut types = BTreeMap::new();
    for line in said
        .lines()
        .filter_map(|line| line.split_once(r#"payload: {"type":""#))
    {
        let name = line.1.split('"').next().unwrap_or_default().to_owned();
        *types.entry(name).or_insert(0) += 1;
    }
    for wanted in [
        "FEATURE_LEVEL_RECORD",
        "REGISTER_BROKER_RECORD",
        "TOPIC_RECORD",
        "PARTITION_RECORD",
        "CONFIG_RECORD",
    ] {
        run.checks.holds(
            &format!("a {wanted} among {types:?}"),
            types.contains_key(wanted),
        )?;
    }
    let topic = run.name("perf");
    let config = format!(
        r#""resourceType":2,"resourceName":"{topic}","name":"segment.bytes","value":"1048576""#
    );
    run.checks
        .holds("the topic's configuration", said.contains(&config))?;
    let made = said.lines().filter(|line| {
        line.contains(r#""type":"TOPIC_RECORD""#) && line.contains(&format!(r#""name":"{topic}""#))
    });
    run.checks
        .equal("records that make the topic", made.count(), 1)
}
