//! What a program's test works with: a broker, Java programs with Kafka's jars, counted checks.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::broker::java_tool;
use crate::checks::{Checked, Checks, Failure};

pub(super) struct ProgramRun {
    pub(super) bootstrap: String,
    pub(super) checks: Checks,
    /// Where the jars are.
    home: PathBuf,
}

/// A Java program that was started; it is killed when this is dropped.
pub(super) struct Running {
    class: String,
    child: Child,
    /// Its standard output; its standard error is beside it.
    output: PathBuf,
}

impl ProgramRun {
    pub(super) fn new(bootstrap: &str, home: &Path) -> ProgramRun {
        ProgramRun {
            bootstrap: bootstrap.to_owned(),
            checks: Checks::default(),
            home: home.to_owned(),
        }
    }

    /// The same for another broker.
    pub(super) fn at(&self, bootstrap: &str) -> ProgramRun {
        ProgramRun::new(bootstrap, &self.home)
    }

    /// Starts a Java program with its output in `name`.out and `name`.err in the current directory.
    pub(super) fn start(&self, name: &str, class: &str, args: &[&str]) -> Checked<Running> {
        self.start_with_input(name, class, args, Stdio::null())
    }

    fn start_with_input(
        &self,
        name: &str,
        class: &str,
        args: &[&str],
        input: Stdio,
    ) -> Checked<Running> {
        let here = std::env::current_dir()?;
        let output = here.join(format!("{name}.out"));
        let child = java_tool(&self.home)
            .arg("-Xmx256m")
            .arg(format!("-Djava.io.tmpdir={}", here.display()))
            .arg(class)
            .args(args)
            .stdin(input)
            .stdout(File::create(&output)?)
            .stderr(File::create(output.with_extension("err"))?)
            .spawn()?;
        let class = class.to_owned();
        Ok(Running {
            class,
            child,
            output,
        })
    }

    /// Runs a Java program that must end with exit code 0, and answers what it printed.
    pub(super) fn succeeds(&self, name: &str, class: &str, args: &[&str]) -> Checked<String> {
        self.start(name, class, args)?.succeeded()
    }

    /// Creates a topic with Kafka's tool.
    pub(super) fn create_topic(&self, topic: &str, partitions: &str) -> Checked {
        self.create_topic_with(topic, partitions, &[])
    }

    /// The same, with these further arguments.
    pub(super) fn create_topic_with(
        &self,
        topic: &str,
        partitions: &str,
        more: &[&str],
    ) -> Checked {
        let args = [
            "--bootstrap-server",
            &self.bootstrap,
            "--create",
            "--topic",
            topic,
        ];
        let args = [&args[..], &["--partitions", partitions], more].concat();
        self.succeeds("topics", "org.apache.kafka.tools.TopicCommand", &args)?;
        Ok(())
    }

    /// Writes lines with the console producer and these further arguments.
    pub(super) fn write_lines(&self, topic: &str, lines: &str, more: &[&str]) -> Checked {
        let input = format!("{topic}.input");
        std::fs::write(&input, lines)?;
        let args = ["--bootstrap-server", &self.bootstrap, "--topic", topic];
        let args = [&args[..], more].concat();
        let class = "org.apache.kafka.tools.ConsoleProducer";
        let input = Stdio::from(File::open(input)?);
        self.start_with_input("producer", class, &args, input)?
            .succeeded()?;
        Ok(())
    }

    /// Reads `count` records with the console consumer and these further arguments.
    pub(super) fn read_lines(
        &self,
        topic: &str,
        count: usize,
        more: &[&str],
    ) -> Checked<Vec<String>> {
        let count = count.to_string();
        let args = [
            "--bootstrap-server",
            &self.bootstrap,
            "--topic",
            topic,
            "--from-beginning",
        ];
        let args = [
            &args[..],
            &["--max-messages", &count, "--timeout-ms", "60000"],
            more,
        ]
        .concat();
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let said = self.succeeds(&format!("read-{topic}"), class, &args)?;
        let lines = said
            .lines()
            .filter(|line| !line.starts_with("Processed a total of"));
        Ok(lines.map(str::to_owned).collect())
    }
}

impl Running {
    /// Waits until the program has ended, which must be with exit code 0. The job's own limit ends the wait.
    pub(super) fn succeeded(mut self) -> Checked<String> {
        let status = self.child.wait()?;
        let said = self.said()?;
        if !status.success() {
            let said = said + &read(&self.output.with_extension("err"))?;
            let tail: Vec<&str> = said.lines().rev().take(12).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            return Err(Failure(format!(
                "{} ended with {status}: {}",
                self.class,
                tail.join(" / ")
            )));
        }
        Ok(said)
    }

    fn said(&self) -> Checked<String> {
        read(&self.output)
    }

    /// Ends the program with SIGTERM, and waits for it.
    pub(super) fn stop(mut self) -> Checked {
        Command::new("kill")
            .arg(self.child.id().to_string())
            .status()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends the program with SIGKILL.
    pub(super) fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(path: &Path) -> Checked<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

/// Waits until `done`.
pub(super) fn await_until(
    what: &str,
    seconds_max: u64,
    mut done: impl FnMut() -> Checked<bool>,
) -> Checked {
    let deadline = Instant::now() + Duration::from_secs(seconds_max);
    while !done()? {
        if Instant::now() > deadline {
            return Err(Failure(format!("{what}: not within {seconds_max} s")));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
