//! Two brokers that are asked the same, and what they answer, compared field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ottla_codegen::schema::Message;
use serde_json::Value;

use super::allowed::ALLOWED;
use super::codec::{self, Asked, Schemas};
use crate::checks::{Checked, Failure};

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(8);
/// The correlation id of every request: one is under way at a time.
const CORRELATION: i32 = 7;

/// What came back for one request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Answer(Value),
    /// The broker closed the connection.
    Closed,
    Silence,
    /// An answer that the schema cannot read.
    Unreadable(String),
}

impl Reply {
    /// The answer's fields; null where there is no answer.
    pub(super) fn body(&self) -> &Value {
        match self {
            Reply::Answer(value) => value,
            _ => &Value::Null,
        }
    }
}

/// One broker, and what was kept of its answers: ids that it drew itself.
pub(super) struct Side {
    address: String,
    stream: Option<TcpStream>,
    kept: BTreeMap<String, Value>,
}

impl Side {
    pub(super) fn new(address: String) -> Side {
        Side {
            address,
            stream: None,
            kept: BTreeMap::new(),
        }
    }

    /// What [`Pair::keep`] has put there; null if nothing.
    pub(super) fn kept(&self, name: &str) -> Value {
        self.kept.get(name).cloned().unwrap_or(Value::Null)
    }

    /// Sends a whole frame and reads the next: its bytes without the length, or none of [`Reply`]'s
    /// answers.
    fn exchange(&mut self, frame: &[u8]) -> Checked<Result<Vec<u8>, Reply>> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        let Some(stream) = &mut self.stream else {
            return Err(Failure("no connection".into()));
        };
        let mut read = || -> std::io::Result<Vec<u8>> {
            stream.write_all(frame)?;
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut body = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap_or(0)];
            stream.read_exact(&mut body)?;
            Ok(body)
        };
        let reply = match read() {
            Ok(body) => return Ok(Ok(body)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Reply::Silence,
                _ => Reply::Closed,
            },
        };
        self.stream = None;
        Ok(Err(reply))
    }

    fn ask(&mut self, api: &Api<'_>, version: i16, body: &[u8]) -> Checked<Reply> {
        let frame = frame(api.request, version, body);
        let bytes = match self.exchange(&frame)? {
            Ok(bytes) => bytes,
            Err(reply) => return Ok(reply),
        };
        Ok(match api.read(version, &bytes) {
            Ok(value) => Reply::Answer(value),
            Err(Failure(why)) => Reply::Unreadable(why),
        })
    }
}

struct Api<'a> {
    name: &'a str,
    request: &'a Message,
    response: &'a Message,
}

impl Api<'_> {
    fn read(&self, version: i16, mut bytes: &[u8]) -> Checked<Value> {
        let (correlation, rest) = bytes
            .split_at_checked(4)
            .ok_or_else(|| Failure("no header".into()))?;
        if correlation != CORRELATION.to_be_bytes() {
            return Err(Failure(format!("correlation id {correlation:?}")));
        }
        bytes = rest;
        // The answer to ApiVersions has the old header in every version, and is in version 0 where the
        // broker does not know the one that was asked for.
        if self.name == "ApiVersions" {
            let known = self.response.versions.contains(version);
            let version = if known { version } else { 0 };
            return codec::decode(self.response, version, bytes);
        }
        if self.response.flexible.contains(version) && codec::read_varint(&mut bytes)? != 0 {
            return Err(Failure("a tagged field in the header".into()));
        }
        codec::decode(self.response, version, bytes)
    }
}

fn frame(request: &Message, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(request.key.unwrap_or(-1).to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(CORRELATION.to_be_bytes());
    let client = b"differential";
    frame.extend([0, 12]);
    frame.extend_from_slice(client);
    if request.flexible.contains(version) {
        frame.push(0);
    }
    frame.extend_from_slice(body);
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend(frame);
    whole
}

/// Apache Kafka beside Ottla.
pub(super) struct Pair<'a> {
    pub(super) schemas: &'a Schemas,
    asked: Asked,
    pub(super) kafka: Side,
    pub(super) ottla: Side,
    /// The case that asks now.
    case: &'static str,
    /// What is odd about its requests, for the report.
    pub(super) oddity: String,
    last: (Reply, Reply),
    pub(super) report: Report,
}

