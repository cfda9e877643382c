//! The compatibility suite's program around crate rdkafka. compat/README.md describes the requests.

mod groups;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(30);

/// Kafka's code, where there is one, and the client's words.
struct Refusal(Option<i32>, String);

impl From<KafkaError> for Refusal {
    fn from(error: KafkaError) -> Refusal {
        Refusal(
            error.rdkafka_error_code().map(|code| code as i32),
            error.to_string(),
        )
    }
}

impl From<RDKafkaErrorCode> for Refusal {
    fn from(code: RDKafkaErrorCode) -> Refusal {
        Refusal(Some(code as i32), code.to_string())
    }
}

type Answer = Result<Value, Refusal>;

struct Driver {
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
    /// For metadata and offsets; it joins no group.
    reader: BaseConsumer,
    members: HashMap<String, BaseConsumer>,
}

fn main() {
    let bootstrap = std::env::args()
        .nth(1)
        .expect("the broker's address is the argument");
    let base = base(&bootstrap);
    let mut driver = Driver {
        admin: base.create().expect("an admin client"),
        reader: base.create().expect("a consumer"),
        members: HashMap::new(),
        bootstrap,
    };
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let mut answer = match driver.perform(&request) {
            Ok(mut answer) => {
                answer["ok"] = json!(true);
                answer
            }
            Err(Refusal(code, message)) => json!({"ok": false, "code": code, "message": message}),
        };
        answer["id"] = request["id"].clone();
        emit(&answer);
    }
}

fn emit(answer: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}")
        .and_then(|()| out.flush())
        .expect("standard output");
}

fn base(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("log_level", "3");
    config
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, default: i64) -> i64 {
    value.as_i64().unwrap_or(default)
}

fn partition(value: &Value) -> i32 {
    value
        .as_i64()
        .and_then(|p| i32::try_from(p).ok())
        .unwrap_or(-1)
}

impl Driver {
    fn perform(&mut self, request: &Value) -> Answer {
        match text(request, "op") {
            "metadata" => self.metadata(),
            "create_topic" => self.create_topic(request),
            "delete_topic" => self.delete_topic(request),
            "describe_configs" => self.describe_configs(request),
            "offsets" => self.offsets(request),
            "produce" => self.produce(request),
            "consume" => self.consume(request),
            "join" => self.join(request),
            "poll" => self.poll(request),
            "commit" => self.commit(request),
            "committed" => self.committed(request),
            "close" => {
                self.members.remove(text(request, "member"));
                Ok(json!({}))
            }
            "describe_groups" => self.describe_groups(request),
            "delete_groups" => self.delete_groups(request),
            other => Err(Refusal(None, format!("no operation is called {other}"))),
        }
    }

    fn metadata(&self) -> Answer {
        let seen = self.reader.fetch_metadata(None, WAIT)?;
        let brokers: Vec<Value> = seen
            .brokers()
            .iter()
            .map(|b| json!([b.id(), b.host(), b.port()]))
            .collect();
        let mut topics = json!({});
        for topic in seen.topics().iter().filter(|topic| topic.error().is_none()) {
            let partitions: Vec<Value> = topic
                .partitions()
                .iter()
                .map(|p| json!({"id": p.id(), "leader": p.leader(), "replicas": p.replicas(), "isr": p.isr()}))
                .collect();
            topics[topic.name()] = json!(partitions);
        }
        let cluster_id = self.reader.client().fetch_cluster_id(WAIT);
        Ok(json!({"cluster_id": cluster_id, "brokers": brokers, "topics": topics}))
    }

    fn create_topic(&self, request: &Value) -> Answer {
        let replication = TopicReplication::Fixed(partition(&request["replication"]));
        let mut topic = NewTopic::new(
            text(request, "topic"),
            partition(&request["partitions"]),
            replication,
        );
        for (key, value) in request["configs"].as_object().into_iter().flatten() {
            topic = topic.set(key, value.as_str().unwrap_or_default());
        }
        for created in block_on(self.admin.create_topics([&topic], &AdminOptions::new()))? {
            created.map_err(|(_, code)| code)?;
        }
        Ok(json!({}))
    }

    fn delete_topic(&self, request: &Value) -> Answer {
        let topics = [text(request, "topic")];
        for deleted in block_on(self.admin.delete_topics(&topics, &AdminOptions::new()))? {
            deleted.map_err(|(_, code)| code)?;
        }
        Ok(json!({}))
    }

