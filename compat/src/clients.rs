//! The real clients: which, at which version, how each is built and started, and what it lacks.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checks::{Checked, Failure};
use crate::driver::DriverCommand;

/// A client library with a program of ours around it, in `compat/clients/<name>/`.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// The pinned release, as the program's lock file has it.
    pub(crate) version: &'static str,
    pub(crate) from: &'static str,
    build: fn(&Places) -> Checked<DriverCommand>,
    /// The scenarios that it is there for, also where Kafka no longer serves it; none means all.
    only: &'static [&'static str],
    /// Scenarios that do not apply, and why.
    pub(crate) lacks: &'static [(&'static str, &'static str)],
}

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The `compat/` folder of the source tree.
    pub(crate) sources: PathBuf,
    /// Where clients, jars, logs and data directories go.
    pub(crate) cache: PathBuf,
}

impl Places {
    pub(crate) fn kafka(&self) -> PathBuf {
        self.cache.join("kafka")
    }

    pub(crate) fn client(&self, name: &str) -> PathBuf {
        self.sources.join("clients").join(name)
    }

    /// Where a suite is installed and built.
    pub(crate) fn suite(&self, name: &str) -> Checked<PathBuf> {
        let home = self.cache.join("suites").join(name);
        std::fs::create_dir_all(&home)?;
        Ok(home)
    }
}

impl Client {
    /// Installs what is missing and answers how to start the program.
    pub(crate) fn prepare(&self, places: &Places) -> Checked<DriverCommand> {
        (self.build)(places).map_err(|Failure(why)| Failure(format!("{}: {why}", self.name)))
    }

    /// Whether Ottla must pass also what Kafka fails.
    pub(crate) fn is_beyond_kafka(&self) -> bool {
        !self.only.is_empty()
    }

    pub(crate) fn lacking(&self, scenario: &str) -> Option<&'static str> {
        if self.is_beyond_kafka() && !self.only.contains(&scenario) {
            return Some("this client is there for other scenarios");
        }
        self.lacks
            .iter()
            .find(|(name, _)| *name == scenario)
            .map(|(_, reason)| *reason)
    }
}

/// Kafka's jars and the Java client that uses them.
pub(crate) fn java_client(places: &Places) -> Checked<DriverCommand> {
    kafka_jars(places)?;
    java(places)
}

