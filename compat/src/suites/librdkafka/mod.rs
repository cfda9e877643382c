//! librdkafka: its own integration tests, one process for each test number, and for two long ones
//! one for each of their sub-tests.

mod list;
mod report;

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Company, Fast, Job, Suite, Wait, cargo};
use crate::broker::{Settings, java_tool};
use crate::checks::Checked;
use crate::clients::{Places, kafka_jars, once, run};
use list::{Scenario, Test};

pub(super) const SUITE: Suite = Suite {
    name: "librdkafka",
    version: "2.12.1",
    from: "crates.io, rdkafka-sys 4.10.0+2.12.1, librdkafka/tests",
    prepare,
    port: None,
    waits: &[
        Wait {
            test: "0103_transactions/do_test_misuse_txn",
            feature: "transactions",
            reason: "it begins transactions",
        },
        Wait {
            test: "0055_producer_latency",
            feature: "transactions",
            reason: "its last sub-test produces in a transaction",
        },
        Wait {
            test: "0055_producer_latency/test_producer_latency: transactions*",
            feature: "transactions",
            reason: "it produces in a transaction",
        },
        Wait {
            test: "0061_consumer_lag",
            feature: "transactions",
            reason: "its second sub-test produces in a transaction",
        },
        Wait {
            test: "0061_consumer_lag/do_test_consumer_lag: Test consumer lag with transactions",
            feature: "transactions",
            reason: "it produces in a transaction",
        },
        Wait {
            test: "0137_barrier_batch_consume",
            feature: "transactions",
            reason: "its last sub-test produces in a transaction",
        },
        Wait {
            test: "0137_barrier_batch_consume/do_test_consume_batch_control_msgs*",
            feature: "transactions",
            reason: "it produces in a transaction",
        },
        Wait {
            test: "0081_admin/do_test_UserScramCredentials*",
            feature: "SASL/SCRAM",
            reason: "it alters users' credentials",
        },
    ],
    unsteady: &[],
    // What takes no more than fifteen seconds, and covers each part of the protocol.
    fast: Fast::Only(&[
        "0001",
        "0002",
        "0003",
        "0005",
        "0007",
        "0008",
        "0011",
        "0012",
        "0013",
        "0014",
        "0015",
        "0016",
        "0017",
        "0019",
        "0021",
        "0022",
        "0029",
        "0031",
        "0034",
        "0035",
        "0036",
        "0039",
        "0041",
        "0042",
        "0048",
        "0054",
        "0056",
        "0057",
        "0059",
        "0060",
        "0063",
        "0064",
        "0065",
        "0067",
        "0070",
        "0073",
        "0081-do_test_AlterConfigs",
        "0081-do_test_AlterConsumerGroupOffsets",
        "0081-do_test_DeleteConsumerGroupOffsets",
        "0081-do_test_DescribeCluster",
        "0081-do_test_DescribeConfigs",
        "0081-do_test_DescribeConfigs_groups",
        "0081-do_test_DescribeTopics",
        "0081-do_test_IncrementalAlterConfigs",
        "0081-do_test_ListOffsets",
        "0082",
        "0085",
        "0086",
        "0090",
        "0099",
        "0113-a_assign_tests",
        "0113-f_assign_call_cooperative",
        "0113-g_incremental_assign_call_eager",
        "0130",
        "0140",
    ]),
};

/// What the tests' own cluster is configured with (tests/scenarios/default.json).
const DEFAULT: &Settings = &[("num.partitions", "4")];
/// The scenario of tests that create every topic themselves (tests/scenarios/noautocreate.json).
const NO_AUTO_CREATE: &Settings = &[
    ("num.partitions", "4"),
    ("auto.create.topics.enable", "false"),
];

/// The tests have time limits of their own. Six variations of one take a minute each.
const LIMIT: Duration = Duration::from_secs(420);

const LONGEST: &str = "0113-u_multiple_subscription_changes";

/// They load the machine, or measure how long something took.
const ALONE: &[&str] = &["0038", "0053", "0055"];