    fn describe_configs(&self, request: &Value) -> Answer {
        let name = text(request, "name");
        let resource = match text(request, "resource") {
            "topic" => ResourceSpecifier::Topic(name),
            _ => ResourceSpecifier::Broker(name.parse().unwrap_or(-1)),
        };
        let mut entries = json!({});
        for found in block_on(
            self.admin
                .describe_configs([&resource], &AdminOptions::new()),
        )? {
            let found = found?;
            if let OwnedResourceSpecifier::Group(_) = found.specifier {
                continue;
            }
            for entry in found.entries {
                entries[entry.name] = json!(entry.value);
            }
        }
        Ok(json!({"entries": entries}))
    }

    fn offsets(&self, request: &Value) -> Answer {
        let (topic, partition) = (text(request, "topic"), partition(&request["partition"]));
        let offset = match request["at"].as_str() {
            Some("earliest") => self.reader.fetch_watermarks(topic, partition, WAIT)?.0,
            Some("latest") => self.reader.fetch_watermarks(topic, partition, WAIT)?.1,
            _ => {
                let mut times = TopicPartitionList::new();
                let at = Offset::Offset(number(&request["at"], 0));
                times.add_partition_offset(topic, partition, at)?;
                let found = self.reader.offsets_for_times(times, WAIT)?;
                let element = found.find_partition(topic, partition);
                match element.map(|element| element.offset()) {
                    Some(Offset::Offset(offset)) => offset,
                    _ => -1,
                }
            }
        };
        Ok(json!({"offset": offset}))
    }

    fn produce(&self, request: &Value) -> Answer {
        let config = &request["config"];
        let records = match request.get("generate") {
            Some(spec) => generated(spec),
            None => request["records"].as_array().cloned().unwrap_or_default(),
        };
        let deliveries = Deliveries {
            request: request["id"].clone(),
            every: number(&request["progress_every"], 0),
            state: Arc::new(Mutex::new(Delivered {
                acks: vec![Value::Null; records.len()],
                errors: vec![],
                count: 0,
            })),
        };
        let state = deliveries.state.clone();
        let mut settings = base(&self.bootstrap);
        settings
            .set("acks", config["acks"].as_str().unwrap_or("all"))
            .set(
                "compression.type",
                config["codec"].as_str().unwrap_or("none"),
            )
            .set(
                "enable.idempotence",
                config["idempotent"].as_bool().unwrap_or(false).to_string(),
            )
            .set("linger.ms", number(&config["linger_ms"], 0).to_string())
            .set(
                "message.max.bytes",
                number(&config["max_request_bytes"], 1_000_000).to_string(),
            )
            .set("message.timeout.ms", "80000");
        if let Some(bytes) = config["batch_bytes"].as_i64() {
            settings.set("batch.size", bytes.to_string());
        }
        let producer: ThreadedProducer<Deliveries> = settings.create_with_context(deliveries)?;
        let topic = text(request, "topic");
        let rate = request["rate_per_s"].as_f64();
        let started = Instant::now();
        for (i, record) in records.iter().enumerate() {
            let key = record["key"].as_str();
            let value = record["value"].as_str();
            let mut message: BaseRecord<'_, str, str, usize> = BaseRecord::with_opaque_to(topic, i);
            if let Some(partition) = record["partition"].as_i64() {
                message = message.partition(i32::try_from(partition).unwrap_or(-1));
            }
            if let Some(key) = key {
                message = message.key(key);
            }
            if let Some(value) = value {
                message = message.payload(value);
            }
            if let Some(timestamp) = record["timestamp"].as_i64() {
                message = message.timestamp(timestamp);
            }
            let headers = record["headers"].as_array().cloned().unwrap_or_default();
            if !headers.is_empty() {
                let mut list = OwnedHeaders::new();
                for header in &headers {
                    let key = header[0].as_str().unwrap_or_default();
                    list = list.insert(Header {
                        key,
                        value: header[1].as_str(),
                    });
                }
                message = message.headers(list);
            }
            while let Err((error, back)) = producer.send(message) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                std::thread::sleep(Duration::from_millis(20));
                message = back;
            }
            while rate.is_some_and(|rate| i as f64 > rate * started.elapsed().as_secs_f64()) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        producer.flush(Duration::from_secs(80))?;
        let state = state.lock().expect("no delivery panicked");
        Ok(json!({"acks": state.acks, "errors": state.errors}))
    }

