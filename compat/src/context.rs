//! What a scenario works with: one client program on one broker, unique names, counted checks.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checks::{Checked, Checks, Failure};
use crate::driver::{Driver, DriverCommand, Reply};

/// Longest a single request to a client program may take.
const CALL_SECONDS_MAX: u64 = 90;
/// Longest a client may take to see a topic that it made, or that was there before a restart.
const TOPIC_SECONDS_MAX: u64 = 20;

/// One client on one broker, through all of its scenarios.
pub(crate) struct Context {
    pub(crate) client: &'static str,
    pub(crate) bootstrap: String,
    pub(crate) checks: Checks,
    command: DriverCommand,
    log: PathBuf,
    driver: Option<Driver>,
    scenario: String,
    names: u32,
}

/// One consumed record. A value longer than 128 bytes arrives as `md5:<hex>:<length>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, Option<String>)>,
}

/// Offset and partition of an acknowledged record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) partition: i64,
    pub(crate) offset: i64,
}

/// Where reading a partition starts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Beginning,
    Offset(i64),
}

impl From {
    fn json(self) -> Value {
        match self {
            From::Beginning => json!("beginning"),
            From::Offset(offset) => json!(offset),
        }
    }
}

/// Records that the client program makes by itself: key `k<i>`, value `<prefix><i>` padded with
/// dots to `size` bytes, partitions in turn.
#[derive(Debug, Clone)]
pub(crate) struct Generated {
    pub(crate) count: usize,
    pub(crate) prefix: &'static str,
    pub(crate) size: usize,
    pub(crate) partitions: Vec<i64>,
}

impl Generated {
    /// The value of record `i`, as a consumer reports it.
    pub(crate) fn value(&self, i: usize) -> String {
        as_reported(self.raw_value(i))
    }

    fn raw_value(&self, i: usize) -> String {
        let mut value = format!("{}{i}", self.prefix);
        while value.len() < self.size {
            value.push('.');
        }
        value
    }

    /// Indices of the records that go to `partition`, in order.
    pub(crate) fn sent_to(&self, partition: i64) -> Vec<usize> {
        let n = self.partitions.len();
        (0..self.count)
            .filter(|i| self.partitions[i % n] == partition)
            .collect()
    }
}

/// How a client program reports a value: as it is, or its digest and length when it is long.
pub(crate) fn as_reported(value: String) -> String {
    if value.len() <= 128 {
        return value;
    }
    format!("md5:{:x}:{}", md5::compute(&value), value.len())
}

impl Context {
    pub(crate) fn new(
        client: &'static str,
        bootstrap: String,
        command: DriverCommand,
        log: PathBuf,
    ) -> Context {
        Context {
            client,
            bootstrap,
            checks: Checks::default(),
            command,
            log,
            driver: None,
            scenario: String::new(),
            names: 0,
        }
    }

    /// Forgets the counts of the scenario before.
    pub(crate) fn begin(&mut self, scenario: &str) {
        self.scenario = scenario.to_owned();
        self.checks = Checks::default();
    }

    /// Ends the client program; the next request starts a fresh one. A scenario that failed may
    /// have left members and requests behind.
    pub(crate) fn restart_client(&mut self) {
        self.driver = None;
    }