pub(crate) const CLIENTS: &[Client] = &[
    Client {
        name: "java",
        version: "4.3.1",
        from: "Maven Central, kafka-clients",
        build: java,
        only: &[],
        lacks: &[],
    },
    Client {
        name: "rdkafka",
        version: "0.39.0",
        from: "crates.io, rdkafka (librdkafka 2.12.1)",
        build: rdkafka,
        only: &[],
        lacks: &[
            ("assignor-sticky", "librdkafka has no eager sticky assignor"),
            (
                "max-timestamp",
                "the crate does not wrap ListOffsets by maximum timestamp",
            ),
            (
                "admin-groups-list",
                "the crate has no filter for listing groups",
            ),
            (
                "admin-offsets-alter",
                "the crate does not wrap altering a group's offsets",
            ),
            (
                "admin-offsets-delete",
                "the crate does not wrap deleting a group's offsets",
            ),
            (
                "admin-members-remove",
                "the crate does not wrap removing members",
            ),
            ("admin-cluster", "the crate does not wrap DescribeCluster"),
            (
                "admin-configs-unknown",
                "the crate drops the error of a single resource",
            ),
        ],
    },
    Client {
        name: "confluent-kafka",
        version: "2.16.1",
        from: "PyPI, confluent-kafka",
        build: confluent,
        only: &[],
        lacks: &[
            ("assignor-sticky", "librdkafka has no eager sticky assignor"),
            (
                "admin-offsets-delete",
                "confluent-kafka does not wrap deleting a group's offsets",
            ),
            ("admin-members-remove", "librdkafka does not remove members"),
        ],
    },
    Client {
        name: "kafka-python",
        version: "3.0.12",
        from: "PyPI, kafka-python",
        build: kafka_python,
        only: &[],
        lacks: &[
            (
                "static-fenced",
                "kafka-python does not tell the application that it was fenced",
            ),
            (
                "admin-configs-unknown",
                "kafka-python drops the error of a single resource",
            ),
        ],
    },
    Client {
        name: "franz-go",
        version: "1.22.2",
        from: "Go module proxy, github.com/twmb/franz-go",
        build: franz_go,
        only: &[],
        lacks: &[],
    },
    Client {
        name: "kafkajs",
        version: "2.2.4",
        from: "npm, kafkajs",
        build: kafkajs,
        only: &[],
        lacks: &[
            ("codec-lz4", "kafkajs has no lz4 codec of its own"),
            ("codec-zstd", "kafkajs has no zstd codec of its own"),
            (
                "max-timestamp",
                "kafkajs does not ask for the maximum timestamp",
            ),
            ("reset-none", "kafkajs always resets"),
            ("assignor-range", "kafkajs assigns round robin only"),
            ("assignor-sticky", "kafkajs assigns round robin only"),
            ("assignor-cooperative", "kafkajs assigns round robin only"),
            ("static-member", "kafkajs has no static membership"),
            ("static-fenced", "kafkajs has no static membership"),
            (
                "admin-groups-list",
                "kafkajs lists groups without their states",
            ),
            (
                "admin-offsets-alter",
                "kafkajs joins the group to alter its offsets",
            ),
            (
                "admin-offsets-delete",
                "kafkajs does not delete a group's offsets",
            ),
            ("admin-members-remove", "kafkajs has no static membership"),
        ],
    },
    Client {
        name: "kafka-javascript",
        version: "1.10.1",
        from: "npm, @confluentinc/kafka-javascript (librdkafka 2.15.1)",
        build: kafka_javascript,
        only: &[],
        lacks: &[
            ("round-trip", "the client writes an empty value as none"),
            (
                "reset-none",
                "the client does not say why there is no offset to read from",
            ),
            (
                "static-fenced",
                "the client does not tell the application that it was fenced",
            ),
            ("assignor-sticky", "librdkafka has no eager sticky assignor"),
            (
                "admin-offsets-alter",
                "the client does not wrap altering a group's offsets",
            ),
            (
                "admin-offsets-delete",
                "the client does not wrap deleting a group's offsets",
            ),
            ("admin-members-remove", "librdkafka does not remove members"),
            ("admin-cluster", "the client does not wrap DescribeCluster"),
            ("admin-configs", "the client does not wrap DescribeConfigs"),
            (
                "admin-configs-unknown",
                "the client does not wrap DescribeConfigs",
            ),
        ],
    },
    Client {
        name: "platformatic-kafka",
        version: "1.35.0",
        from: "npm, @platformatic/kafka",
        build: platformatic_kafka,
        only: &[],
        lacks: &[
            ("codec-zstd", "Node.js 20 has no zstd"),
            ("reset-earliest", "the client does not reset"),
            ("reset-latest", "the client does not reset"),
            ("assignor-range", "the client assigns round robin only"),
            ("assignor-sticky", "the client assigns round robin only"),
            (
                "assignor-cooperative",
                "the client assigns round robin only",
            ),
            (
                "static-member",
                "the client leaves its group when it closes, as a static member too",
            ),
            (
                "static-fenced",
                "the client does not tell the application that it was fenced",
            ),
            (
                "admin-members-remove",
                "the client names members by id only when it removes them",
            ),
            (
                "restart-killed",
                "the client misreads the tagged fields that a fetch with an epoch from before the restart is answered with",
            ),
        ],
    },
    Client {
        name: "sarama",
        version: "1.40.1",
        from: "Go module proxy, github.com/IBM/sarama; commits with OffsetCommit 1, which Kafka 4 has dropped",
        build: sarama,
        only: &[
            "group-share",
            "group-resume",
            "group-auto-commit",
            "group-latest",
            "group-independent",
        ],
        lacks: &[],
    },
];

/// Runs a command that must succeed; its output is part of the failure.
pub(crate) fn run(command: &mut Command) -> Checked {
    let output = command
        .output()
        .map_err(|e| Failure(format!("cannot run {:?}: {e}", command.get_program())))?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let tail: Vec<&str> = text.lines().rev().take(30).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(Failure(format!(
        "{command:?} failed with {}:\n{}",
        output.status,
        tail.join("\n")
    )))
}

/// Does `work` unless it was done before for the same contents of `inputs`.
pub(crate) fn once(stamp: &Path, inputs: &[PathBuf], work: impl FnOnce() -> Checked) -> Checked {
    let mut contents = Vec::new();
    for input in inputs {
        contents.extend(std::fs::read(input)?);
    }
    let digest = format!("{:x}", md5::compute(&contents));
    if std::fs::read_to_string(stamp).is_ok_and(|done| done == digest) {
        return Ok(());
    }
    work()?;
    std::fs::write(stamp, digest)?;
    Ok(())
}

/// Apache Kafka's jars; the Java client, the tools and Kafka itself need them.
pub(crate) fn kafka_jars(places: &Places) -> Checked {
    jars(
        places,
        &places.kafka(),
        &places.sources.join("kafka/pom.xml"),
    )
}

/// The jars that `pom` names, and how Kafka's Java programs log, in `home`.
pub(crate) fn jars(places: &Places, home: &Path, pom: &Path) -> Checked {
    let sources = places.sources.join("kafka");
    run(Command::new(sources.join("setup.sh")).arg(home).arg(pom))?;
    std::fs::copy(sources.join("log4j2.yaml"), home.join("log4j2.yaml"))?;
    compile(places, "tools", &[sources.join("Tools.java")])
}

