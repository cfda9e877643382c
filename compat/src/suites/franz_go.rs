//! franz-go: the tests of its client package `kgo`, one process for each top-level test.

use std::process::Command;
use std::time::Duration;

use super::{Company, Fast, Job, Suite, Wait, go};
use crate::checks::Checked;
use crate::clients::{Places, run};

pub(super) const SUITE: Suite = Suite {
    name: "franz-go",
    version: "1.22.2",
    from: "Go module proxy, github.com/twmb/franz-go, pkg/kgo",
    prepare,
    port: None,
    waits: &[
        Wait {
            test: "TestTxnEtl*",
            feature: "transactions",
            reason: "it produces and consumes in transactions",
        },
        Wait {
            test: "TestGroupETL/range/848",
            feature: "KIP-848 groups",
            reason: "its consumers use the new group protocol",
        },
        Wait {
            test: "TestGroupETL/sticky/848*",
            feature: "KIP-848 groups",
            reason: "its consumers use the new group protocol",
        },
        Wait {
            test: "Test848RegexBrokerResolves",
            feature: "KIP-848 groups",
            reason: "the broker resolves the regular expression",
        },
        Wait {
            test: "TestShareGroup*",
            feature: "share groups",
            reason: "it consumes as a share group",
        },
        Wait {
            test: "TestConsumeRegexShareSkipsInternal",
            feature: "share groups",
            reason: "it consumes as a share group",
        },
    ],
    unsteady: &[],
    fast: Fast::All,
};

const MODULE: go::Module = go::Module {
    path: "github.com/twmb/franz-go",
    version: SUITE.version,
    sum: "h1:EdwIHGzD/4mgCpl/sNS0C74JYn6cL/r2KYS+8UC96Ww=",
};

/// The chains of groups (ETL) with 50,000 records take a minute; nothing else takes as long.
const LIMIT: Duration = Duration::from_secs(240);

fn prepare(places: &Places) -> Checked<Vec<Job>> {
    let source = MODULE.source()?;
    let binary = places.suite("franz-go")?.join("kgo.test");
    run(Command::new("go")
        .args(["test", "-c", "-o"])
        .arg(&binary)
        .arg("./pkg/kgo")
        .current_dir(&source))?;
    let tests = go::tests(&binary)?;
    let package = source.join("pkg/kgo");
    let job = |name: String| {
        let (binary, package, test) = (binary.clone(), package.clone(), name.clone());
        Job {
            broker: &[],
            command: Box::new(move |bootstrap, _| {
                let mut command = Command::new(&binary);
                command
                    .args(["-test.v", "-test.count=1"])
                    .arg(format!("-test.run=^{test}$"))
                    .arg(format!("-test.timeout={}s", LIMIT.as_secs()))
                    .env("KGO_SEEDS", bootstrap)
                    .env("KGO_TEST_RF", "1")
                    .env("KGO_TEST_RECORDS", "50000")
                    .current_dir(&package);
                Ok(command)
            }),
            read: go::rows,
            // Go's own time-out, which names the goroutines, comes first.
            limit: LIMIT + Duration::from_secs(10),
            company: if name.ends_with("ETL") || name.ends_with("Etl") {
                Company::Alone
            } else {
                Company::Others
            },
            name,
        }
    };
    Ok(tests.into_iter().map(job).collect())
}