    /// Kills the client program, as a crash of the application would.
    pub(crate) fn crash_client(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.kill();
        }
    }

    /// A second client program beside the first.
    pub(crate) fn second(&self) -> Context {
        let mut other = Context::new(
            self.client,
            self.bootstrap.clone(),
            self.command.clone(),
            self.log.clone(),
        );
        other.begin(&self.scenario);
        other.names = 1000;
        other
    }

    /// A name that no other client or scenario of this run has.
    pub(crate) fn name(&mut self, about: &str) -> String {
        self.names += 1;
        format!("{}.{}.{about}{}", self.client, self.scenario, self.names)
    }

    pub(crate) fn try_call(&mut self, op: &str, args: Value) -> Checked<Reply> {
        self.call_watched(op, args, |_| {})
    }

    /// Like [`Context::try_call`]; `on_event` sees the client's progress lines.
    pub(crate) fn call_watched(
        &mut self,
        op: &str,
        args: Value,
        on_event: impl FnMut(&Value),
    ) -> Checked<Reply> {
        if self.driver.is_none() {
            self.driver = Some(Driver::start(&self.command, &self.bootstrap, &self.log)?);
        }
        let Some(driver) = self.driver.as_mut() else {
            return Err(Failure("the client program is not running".into()));
        };
        driver.call(op, args, Duration::from_secs(CALL_SECONDS_MAX), on_event)
    }

    /// A request that must succeed.
    pub(crate) fn call(&mut self, op: &str, args: Value) -> Checked<Value> {
        match self.try_call(op, args)? {
            Reply::Ok(value) => Ok(value),
            Reply::Error { code, message } => {
                let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                Err(Failure(format!("{op} failed with {code}: {message}")))
            }
        }
    }

    /// A request that must be refused with this Kafka error code.
    pub(crate) fn refused(&mut self, what: &str, op: &str, args: Value, want: i64) -> Checked {
        match self.try_call(op, args)? {
            Reply::Ok(_) => Err(Failure(format!("{what}: accepted, want error {want}"))),
            Reply::Error { code, message } => {
                if code != Some(want) {
                    return Err(Failure(format!(
                        "{what}: got error {code:?} ({message}), want {want}"
                    )));
                }
                self.checks.held += 1;
                Ok(())
            }
        }
    }

    /// Creates a topic and waits until the client sees leaders for all its partitions.
    pub(crate) fn create_topic(&mut self, about: &str, partitions: usize) -> Checked<String> {
        self.create_topic_with(about, partitions, json!({}))
    }

    pub(crate) fn create_topic_with(
        &mut self,
        about: &str,
        partitions: usize,
        configs: Value,
    ) -> Checked<String> {
        let topic = self.name(about);
        self.call(
            "create_topic",
            json!({"topic": topic, "partitions": partitions, "replication": 1, "configs": configs}),
        )?;
        self.await_topic(&topic, partitions)?;
        Ok(topic)
    }

    /// Waits until the client sees all leaders and these answer for every partition. A producer that
    /// is not idempotent may reorder what it has to send again, so nothing is sent before.
    pub(crate) fn await_topic(&mut self, topic: &str, partitions: usize) -> Checked {
        let deadline = Instant::now() + Duration::from_secs(TOPIC_SECONDS_MAX);
        while Instant::now() < deadline {
            // After a restart a client may need a moment to connect again: its errors are no answer
            // yet, but a program that says nothing has failed.
            let seen = match self.try_call("metadata", json!({}))? {
                Reply::Ok(metadata) => sorted_partitions(&metadata, topic),
                Reply::Error { .. } => vec![],
            };
            if seen.len() == partitions && seen.iter().all(|p| p["leader"] != json!(-1)) {
                let mut led = true;
                for partition in 0..partitions {
                    let at = json!({"topic": topic, "partition": partition, "at": "latest"});
                    led &= matches!(self.try_call("offsets", at)?, Reply::Ok(_));
                }
                if led {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(Failure(format!(
            "{topic} did not appear with {partitions} partitions within {TOPIC_SECONDS_MAX} s"
        )))
    }

    /// The partitions of a topic as the client sees them, ordered; empty if there is no such topic.
    pub(crate) fn partitions(&mut self, topic: &str) -> Checked<Vec<Value>> {
        let metadata = self.call("metadata", json!({}))?;
        Ok(sorted_partitions(&metadata, topic))
    }

    /// What the client says of one key of a topic's configuration; none if it cannot describe topics.
    pub(crate) fn topic_config(&mut self, topic: &str, key: &str) -> Checked<Option<Value>> {
        let args = json!({"resource": "topic", "name": topic});
        let entries = self.call("describe_configs", args)?["entries"].take();
        Ok((!entries.is_null()).then(|| entries[key].clone()))
    }

    pub(crate) fn produce(
        &mut self,
        topic: &str,
        records: &Generated,
        config: Value,
    ) -> Checked<Vec<Ack>> {
        let answer = self.call("produce", produce_args(topic, records, config))?;
        acks(&answer)
    }

    pub(crate) fn produce_records(
        &mut self,
        topic: &str,
        records: Value,
        config: Value,
    ) -> Checked<Vec<Ack>> {
        let answer = self.call(
            "produce",
            json!({"topic": topic, "records": records, "config": config}),
        )?;
        acks(&answer)
    }

    /// Reads without a group until `count` records have come.
    pub(crate) fn consume(
        &mut self,
        assign: &[(&str, i64, From)],
        count: usize,
        config: Value,
    ) -> Checked<Vec<Record>> {
        let assign: Vec<Value> = assign
            .iter()
            .map(|(t, p, from)| json!([t, p, from.json()]))
            .collect();
        let answer = self.call(
            "consume",
            json!({"assign": assign, "count": count, "timeout_ms": 40_000, "config": config}),
        )?;
        let got = records(&answer["records"])?;
        if got.len() != count {
            return Err(Failure(format!(
                "read {} records within 40 s, want {count}",
                got.len()
            )));
        }
        Ok(got)
    }

    /// The offset that ListOffsets answers for `"earliest"`, `"latest"` or a time in milliseconds;
    /// none when no record is that late.
    pub(crate) fn offset_at(
        &mut self,
        topic: &str,
        partition: i64,
        at: Value,
    ) -> Checked<Option<i64>> {
        let answer = self.call(
            "offsets",
            json!({"topic": topic, "partition": partition, "at": at}),
        )?;
        Ok(answer["offset"].as_i64().filter(|offset| *offset >= 0))
    }

    /// Checks that `partition` holds exactly the generated records that were sent to it, at
    /// contiguous offsets from `first`.
    pub(crate) fn check_contents(
        &mut self,
        got: &[Record],
        sent: &Generated,
        partition: i64,
        first: i64,
    ) -> Checked {
        let here: Vec<&Record> = got.iter().filter(|r| r.partition == partition).collect();
        let want = sent.sent_to(partition);
        if here.len() != want.len() {
            return Err(Failure(format!(
                "partition {partition} has {} records, want {}",
                here.len(),
                want.len()
            )));
        }
        for ((record, i), offset) in here.iter().zip(&want).zip(first..) {
            let key = Some(format!("k{i}"));
            let value = Some(sent.value(*i));
            if record.offset != offset || record.key != key || record.value != value {
                return Err(Failure(format!(
                    "partition {partition}: want offset {offset} with {key:?} = {value:?}, got {record:?}"
                )));
            }
        }
        self.checks.held += 1;
        Ok(())
    }
}

fn sorted_partitions(metadata: &Value, topic: &str) -> Vec<Value> {
    let mut partitions = metadata["topics"][topic]
        .as_array()
        .cloned()
        .unwrap_or_default();
    partitions.sort_by_key(|p| p["id"].as_i64());
    partitions
}

pub(crate) fn produce_args(topic: &str, records: &Generated, config: Value) -> Value {
    json!({
        "topic": topic,
        "generate": {
            "count": records.count,
            "prefix": records.prefix,
            "size": records.size,
            "partitions": records.partitions,
        },
        "config": config,
    })
}

/// Acknowledgements in the order of the records; any refused record is a failure.
pub(crate) fn acks(answer: &Value) -> Checked<Vec<Ack>> {
    if let Some(error) = answer["errors"]
        .as_array()
        .and_then(|errors| errors.first())
    {
        return Err(Failure(format!("a record was refused: {error}")));
    }
    let list = answer["acks"]
        .as_array()
        .ok_or_else(|| Failure("no acks in the answer".into()))?;
    list.iter()
        .map(|ack| match (ack[0].as_i64(), ack[1].as_i64()) {
            (Some(partition), Some(offset)) => Ok(Ack { partition, offset }),
            _ => Err(Failure(format!("not an acknowledgement: {ack}"))),
        })
        .collect()
}

pub(crate) fn records(list: &Value) -> Checked<Vec<Record>> {
    let list = list
        .as_array()
        .ok_or_else(|| Failure("no records in the answer".into()))?;
    list.iter().map(record).collect()
}

fn record(value: &Value) -> Checked<Record> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let (Some(topic), Some(partition), Some(offset), Some(timestamp)) = (
        text(&value[0]),
        value[1].as_i64(),
        value[2].as_i64(),
        value[3].as_i64(),
    ) else {
        return Err(Failure(format!("not a record: {value}")));
    };
    let headers = value[6].as_array().cloned().unwrap_or_default();
    let headers = headers
        .iter()
        .map(|h| (text(&h[0]).unwrap_or_default(), text(&h[1])))
        .collect();
    Ok(Record {
        topic,
        partition,
        offset,
        timestamp,
        key: text(&value[4]),
        value: text(&value[5]),
        headers,
    })
}