    fn consumer(&self, config: &Value, group: &str) -> ClientConfig {
        let reset = match config["reset"].as_str() {
            Some("none") => "error",
            other => other.unwrap_or("earliest"),
        };
        let max_bytes = number(&config["max_bytes"], 52_428_800);
        let mut settings = base(&self.bootstrap);
        settings
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", reset)
            .set(
                "fetch.min.bytes",
                number(&config["min_bytes"], 1).to_string(),
            )
            .set(
                "fetch.wait.max.ms",
                number(&config["wait_ms"], 500).to_string(),
            )
            .set(
                "max.partition.fetch.bytes",
                number(&config["partition_max_bytes"], 1_048_576).to_string(),
            )
            .set("fetch.max.bytes", max_bytes.to_string())
            .set("message.max.bytes", max_bytes.min(1_000_000).to_string())
            .set(
                "isolation.level",
                config["isolation"].as_str().unwrap_or("read_uncommitted"),
            );
        settings
    }

    fn consume(&self, request: &Value) -> Answer {
        let consumer: BaseConsumer = self.consumer(&request["config"], "unused").create()?;
        let mut assignment = TopicPartitionList::new();
        for part in request["assign"].as_array().into_iter().flatten() {
            let from = match part[2].as_str() {
                Some("beginning") => Offset::Beginning,
                Some("end") => Offset::End,
                _ => Offset::Offset(number(&part[2], 0)),
            };
            let topic = part[0].as_str().unwrap_or_default();
            assignment.add_partition_offset(topic, partition(&part[1]), from)?;
        }
        consumer.assign(&assignment)?;
        let count = request["count"].as_u64().unwrap_or(0) as usize;
        let timeout = Duration::from_millis(request["timeout_ms"].as_u64().unwrap_or(0));
        let started = Instant::now();
        let mut late = request.get("produce_when_positioned").cloned();
        let mut records = vec![];
        while records.len() < count && started.elapsed() < timeout {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => records.push(reported(&message)),
                Some(Err(error)) if connects_again(&error) => {}
                Some(Err(error)) => return Err(polled_error(&error)),
                None => {}
            }
            if started.elapsed() > Duration::from_millis(2500)
                && let Some(mut spec) = late.take()
            {
                spec["partitions"] = json!([spec["partition"]]);
                let topic = &request["assign"][0][0];
                self.produce(&json!({"topic": topic, "generate": spec, "config": {}}))?;
            }
        }
        Ok(json!({"records": records}))
    }

    fn join(&mut self, request: &Value) -> Answer {
        let mut settings = self.consumer(request, text(request, "group"));
        settings
            .set("session.timeout.ms", request["session_ms"].to_string())
            .set("heartbeat.interval.ms", "1000");
        if let Some(assignor) = request["assignor"].as_str() {
            settings.set("partition.assignment.strategy", assignor);
        }
        if let Some(id) = request["instance_id"].as_str() {
            settings.set("group.instance.id", id);
        }
        if let Some(ms) = request["auto_commit_ms"].as_i64() {
            settings
                .set("enable.auto.commit", "true")
                .set("auto.commit.interval.ms", ms.to_string());
        }
        let consumer: BaseConsumer = settings.create()?;
        let topics: Vec<&str> = request["topics"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        consumer.subscribe(&topics)?;
        self.members
            .insert(text(request, "member").to_owned(), consumer);
        Ok(json!({}))
    }

    fn poll(&self, request: &Value) -> Answer {
        let deadline = Instant::now() + Duration::from_millis(request["ms"].as_u64().unwrap_or(0));
        let names: Vec<&str> = request["members"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut got: HashMap<&str, (Vec<Value>, Option<i32>)> = HashMap::new();
        loop {
            for name in &names {
                let (records, error) = got.entry(*name).or_default();
                let mut wait = Duration::from_millis(20);
                while let Some(polled) = self.members[*name].poll(wait) {
                    match polled {
                        Ok(message) => records.push(reported(&message)),
                        Err(failure) => *error = member_error(&failure).or(*error),
                    }
                    wait = Duration::ZERO;
                    if Instant::now() > deadline + Duration::from_secs(1) {
                        break;
                    }
                }
            }
            if Instant::now() > deadline {
                break;
            }
        }
        let mut answer = json!({"members": {}});
        for name in names {
            let (records, error) = got.remove(name).unwrap_or_default();
            let member = &self.members[name];
            let fatal = member.client().fatal_error().map(|(code, _)| code as i32);
            // A member that ended with a fatal error has no assignment to tell.
            let assignment: Vec<Value> = member
                .assignment()
                .map(|list| {
                    list.elements()
                        .iter()
                        .map(|e| json!([e.topic(), e.partition()]))
                        .collect()
                })
                .unwrap_or_default();
            answer["members"][name] =
                json!({"records": records, "assignment": assignment, "error": fatal.or(error)});
        }
        Ok(answer)
    }

    fn commit(&self, request: &Value) -> Answer {
        let mut offsets = TopicPartitionList::new();
        for part in request["offsets"].as_array().into_iter().flatten() {
            let topic = part[0].as_str().unwrap_or_default();
            let offset = Offset::Offset(number(&part[2], 0));
            offsets.add_partition_offset(topic, partition(&part[1]), offset)?;
        }
        self.members[text(request, "member")].commit(&offsets, CommitMode::Sync)?;
        Ok(json!({}))
    }

    fn committed(&self, request: &Value) -> Answer {
        let mut list = TopicPartitionList::new();
        for part in request["partitions"].as_array().into_iter().flatten() {
            list.add_partition(part[0].as_str().unwrap_or_default(), partition(&part[1]));
        }
        let found = self.members[text(request, "member")].committed_offsets(list, WAIT)?;
        let offsets: Vec<Option<i64>> = found
            .elements()
            .iter()
            .map(|element| match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
            .collect();
        Ok(json!({"offsets": offsets}))
    }
}

fn generated(spec: &Value) -> Vec<Value> {
    let partitions = spec["partitions"].as_array().cloned().unwrap_or_default();
    let size = spec["size"].as_u64().unwrap_or(0) as usize;
    (0..spec["count"].as_u64().unwrap_or(0) as usize)
        .map(|i| {
            let mut value = format!("{}{i}", text(spec, "prefix"));
            while value.len() < size {
                value.push('.');
            }
            let partition = &partitions[i % partitions.len()];
            json!({"partition": partition, "key": format!("k{i}"), "value": value})
        })
        .collect()
}

fn utf8(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn reported(message: &BorrowedMessage<'_>) -> Value {
    let value = message.payload().map(|data| match data.len() {
        0..=128 => utf8(data),
        len => format!("md5:{:x}:{len}", md5::compute(data)),
    });
    let headers: Vec<Value> = message
        .headers()
        .into_iter()
        .flat_map(Headers::iter)
        .map(|header| json!([header.key, header.value.map(utf8)]))
        .collect();
    json!([
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp().to_millis(),
        message.key().map(utf8),
        value,
        headers,
    ])
}

/// librdkafka reports an offset that is out of range, with no policy for it, under a code of its own.
fn polled_error(error: &KafkaError) -> Refusal {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset) => Refusal(
            Some(RDKafkaErrorCode::OffsetOutOfRange as i32),
            error.to_string(),
        ),
        code => Refusal(code.map(|code| code as i32), error.to_string()),
    }
}

/// What librdkafka tells about connections that it makes again by itself.
fn connects_again(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure)
    )
}

/// Errors after which a member does not go on by itself: those that Kafka gave.
fn member_error(error: &KafkaError) -> Option<i32> {
    error
        .rdkafka_error_code()
        .map(|code| code as i32)
        .filter(|code| *code > 0)
}

struct Delivered {
    acks: Vec<Value>,
    errors: Vec<Value>,
    count: i64,
}

struct Deliveries {
    request: Value,
    every: i64,
    state: Arc<Mutex<Delivered>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut state = self.state.lock().expect("no delivery panicked");
        match result {
            Ok(message) => {
                state.acks[index] = json!([message.partition(), message.offset()]);
                state.count += 1;
                if self.every > 0 && state.count % self.every == 0 {
                    emit(&json!({"id": self.request, "event": "acked", "count": state.count}));
                }
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().map(|code| code as i32);
                state.errors.push(json!([index, code]));
            }
        }
    }
}
