//! The binary, as people and scripts meet it: what it prints, what it returns, what it leaves alone.

use crate::common::process::{Running, clean, ottla};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a command that ends by itself. One that does not is stopped, and the test fails.
fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let mut running = start(command);
    let polls = (0..PATIENCE_MS / POLL_MS).any(|_| {
        std::thread::sleep(Duration::from_millis(POLL_MS));
        running.child.try_wait().unwrap().is_some()
    });
    assert!(polls, "still running: {command:?}");
    let mut stdout = String::new();
    running.stdout.read_to_string(&mut stdout).unwrap();
    let (code, stderr) = running.ended();
    (code, stdout, stderr)
}

/// How long a command may take that has nothing to wait for; much, since the machine may be busy.
const PATIENCE_MS: u64 = 30_000;
const POLL_MS: u64 = 5;

#[expect(
    clippy::disallowed_methods,
    reason = "a test lays out files for a process"
)]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Exit code 2, nothing on standard output, one sentence on standard error.
fn assert_refused(command: &mut Command, part: &str) {
    let (code, stdout, stderr) = output(command);
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(stdout, "");
    assert!(
        stderr.starts_with("ottla: ") && stderr.trim_end().lines().count() == 1,
        "{stderr}"
    );
    assert!(stderr.contains(part), "{stderr}");
}

#[test]
fn wrong_words_are_answered_with_one_sentence_and_code_2() {
    assert_refused(ottla().arg("fly"), "fly");
    assert_refused(ottla().args(["check"]), "<FILE>");
    assert_refused(ottla().args(["run", "--port", "1"]), "--port");
    assert_refused(ottla().args(["run", "--listen", "nowhere"]), "--listen");
    assert_refused(ottla().args(["run", "--set", "x"]), "KEY=VALUE");
    assert_refused(ottla().args(["run", "--log", "loud=x=y"]), "log level");
    assert_refused(ottla().args(["run", "/no/such/file"]), "/no/such/file");
    assert_refused(ottla().args(["format", "-c", "x"]), "--cluster-id");
    assert_refused(ottla().args(["dump", "/no/such/file"]), "/no/such/file");
}

#[test]
fn alone_it_prints_its_help() {
    let (code, stdout, _) = output(&mut ottla());
    assert_eq!(code, Some(0));
    assert!(
        stdout.contains("ottla run") && stdout.contains("Commands:"),
        "{stdout}"
    );
}

#[test]
fn a_configuration_that_cannot_be_used_stops_run_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    for (key, value, part) in [
        (
            "num.partitions",
            "many",
            "many for configuration num.partitions",
        ),
        ("log.segment.bytes", "14", "at least 1048576"),
        ("authorizer.class.name", "x.Y", "access control"),
        ("listeners", "SASL_SSL://:9092", "SASL_SSL"),
        (
            "default.replication.factor",
            "3",
            "more replicas than brokers",
        ),
    ] {
        write(
            &file,
            &format!("log.dirs={}/data\n{key}={value}\n", dir.path().display()),
        );
        assert_refused(ottla().arg("run").arg(&file), part);
        assert_refused(ottla().arg("check").arg(&file), part);
        assert!(!dir.path().join("data").exists());
    }
}

#[test]
fn check_says_what_a_broker_would_make_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    write(
        &file,
        "node.id=3\nlog.dirs=/d\nnum.io.threads=4\nmetadata.max.idle.interval.ms=1\nmy.key=1\n",
    );
    let (code, stdout, stderr) = output(ottla().arg("check").arg(&file));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for part in [
        "A broker would start: node 3, PLAINTEXT://:9092, data in /d",
        "not enforced yet: metadata.max.idle.interval.ms",
        "without effect here: num.io.threads",
        "unknown and ignored: my.key",
    ] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
}

#[test]
fn check_names_everything_that_is_wrong_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    write(
        &file,
        "num.partitions=0\nnode.id=x\nsuper.users=User:a\nlisteners=A://:1\n",
    );
    let (code, _, stderr) = output(ottla().arg("check").arg(&file));
    assert_eq!(code, Some(2));
    for part in [
        "Invalid value 0 for configuration num.partitions",
        "Invalid value x for configuration node.id",
        "super.users=User:a",
        "listener A",
        "4 reasons",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn a_random_uuid_is_one_that_format_takes() {
    let (_, id, _) = output(ottla().arg("random-uuid"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    write(
        &file,
        &format!("node.id=1\nlog.dirs={}/data\n", dir.path().display()),
    );
    let format = || {
        let mut command = ottla();
        command.args(["format", "-t", id.trim(), "-c"]).arg(&file);
        command
    };
    assert_eq!(output(&mut format()).0, Some(0));
    assert!(dir.path().join("data/meta.properties").exists());
    let (code, _, stderr) = output(&mut format());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("already formatted"), "{stderr}");
    assert_eq!(output(format().arg("--ignore-formatted")).0, Some(0));
}

/// Starts it; what it logs is read when it has ended.
fn start(command: &mut Command) -> Running {
    Running::start(command.stderr(Stdio::piped()))
}

fn on_a_free_port(data: &Path) -> Command {
    let mut command = ottla();
    command
        .args(["run", "--listen", "localhost:0", "--data"])
        .arg(data);
    command
}

#[test]
fn the_first_line_of_run_says_where_it_serves_and_sigterm_stops_it_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut broker = start(&mut on_a_free_port(&data));
    let ready = broker.ready();
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["node_id"], 1);
    assert_eq!(ready["pid"], broker.child.id());
    assert_eq!(ready["cluster_id"].as_str().unwrap().len(), 22);
    let bootstrap = ready["bootstrap"].as_str().unwrap().to_owned();
    let port: u16 = bootstrap
        .strip_prefix("localhost:")
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(port, 0);
    std::net::TcpStream::connect(("localhost", port)).unwrap();
    broker.signal("TERM");
    let (code, log) = broker.ended();
    assert_eq!(code, Some(0), "{log}");

    // The same directory again: the same cluster.
    let mut again = start(&mut on_a_free_port(&data));
    assert_eq!(again.ready()["cluster_id"], ready["cluster_id"]);
    again.signal("INT");
    assert_eq!(again.ended().0, Some(0));
}

