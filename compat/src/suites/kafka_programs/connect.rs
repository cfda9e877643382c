//! Kafka Connect with its file connectors: lines of a file go through a topic into another file.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::run::{ProgramRun, Running, await_until};
use crate::broker::free_port;
use crate::checks::{Checked, Failure};

const SOURCE: &str = "source.txt";
const SINK: &str = "sink.txt";
const LINES: usize = 500;
/// Ten times the interval at which a worker stores how far it is.
const STORED: Duration = Duration::from_secs(5);

/// One process that keeps its offsets in a file; it is stopped and started again between two halves of the source.
pub(super) fn standalone(run: &mut ProgramRun) -> Checked {
    std::fs::write(
        "worker.properties",
        worker(run, 0) + "offset.storage.file.filename=offsets\n",
    )?;
    for (name, config) in connectors("standalone") {
        let mut properties = format!("name={name}\n");
        for (key, value) in config.as_object().into_iter().flatten() {
            _ = writeln!(properties, "{key}={}", value.as_str().unwrap_or_default());
        }
        std::fs::write(format!("{name}.properties"), properties)?;
    }
    for half in 1..=2 {
        append_lines(half)?;
        let worker = run.start(
            &format!("worker-{half}"),
            "org.apache.kafka.connect.cli.ConnectStandalone",
            &["worker.properties", "source.properties", "sink.properties"],
        )?;
        check_sink(run, half)?;
        worker.stop()?;
    }
    Ok(())
}

/// A worker that keeps its connectors, offsets and states in compacted topics; it is killed, and another one finds
/// all of that.
pub(super) fn distributed(run: &mut ProgramRun) -> Checked {
    let port = free_port()?;
    let mut properties = worker(run, port) + "group.id=connect\n";
    for storage in ["config", "offset", "status"] {
        _ = writeln!(
            properties,
            "{storage}.storage.topic=connect-{storage}\n{storage}.storage.replication.factor=1"
        );
    }
    std::fs::write("worker.properties", properties)?;
    append_lines(1)?;
    let worker = start_distributed(run, 1, port)?;
    for (name, config) in connectors("distributed") {
        let wanted = json!({"name": name, "config": config});
        let status = request(port, "POST", "/connectors", &wanted)?.0;
        run.checks
            .equal("status of the new connector", status, 201)?;
    }
    check_sink(run, 1)?;
    std::thread::sleep(STORED);
    worker.kill();

    append_lines(2)?;
    let worker = start_distributed(run, 2, port)?;
    check_sink(run, 2)?;
    let (_, names) = request(port, "GET", "/connectors", &Value::Null)?;
    let names = names.as_array().map(Vec::len);
    run.checks
        .equal("connectors that are found again", names, Some(2))?;
    worker.stop()
}

fn start_distributed(run: &ProgramRun, number: usize, port: u16) -> Checked<Running> {
    let class = "org.apache.kafka.connect.cli.ConnectDistributed";
    let worker = run.start(&format!("worker-{number}"), class, &["worker.properties"])?;
    await_until("the worker answers", 120, || {
        Ok(
            request(port, "GET", "/connectors", &Value::Null)
                .is_ok_and(|(status, _)| status == 200),
        )
    })?;
    Ok(worker)
}

/// What workers of both kinds are told.
fn worker(run: &ProgramRun, port: u16) -> String {
    let mut properties = format!(
        "bootstrap.servers={}\nlisteners=http://127.0.0.1:{port}\noffset.flush.interval.ms=500\n",
        run.bootstrap
    );
    for part in ["key", "value"] {
        _ = writeln!(
            properties,
            "{part}.converter=org.apache.kafka.connect.storage.StringConverter"
        );
    }
    properties
}

/// The source and the sink, by their names.
fn connectors(topic: &str) -> [(&'static str, Value); 2] {
    let connector = |kind: &str, topic_key: &str, file: &str| {
        json!({
            "connector.class": format!("org.apache.kafka.connect.file.FileStream{kind}Connector"),
            "tasks.max": "1",
            topic_key: format!("connect-{topic}"),
            "file": file,
        })
    };
    [
        ("source", connector("Source", "topic", SOURCE)),
        ("sink", connector("Sink", "topics", SINK)),
    ]
}

/// Adds the lines of one half to the source.
fn append_lines(half: usize) -> Checked {
    let lines: String = ((half - 1) * LINES..half * LINES)
        .map(|i| format!("line {i}\n"))
        .collect();
    let mut source = std::fs::File::options()
        .create(true)
        .append(true)
        .open(SOURCE)?;
    source.write_all(lines.as_bytes())?;
    Ok(())
}

/// Waits until the sink has all halves so far; it must be the source, without a line twice.
fn check_sink(run: &mut ProgramRun, halves: usize) -> Checked {
    let sink = || std::fs::read_to_string(SINK).unwrap_or_default();
    await_until("the sink has all lines", 120, || {
        Ok(sink().lines().count() >= halves * LINES)
    })?;
    let same = sink() == std::fs::read_to_string(SOURCE)?;
    run.checks.holds("the sink is the source", same)
}

/// A request to the worker's REST interface: its status and its answer.
fn request(port: u16, method: &str, path: &str, body: &Value) -> Checked<(u16, Value)> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = status.ok_or_else(|| Failure(format!("not an answer: {answer}")))?;
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
