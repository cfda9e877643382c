//! confluent-kafka-go: the tests of its package `kafka`, one process for each, and one for each
//! method of its integration suite.

use std::process::Command;
use std::time::Duration;

use super::{Company, Ended, Fast, Job, Rows, Suite, Wait, go};
use crate::checks::{Checked, Failure};
use crate::clients::{Places, run};

pub(super) const SUITE: Suite = Suite {
    name: "confluent-kafka-go",
    version: "2.14.0",
    from: "Go module proxy, github.com/confluentinc/confluent-kafka-go/v2, kafka",
    prepare,
    port: None,
    waits: &[
        Wait {
            test: "TestTransactionalProducer",
            feature: "transactions",
            reason: "it produces in a transaction",
        },
        Wait {
            test: "TestTransactionalSendOffsets",
            feature: "transactions",
            reason: "it commits offsets in a transaction",
        },
    ],
    unsteady: &[(
        "TestIntegration/TestAdminClient_UserScramCredentials",
        "it describes what it has just altered, before Kafka's broker may have heard of it",
    )],
    // They wait: for requests to time out, for a session to end, and again for rebalances that the other
    // consumers' tests wait for already.
    fast: Fast::AllBut(&[
        "TestAdminAPIs",
        "TestConsumerChannelIncremental",
        "TestConsumerPollIncremental",
        "TestConsumerPollRebalanceIncremental",
        "TestConsumerPollRebalanceIncrementalNoop",
        "TestConsumerCloseForStaticMember",
        "TestTransactionalAPI",
    ]),
};

const MODULE: go::Module = go::Module {
    path: "github.com/confluentinc/confluent-kafka-go/v2",
    version: SUITE.version,
    sum: "h1:SCeCsGTKuWwnxTNltvh6fmj1lueTT5J2zvh9s2KYphg=",
};

const LIMIT: Duration = Duration::from_secs(120);

/// A module that starts Docker; ours of that name stands in for it.
const COMPOSE: &str = "github.com/testcontainers/testcontainers-go/modules/compose";

/// The integration tests are methods of one test.
const METHODS_OF: &str = "TestIntegration";

fn prepare(places: &Places) -> Checked<Vec<Job>> {
    let source = MODULE.source()?;
    let home = places.suite(SUITE.name)?;
    let binary = home.join("kafka.test");
    let modfile = home.join("go.mod");
    let pins = places.sources.join("suites/confluent-kafka-go");
    let requirements = std::fs::read_to_string(pins.join("go.mod"))?;
    let compose = pins.join("compose");
    std::fs::write(
        &modfile,
        format!(
            "{requirements}\nreplace {COMPOSE} => {}\n",
            compose.display()
        ),
    )?;
    std::fs::copy(pins.join("go.sum"), home.join("go.sum"))?;
    run(Command::new("go")
        .args(["test", "-c", "-o"])
        .arg(&binary)
        .arg(format!("-modfile={}", modfile.display()))
        .arg("./kafka")
        .current_dir(&source))?;
    let methods = methods(&std::fs::read_to_string(
        source.join("kafka/integration_test.go"),
    )?);
    if methods.is_empty() {
        return Err(Failure(format!("{METHODS_OF} has no methods")));
    }
    let tests = go::tests(&binary)?;
    let tests = tests.into_iter().filter(|test| test != METHODS_OF);
    let tests = tests.map(|test| (test.clone(), format!("-test.run=^{test}$"), None));
    let methods = methods.into_iter().map(|method| {
        let only = format!("-testify.m=^{method}$");
        (method, format!("-test.run=^{METHODS_OF}$"), Some(only))
    });
    let job = |(name, run, only): (String, String, Option<String>)| {
        let (binary, topic) = (binary.clone(), name.clone());
        Job {
            name,
            broker: &[],
            command: Box::new(move |bootstrap, dir| {
                // Tests count the records in their topic, so each job has its own.
                let conf = serde_json::json!({
                    "Brokers": bootstrap, "TopicName": topic, "GroupID": topic,
                });
                std::fs::write(dir.join("testconf.json"), conf.to_string())?;
                let mut command = Command::new(&binary);
                command
                    .args(["-test.v", "-test.count=1", &run])
                    .args(&only)
                    .arg(format!("-test.timeout={}s", LIMIT.as_secs()))
                    .current_dir(dir);
                Ok(command)
            }),
            read: rows,
            limit: LIMIT + Duration::from_secs(10),
            company: Company::Others,
        }
    };
    Ok(tests.chain(methods).map(job).collect())
}

/// The tests that were run; the one that they are methods of says nothing.
fn rows(ended: &Ended) -> Checked<Rows> {
    let mut rows = go::rows(ended)?;
    rows.retain(|(name, _)| name != METHODS_OF);
    Ok(rows)
}

/// The names of `func (its *IntegrationTestSuite) TestName() {`.
fn methods(source: &str) -> Vec<String> {
    let after = source.split("func (its *IntegrationTestSuite) ").skip(1);
    let names = after.filter_map(|rest| rest.split('(').next());
    names
        .filter(|name| name.starts_with("Test"))
        .map(str::to_owned)
        .collect()
}