/// With the 1024 that a shell begins with, a few hundred partitions were too many.
#[test]
fn run_may_open_as_many_files_as_the_hard_limit_allows() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = clean(Command::new("sh"));
    let script = "ulimit -Sn 100 && ulimit -Hn 900 && exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_ottla")]);
    command.args(["run", "--listen", "localhost:0", "--data"]);
    let mut broker = start(command.arg(dir.path().join("data")));
    broker.ready();
    let file = format!("/proc/{}/limits", broker.child.id());
    let (_, limits, _) = output(Command::new("cat").arg(file));
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["900", "900"]);
}

#[test]
fn the_start_report_names_what_is_not_enforced() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = on_a_free_port(&dir.path().join("data"));
    command.args([
        "--set",
        "metadata.max.idle.interval.ms=1",
        "--set",
        "my.key=1",
    ]);
    let mut broker = start(command.env("KAFKA_HEAP_OPTS", "-Xmx1G"));
    broker.ready();
    broker.signal("TERM");
    let (_, log) = broker.ended();
    for part in [
        "not enforced yet: metadata.max.idle.interval.ms",
        "unknown and ignored: my.key",
        "without effect here: KAFKA_HEAP_OPTS",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn a_directory_of_another_node_is_refused_and_both_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut broker = start(&mut on_a_free_port(&data));
    broker.ready();
    broker.signal("TERM");
    assert_eq!(broker.ended().0, Some(0));
    let (code, stdout, stderr) = output(on_a_free_port(&data).args(["--set", "node.id=8"]));
    assert_ne!(code, Some(0));
    assert_eq!(stdout, "");
    assert!(stderr.contains('8') && stderr.contains('1'), "{stderr}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let mut command = ottla();
    command
        .args(["run", "--listen", &address, "--data"])
        .arg(dir.path().join("data"));
    let (code, stdout, stderr) = output(&mut command);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains(&address), "{stderr}");
}

/// The image's contract, as a program like Testcontainers uses it: variables in, `/bin/sh` runs the
/// image's script, and the three lines come in their order.
#[test]
fn the_images_script_runs_a_broker_from_variables_alone() {
    let dir = tempfile::tempdir().unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_ottla")).parent().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/docker/run");
    let mut command = clean(Command::new("/bin/sh"));
    command
        .arg(script)
        .arg("KAFKA_NODE_ID=4")
        .env("PATH", format!("{}:/usr/bin:/bin", binaries.display()))
        .env("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw")
        .env("KAFKA_NODE_ID", "1")
        .env("KAFKA_PROCESS_ROLES", "broker,controller")
        .env(
            "KAFKA_LISTENERS",
            "PLAINTEXT://:0,TC-0://127.0.0.1:0,CONTROLLER://:0",
        )
        .env(
            "KAFKA_ADVERTISED_LISTENERS",
            "PLAINTEXT://localhost:0,TC-0://localhost:0",
        )
        .env(
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "PLAINTEXT:PLAINTEXT,TC-0:PLAINTEXT,CONTROLLER:PLAINTEXT",
        )
        .env("KAFKA_INTER_BROKER_LISTENER_NAME", "TC-0")
        .env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .env("KAFKA_LOG_DIRS", dir.path().join("data"));
    let mut broker = start(&mut command);
    let ready = broker.ready();
    assert_eq!(ready["node_id"], 4, "an argument lies over the environment");
    assert_eq!(ready["cluster_id"], "4L6g3nShT-eMCtK--X86sw");
    assert_eq!(
        broker.line(),
        "[KafkaRaftServer nodeId=4] Kafka Server started"
    );
    assert!(
        broker
            .line()
            .contains("Transitioning from RECOVERY to RUNNING")
    );
    assert_eq!(broker.line(), "[KafkaServer id=4] started");
    broker.signal("TERM");
    assert_eq!(broker.ended().0, Some(0));
}