fn prepare(places: &Places) -> Checked<Vec<Job>> {
    let pins = places.client("rdkafka");
    let source = cargo::source(&pins.join("Cargo.toml"), "rdkafka-sys", "4.10.0+2.12.1")?;
    let home = places.suite("librdkafka")?;
    let build = home.join("librdkafka");
    let script = places.sources.join("suites/librdkafka/build.sh");
    let inputs = [pins.join("Cargo.lock"), script.clone()];
    once(&home.join("built"), &inputs, || {
        if build.exists() {
            std::fs::remove_dir_all(&build)?;
        }
        run(Command::new("cp")
            .arg("-r")
            .arg(source.join("librdkafka"))
            .arg(&build))?;
        run(Command::new(&script).arg(&build))
    })?;
    let tests = list::tests(&build.join("tests"))?;
    let tools = kafka_topics(places, &home)?;
    let job = |test| job(test, &build, tools.clone());
    let mut jobs: Vec<Job> = tests.into_iter().map(job).collect();
    // All others are done by the time that it ends.
    jobs.sort_by_key(|job| job.name != LONGEST);
    Ok(jobs)
}

/// Makes `bin/kafka-topics.sh`, which a few tests call, and answers the directory it is in.
fn kafka_topics(places: &Places, home: &Path) -> Checked<PathBuf> {
    kafka_jars(places)?;
    let script = home.join("bin/kafka-topics.sh");
    std::fs::create_dir_all(home.join("bin"))?;
    let java = java_tool(&places.kafka());
    let arguments = java.get_args();
    let arguments: String = arguments
        .map(|arg| format!(" '{}'", arg.display()))
        .collect();
    let class = "org.apache.kafka.tools.TopicCommand";
    std::fs::write(
        &script,
        format!("#!/bin/sh\nexec java{arguments} {class} \"$@\"\n"),
    )?;
    std::fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    Ok(home.to_owned())
}

fn job(test: Test, build: &Path, tools: PathBuf) -> Job {
    let name = test.name();
    let Test {
        number,
        scenario,
        sub_test,
    } = test;
    let (tests, source) = (build.join("tests"), build.join("src"));
    let libraries = format!("{0}/src:{0}/src-cpp", build.display());
    let (settings, scenario) = match scenario {
        Scenario::Default => (DEFAULT, "default"),
        Scenario::NoAutoCreate => (NO_AUTO_CREATE, "noautocreate"),
    };
    Job {
        name,
        broker: settings,
        company: if ALONE.contains(&number.as_str()) {
            Company::Alone
        } else {
            Company::Others
        },
        command: Box::new(move |bootstrap, dir| {
            let conf = dir.join("test.conf");
            // One test reads ../src/statistics_schema.json.
            let place = dir.join("tests");
            std::fs::create_dir_all(&place)?;
            if !dir.join("src").exists() {
                symlink(&source, dir.join("src"))?;
            }
            // The tests' time limits are made for a machine that runs nothing else.
            std::fs::write(
                &conf,
                format!(
                    "bootstrap.servers={bootstrap}\ntest.topic.random=true\n\
                     test.timeout.multiplier=3\n"
                ),
            )?;
            // A test that fails ends in abort(), which would take buffered output with it.
            let mut command = Command::new("stdbuf");
            command
                .arg("-oL")
                .arg(tests.join("test-runner"))
                .args(["-L", "-p1", "-s", scenario])
                .env("TESTS", &number)
                .env("TEST_KAFKA_VERSION", "4.3.1")
                .env("RDKAFKA_TEST_CONF", conf)
                .env("KAFKA_PATH", &tools)
                .env("BROKERS", bootstrap)
                .env("LD_LIBRARY_PATH", &libraries)
                .current_dir(&place);
            if let Some(sub_test) = &sub_test {
                command.env("SUBTESTS", sub_test);
            }
            Ok(command)
        }),
        read: report::rows,
        limit: LIMIT,
    }
}