/// Java classes for the class path of Kafka's jars; `about` names what is compiled.
fn compile(places: &Places, about: &str, sources: &[PathBuf]) -> Checked {
    let home = places.kafka();
    let classes = home.join("classes");
    once(&home.join(format!("{about}.stamp")), sources, || {
        std::fs::create_dir_all(&classes)?;
        run(Command::new("javac")
            .args([
                "--release",
                "17",
                "-Xlint:all,-processing",
                "-Werror",
                "-proc:none",
            ])
            .arg("-cp")
            .arg(format!("{}/libs/*", home.display()))
            .arg("-d")
            .arg(&classes)
            .args(sources))
    })
}

fn java(places: &Places) -> Checked<DriverCommand> {
    let home = places.kafka();
    let sources = ["Driver.java", "Groups.java"].map(|file| places.client("java").join(file));
    compile(places, "classes", &sources)?;
    let command = crate::broker::java_tool(&home);
    let args = command
        .get_args()
        .map(|arg| arg.to_string_lossy().into_owned());
    Ok(DriverCommand {
        program: "java".into(),
        args: args.chain(["Driver".into()]).collect(),
    })
}

fn rdkafka(places: &Places) -> Checked<DriverCommand> {
    let target = places.cache.join("rdkafka");
    run(Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(places.client("rdkafka").join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target))?;
    Ok(DriverCommand {
        program: target.join("debug/ottla-compat-rdkafka"),
        args: vec![],
    })
}

fn python(places: &Places, name: &str) -> Checked<DriverCommand> {
    let sources = places.client(name);
    let python = install_python(&places.cache.join(name), &sources.join("requirements.txt"))?;
    let driver = sources.join("driver.py").display().to_string();
    Ok(DriverCommand {
        program: python,
        args: vec!["-B".into(), driver],
    })
}

/// Makes a virtual environment with these packages in `home`, and answers its interpreter.
pub(crate) fn install_python(home: &Path, requirements: &Path) -> Checked<PathBuf> {
    let python = home.join("bin/python");
    let stamp = home.with_extension("stamp");
    once(&stamp, &[requirements.to_owned()], || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(home))?;
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ])
            .args(["--only-binary", ":all:", "-r"])
            .arg(requirements))
    })?;
    Ok(python)
}

fn confluent(places: &Places) -> Checked<DriverCommand> {
    python(places, "confluent-kafka")
}

fn kafka_python(places: &Places) -> Checked<DriverCommand> {
    python(places, "kafka-python")
}

fn franz_go(places: &Places) -> Checked<DriverCommand> {
    go(places, "franz-go")
}

fn sarama(places: &Places) -> Checked<DriverCommand> {
    go(places, "sarama")
}

fn go(places: &Places, name: &str) -> Checked<DriverCommand> {
    let binary = places.cache.join(name);
    run(Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(places.client(name)))?;
    Ok(DriverCommand {
        program: binary,
        args: vec![],
    })
}

/// Installs what the client's lock file pins. `rebuilt` is the package with a native part: it is downloaded built, or
/// built against the system's libraries where it is out of reach. Other packages' scripts do not run.
fn npm(places: &Places, name: &str, rebuilt: Option<&str>) -> Checked<DriverCommand> {
    let home = places.cache.join(name);
    let sources = places.client(name);
    std::fs::create_dir_all(&home)?;
    let lock = sources.join("package-lock.json");
    let stamp = home.with_extension("stamp");
    once(&stamp, std::slice::from_ref(&lock), || {
        std::fs::copy(sources.join("package.json"), home.join("package.json"))?;
        std::fs::copy(&lock, home.join("package-lock.json"))?;
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&home))?;
        let Some(package) = rebuilt else {
            return Ok(());
        };
        run(Command::new("npm")
            .args(["rebuild", package])
            .env("CKJS_LINKING", "dynamic")
            // An optimizing build takes four minutes.
            .env("CFLAGS", "-O0")
            .env("CXXFLAGS", "-O0")
            .current_dir(&home))
    })?;
    // Modules are looked up beside the program's files, so these are copied to where they are.
    let driver = home.join("driver.mjs");
    std::fs::copy(sources.join("driver.mjs"), &driver)?;
    let core = places.client("javascript").join("core.mjs");
    std::fs::copy(core, home.join("core.mjs"))?;
    Ok(DriverCommand {
        program: "node".into(),
        args: vec![driver.display().to_string()],
    })
}

fn kafkajs(places: &Places) -> Checked<DriverCommand> {
    npm(places, "kafkajs", None)
}

fn kafka_javascript(places: &Places) -> Checked<DriverCommand> {
    let package = "@confluentinc/kafka-javascript";
    npm(places, "kafka-javascript", Some(package))
}

fn platformatic_kafka(places: &Places) -> Checked<DriverCommand> {
    npm(places, "platformatic-kafka", None)
}
