//! How tools are run: most of them one after the other in one JVM, which saves a second each time.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::broker::{java_tool, start_tool};
use crate::checks::{Checked, Failure};
use crate::driver::{Driver, DriverCommand, Reply};

/// Longest that a tool may take.
const TOOL: Duration = Duration::from_secs(100);

/// What a tool did, as it came.
pub(super) struct Raw {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The JVM that runs tools one after the other (compat/kafka/Tools.java), in the directory `dir`.
pub(super) struct Shared(Driver);

impl Shared {
    pub(super) fn start(home: &Path, dir: &Path) -> Checked<Shared> {
        let java = java_tool(home);
        let java = java
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned());
        let jars = ["kafka-tools-4.3.1.jar", "kafka_2.13-4.3.1.jar"]
            .map(|jar| home.join("libs").join(jar).display().to_string());
        let [jars @ .., last] = jars;
        let command = DriverCommand {
            program: "env".into(),
            args: ["--chdir".into(), dir.display().to_string(), "java".into()]
                .into_iter()
                .chain(java)
                .chain(["Tools".into()])
                .chain(jars)
                .collect(),
        };
        Ok(Shared(Driver::start(
            &command,
            &last,
            &dir.join("tools.log"),
        )?))
    }

    pub(super) fn run(&mut self, class: &str, args: &[String], input: &str) -> Checked<Raw> {
        let request = json!({ "class": class, "args": args, "input": input });
        match self.0.call("run", request, TOOL, |_| ())? {
            Reply::Ok(answer) => {
                let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
                Ok(Raw {
                    code: answer["code"]
                        .as_i64()
                        .and_then(|code| code.try_into().ok())
                        .unwrap_or(-1),
                    stdout: text("out"),
                    stderr: text("err"),
                })
            }
            Reply::Error { message, .. } => Err(Failure(message)),
        }
    }
}

/// A tool in a JVM of its own. Dropped, it is killed.
pub(super) struct Process {
    child: Child,
    stdout: Printed,
    stderr: Printed,
}

/// What a process has printed so far.
struct Printed {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    pub(super) fn start(
        home: &Path,
        dir: &Path,
        class: &str,
        args: &[String],
        input: &str,
    ) -> Checked<Process> {
        let mut all = vec!["-Dlog4j2.level=OFF", class];
        all.extend(args.iter().map(String::as_str));
        let mut child = start_tool(home, TOOL, &all, dir, input)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Process {
            stdout: Printed::from(stdout),
            stderr: Printed::from(stderr),
            child,
        })
    }

    /// Waits until its standard output has the word, or for `longest`.
    pub(super) fn wait_for(&self, word: &str, longest: Duration) {
        let deadline = Instant::now() + longest;
        while !self.stdout.text().contains(word) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the tool with SIGTERM.
    pub(super) fn stop(self) -> Checked<Raw> {
        Command::new("kill")
            .arg(self.child.id().to_string())
            .status()?;
        self.wait()
    }

    pub(super) fn wait(mut self) -> Checked<Raw> {
        let code = self.child.wait()?.code().unwrap_or(-1);
        Ok(Raw {
            code,
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Printed {
    fn from(mut pipe: Option<impl Read + Send + 'static>) -> Printed {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Some(Ok(count @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut part)) {
                if let Ok(mut read) = read.lock() {
                    read.extend(&part[..count]);
                }
            }
        });
        Printed {
            bytes,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock();
        bytes.map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Everything, once the process has closed the pipe.
    fn whole(&mut self) -> String {
        drop(self.reader.take().map(JoinHandle::join));
        self.text()
    }
}

/// What the shell's `command` makes of the input.
pub(super) fn piped(command: &str, input: &str) -> Checked<String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // In a thread, for a command that writes while it reads.
        scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        child.wait_with_output()
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