/// What a run found.
#[derive(Default)]
pub(super) struct Report {
    pub(super) requests: u32,
    pub(super) fields: u32,
    /// Per difference, where it was met: path, case and version.
    pub(super) differences: BTreeMap<String, BTreeSet<String>>,
    /// How often each line of [`ALLOWED`] was needed, by its place.
    pub(super) allowed: BTreeMap<usize, u32>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        schemas: &'a Schemas,
        asked: Asked,
        kafka: String,
        ottla: String,
    ) -> Pair<'a> {
        Pair {
            schemas,
            asked,
            kafka: Side::new(kafka),
            ottla: Side::new(ottla),
            case: "",
            oddity: String::new(),
            last: (Reply::Closed, Reply::Closed),
            report: Report::default(),
        }
    }

    pub(super) fn begin(&mut self, case: &'static str) {
        self.case = case;
        self.kafka.stream = None;
        self.ottla.stream = None;
    }

    /// The versions of an API that are asked.
    pub(super) fn versions(&self, api: &str) -> Checked<Vec<i16>> {
        Ok(self.schemas.versions(api, self.asked)?.collect())
    }

    /// Asks both the same and notes every difference.
    pub(super) fn ask(
        &mut self,
        api: &str,
        version: i16,
        body: impl Fn(&Side) -> Value,
    ) -> Checked<&Reply> {
        let request = self.schemas.request(api)?;
        let kafka = codec::encode(request, version, &body(&self.kafka))?;
        let ottla = codec::encode(request, version, &body(&self.ottla))?;
        self.ask_bytes(api, version, &kafka, &ottla)
    }

    /// The same with bodies that are ready.
    pub(super) fn ask_bytes(
        &mut self,
        api: &str,
        version: i16,
        to_kafka: &[u8],
        to_ottla: &[u8],
    ) -> Checked<&Reply> {
        let described = Api {
            name: api,
            request: self.schemas.request(api)?,
            response: self.schemas.response(api)?,
        };
        let kafka = self.kafka.ask(&described, version, to_kafka)?;
        let ottla = self.ottla.ask(&described, version, to_ottla)?;
        self.report.requests += 1;
        // Of a Kafka that has old versions only these are of interest.
        if self.asked == Asked::Release || self.versions(api)?.contains(&version) {
            self.compare(api, version, &kafka, &ottla);
        }
        self.last = (kafka, ottla);
        Ok(&self.last.1)
    }

    /// Asks every version.
    pub(super) fn each_version(
        &mut self,
        api: &str,
        body: impl Fn(&Side, i16) -> Value,
    ) -> Checked {
        for version in self.versions(api)? {
            self.ask(api, version, |side| body(side, version))?;
        }
        Ok(())
    }

    /// Asks until both give an answer that is `ready`; only the last one is compared.
    pub(super) fn ask_until(
        &mut self,
        api: &str,
        version: i16,
        body: impl Fn(&Side) -> Value,
        ready: impl Fn(&Value) -> bool,
    ) -> Checked {
        let described = Api {
            name: api,
            request: self.schemas.request(api)?,
            response: self.schemas.response(api)?,
        };
        for side in [&mut self.kafka, &mut self.ottla] {
            let bytes = codec::encode(described.request, version, &body(side))?;
            for _ in 0..300 {
                if ready(side.ask(&described, version, &bytes)?.body()) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        self.ask(api, version, body).map(drop)
    }

    /// Keeps a part of the last answers under `name`, for later requests.
    pub(super) fn keep(&mut self, name: &str, part: impl Fn(&Value) -> Value) {
        let (kafka, ottla) = (part(self.last.0.body()), part(self.last.1.body()));
        self.kafka.kept.insert(name.to_owned(), kafka);
        self.ottla.kept.insert(name.to_owned(), ottla);
    }

    fn compare(&mut self, api: &str, version: i16, kafka: &Reply, ottla: &Reply) {
        let (kafka, ottla) = match (kafka, ottla) {
            (Reply::Answer(theirs), Reply::Answer(ours)) => (leaves(theirs), leaves(ours)),
            _ => (kind(kafka), kind(ottla)),
        };
        let paths: BTreeSet<&String> = kafka.keys().chain(ottla.keys()).collect();
        for path in paths {
            self.report.fields += 1;
            let (theirs, ours) = (kafka.get(path), ottla.get(path));
            if theirs == ours {
                continue;
            }
            let plain = plain(path);
            let excuse = ALLOWED.iter().position(|allowed| {
                allowed.is_about(self.case, api, path, &plain) && allowed.rule.holds(theirs, ours)
            });
            if let Some(place) = excuse {
                *self.report.allowed.entry(place).or_default() += 1;
                continue;
            }
            let text = |leaf: Option<&Value>| leaf.map_or("nothing".into(), Value::to_string);
            let difference = format!(
                "{api} {plain}: Kafka {}, Ottla {}",
                text(theirs),
                text(ours)
            );
            let met = self.report.differences.entry(difference).or_default();
            let Pair { case, oddity, .. } = self;
            met.insert(format!("{path} in {case} v{version}{oddity}"));
        }
    }
}

/// Fields that tell the elements of an array apart, in the order in which they are tried.
const NAMES: &[&str] = &[
    "Name",
    "TopicName",
    "Topic",
    "PartitionIndex",
    "Index",
    "Partition",
    "PartitionId",
    "GroupId",
    "Group",
    "ResourceName",
    "NodeId",
    "BrokerId",
    "ApiKey",
    "Feature",
    "Key",
    "Offset",
];

/// Every leaf of an answer under its path, elements of arrays named by what they are and not by their
/// place: brokers list most things in no order.
fn leaves(answer: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    walk(answer, String::new(), &mut found);
    found
}

/// What kind of reply it is, where not both are answers.
fn kind(reply: &Reply) -> BTreeMap<String, Value> {
    let text = match reply {
        Reply::Answer(_) => "an answer".to_owned(),
        Reply::Unreadable(why) => format!("unreadable: {why}"),
        plain => format!("{plain:?}"),
    };
    BTreeMap::from([("reply".to_owned(), text.into())])
}

fn walk(value: &Value, path: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                walk(field, format!("{path}{dot}{name}"), found);
            }
        }
        Value::Array(elements) => {
            let mut seen: BTreeMap<String, u32> = BTreeMap::new();
            if elements.iter().all(|element| !element.is_object()) {
                let mut sorted = elements.clone();
                sorted.sort_by_key(Value::to_string);
                found.insert(path, Value::Array(sorted));
                return;
            }
            found.insert(format!("{path}.count"), elements.len().into());
            for element in elements {
                let named = NAMES.iter().find_map(|name| {
                    let name = element.get(name)?;
                    Some(name.as_str().map_or(name.to_string(), str::to_owned))
                });
                let named = named.unwrap_or_default();
                let times = seen.entry(named.clone()).or_default();
                *times += 1;
                let again = if *times > 1 {
                    format!("#{times}")
                } else {
                    String::new()
                };
                walk(element, format!("{path}[{named}{again}]"), found);
            }
        }
        leaf => {
            found.insert(path, leaf.clone());
        }
    }
}

/// A path without the names of elements: what the schemas call the field.
fn plain(path: &str) -> String {
    let mut depth = 0;
    let mut out = String::new();
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_compared_by_their_name_and_not_by_their_place() {
        let one = json!({"Topics": [{"Name": "a", "X": 1}, {"Name": "b", "X": 2}]});
        let two = json!({"Topics": [{"Name": "b", "X": 2}, {"Name": "a", "X": 1}]});
        assert_eq!(leaves(&one), leaves(&two));
        assert_eq!(leaves(&one)["Topics[b].X"], json!(2));
    }

    #[test]
    fn a_path_is_matched_without_the_names_of_elements() {
        assert_eq!(
            plain("Topics[a].Partitions[0].ErrorCode"),
            "Topics.Partitions.ErrorCode"
        );
    }
}
