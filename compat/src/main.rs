//! The compatibility suite: real clients and tools against a broker, as a black box.
//!
//! `cargo run -p ottla-compat -- [--against ottla|kafka|both|HOST:PORT] [--client NAME]…
//! [--scenario NAME]… [--profile dev|quick|release] [--jobs N] [--prepare] [--write-table]`
//!
//! `--swap` has Apache Kafka and Ottla open one data directory in turn.
//!
//! `--suite NAME|all` runs clients' own test suites instead: `[--test NAME]…` only these of their
//! jobs, `[--fast]` only those that are run with every change.

#![expect(
    clippy::disallowed_methods,
    reason = "the suite drives real processes on the real clock and disk; it has no simulated run"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "requests to the client programs are JSON literals, written where they are handed over"
)]

mod broker;
mod checks;
mod clients;
mod context;
mod differential;
mod driver;
mod results;
mod runner;
mod scenarios;
mod suites;
mod swap;
mod tools;
mod transcripts;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use broker::Kind;
use checks::{Checked, Failure};
use clients::{CLIENTS, Places};
use results::{Results, Section};
use runner::{Plan, Target};
use scenarios::SCENARIOS;
use transcripts::TRANSCRIPTS;

struct Arguments {
    against: Vec<String>,
    clients: Vec<String>,
    scenarios: Vec<String>,
    profile: String,
    jobs: usize,
    prepare: bool,
    write_table: bool,
    differential: Option<differential::Settings>,
    suites: Vec<String>,
    tests: Vec<String>,
    fast: bool,
    swap: bool,
}

const USAGE: &str = "usage: ottla-compat [--against ottla|kafka|both|HOST:PORT] [--client NAME]… \
     [--scenario NAME]… [--profile dev|quick|release] [--jobs N] [--prepare] [--write-table]\n   \
     or: ottla-compat --suite NAME|all [--test NAME]… [--fast] [--against …] [--profile NAME] [--jobs N] \
     [--write-table]\n   \
     or: ottla-compat --swap [--profile NAME]\n   \
     or: ottla-compat --differential [--seed N] [--mutations N] [--scenario NAME] [--profile NAME] \
     [--old-kafka HOME]";

fn arguments() -> Checked<Arguments> {
    let mut parsed = Arguments {
        against: vec!["ottla".into()],
        clients: vec![],
        scenarios: vec![],
        profile: "dev".into(),
        jobs: 4,
        prepare: false,
        write_table: false,
        differential: None,
        suites: vec![],
        tests: vec![],
        fast: false,
        swap: false,
    };
    let mut settings = differential::Settings {
        seed: 1,
        mutations: 2000,
        only: String::new(),
        old_kafka: None,
    };
    let mut differential = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .ok_or_else(|| Failure(format!("{arg} needs a value\n{USAGE}")))
        };
        match arg.as_str() {
            "--against" => {
                let against = value()?;
                parsed.against = match against.as_str() {
                    "both" => vec!["kafka".into(), "ottla".into()],
                    _ => vec![against],
                }
            }
            "--client" => parsed.clients.push(value()?),
            "--scenario" => parsed.scenarios.push(value()?),
            "--profile" => parsed.profile = value()?,
            "--jobs" => {
                parsed.jobs = number(&arg, &value()?)?;
            }
            "--prepare" => parsed.prepare = true,
            "--write-table" => parsed.write_table = true,
            "--differential" => differential = true,
            "--seed" => settings.seed = number(&arg, &value()?)?,
            "--old-kafka" => settings.old_kafka = Some(value()?.into()),
            "--mutations" => settings.mutations = number(&arg, &value()?)?,
            "--suite" => parsed.suites.push(value()?),
            "--test" => parsed.tests.push(value()?),
            "--fast" => parsed.fast = true,
            "--swap" => parsed.swap = true,
            _ => return Err(Failure(format!("unknown argument {arg}\n{USAGE}"))),
        }
    }
    if differential {
        settings.only = parsed.scenarios.pop().unwrap_or_default();
        parsed.differential = Some(settings);
        return Ok(parsed);
    }
    for client in &parsed.clients {
        if client != tools::NAME && !CLIENTS.iter().any(|known| known.name == client) {
            return Err(Failure(format!("no client is called {client}")));
        }
    }
    for scenario in &parsed.scenarios {
        let known = SCENARIOS.iter().any(|known| known.name == scenario)
            || tools::TOOLS.iter().any(|known| known.name == scenario)
            || TRANSCRIPTS.iter().any(|known| known.name == scenario);
        if !known {
            return Err(Failure(format!("no scenario is called {scenario}")));
        }
    }
    Ok(parsed)
}

fn number<T: std::str::FromStr>(arg: &str, text: &str) -> Checked<T> {
    text.parse()
        .map_err(|_| Failure(format!("{arg} needs a number, not {text}")))
}

fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = CLIENTS
        .iter()
        .map(|client| Section {
            client: client.name,
            version: client.version,
            from: client.from,
            beyond_kafka: client.is_beyond_kafka(),
            rows: SCENARIOS.iter().map(|s| (s.name, s.about)).collect(),
        })
        .collect();
    sections.push(Section {
        client: tools::NAME,
        version: "4.3.1",
        from: "Maven Central, kafka-tools",
        beyond_kafka: false,
        rows: tools::TOOLS
            .iter()
            .map(|tool| (tool.name, tool.about))
            .chain(TRANSCRIPTS.iter().map(|t| (t.name, t.about)))
            .collect(),
    });
    sections
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        // How a job of the suite kafka-programs is started.
        [flag, name, bootstrap, home] if flag == "--program" => {
            suites::run_program(name, bootstrap, Path::new(home)).map(|()| true)
        }
        _ => suite(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure(why)) => {
            eprintln!("ottla-compat: {why}");
            ExitCode::from(2)
        }
    }
}

fn suite() -> Checked<bool> {
    let arguments = arguments()?;
    let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = sources.parent().map(Path::to_owned).unwrap_or_default();
    let places = Places {
        cache: root.join("target/compat"),
        sources: sources.clone(),
    };
    std::fs::create_dir_all(&places.cache)?;
    let only = std::fs::File::create(places.cache.join("lock"))?;
    if only.try_lock().is_err() {
        println!("waiting for another run to end");
        only.lock()?;
    }
    if let Some(settings) = &arguments.differential {
        clients::kafka_jars(&places)?;
        let kafka = Kind::Kafka {
            home: places.kafka(),
        };
        let binary = build_ottla(&root, &arguments.profile)?;
        let runs = places.cache.join("runs/differential");
        return differential::run(&root, kafka, Kind::Ottla { binary }, &runs, settings);
    }
    if arguments.swap {
        let binary = build_ottla(&root, &arguments.profile)?;
        return swap::run(
            &places,
            Kind::Ottla { binary },
            &places.cache.join("runs/swap"),
        );
    }
    if !arguments.suites.is_empty() {
        return client_suites(&arguments, &places, &root);
    }
    let whole = arguments.clients.is_empty() && arguments.scenarios.is_empty();
    let plan = Plan::prepare(
        &places,
        &arguments.clients,
        arguments.scenarios.clone(),
        arguments.jobs,
    )?;
    if arguments.prepare {
        println!("prepared {} clients", plan.clients());
        return Ok(true);
    }
    let sections = sections();
    let kafka_file = sources.join("kafka/results.json");
    let page_file = root.join("docs/compatibility.md");
    let mut fine = true;
    for against in &arguments.against {
        let target = target(against, &arguments, &places, &root)?;
        let purpose = match against.as_str() {
            "kafka" if arguments.write_table => transcripts::Purpose::Record,
            _ => transcripts::Purpose::Compare,
        };
        let runs = places.cache.join("runs").join(against.replace(':', "-"));
        let got = plan.run(&target, purpose, &runs)?;
        if against == "kafka" {
            fine &= report(&got);
            if arguments.write_table {
                // A run of some clients or scenarios replaces only their rows.
                let mut all = results::load(&kafka_file)?;
                for (client, rows) in got {
                    all.entry(client).or_default().extend(rows);
                }
                results::save(&kafka_file, "Apache Kafka 4.3.1", &sections, &all)?;
            }
            continue;
        }
        report(&got);
        let kafka = results::load(&kafka_file)?;
        let wanted = asked_for(&sections, &arguments);
        let shortfalls = results::shortfalls(&wanted, &kafka, &got);
        for line in &shortfalls {
            println!("SHORT OF KAFKA  {line}");
        }
        fine &= shortfalls.is_empty();
        if against != "ottla" || !whole {
            continue;
        }
        let page = results::page(&sections, &kafka, &got) + &suites::section(&sources)?;
        if arguments.write_table {
            std::fs::write(&page_file, page)?;
        } else if std::fs::read_to_string(&page_file).unwrap_or_default() != page {
            println!(
                "SHORT OF KAFKA  docs/compatibility.md is not what this run gives: run with --write-table"
            );
            fine = false;
        }
    }
    Ok(fine)
}

fn target(against: &str, arguments: &Arguments, places: &Places, root: &Path) -> Checked<Target> {
    match against {
        "ottla" => Ok(Target::Started(Kind::Ottla {
            binary: build_ottla(root, &arguments.profile)?,
        })),
        "kafka" => Ok(Target::Started(Kind::Kafka {
            home: places.kafka(),
        })),
        address if address.contains(':') => Ok(Target::Running(address.to_owned())),
        other => Err(Failure(format!(
            "--against {other} is not a broker\n{USAGE}"
        ))),
    }
}

/// Runs the clients' own suites instead of the scenarios.
fn client_suites(arguments: &Arguments, places: &Places, root: &Path) -> Checked<bool> {
    let choice = suites::Choice {
        suites: suites::named(&arguments.suites)?,
        jobs: arguments.tests.clone(),
        part: if arguments.fast {
            suites::Part::Fast
        } else {
            suites::Part::Whole
        },
        at_once: arguments.jobs,
    };
    let mut fine = true;
    for against in &arguments.against {
        if against == "kafka" {
            clients::kafka_jars(places)?;
        }
        let purpose = match against.as_str() {
            "kafka" if arguments.write_table => suites::Purpose::Calibrate,
            "kafka" => suites::Purpose::Show,
            "ottla" if arguments.write_table => suites::Purpose::Record,
            _ => suites::Purpose::Compare,
        };
        let target = target(against, arguments, places, root)?;
        let dir = places
            .cache
            .join("runs-of-suites")
            .join(against.replace(':', "-"));
        fine &= suites::run(&choice, places, &target, purpose, &dir)?;
    }
    if arguments.write_table {
        let page_file = root.join("docs/compatibility.md");
        let page = std::fs::read_to_string(&page_file)?;
        let section = suites::section(&places.sources)?;
        std::fs::write(&page_file, suites::replace(&page, &section))?;
    }
    Ok(fine)
}

/// The rows that the arguments select.
fn asked_for(sections: &[Section], arguments: &Arguments) -> Vec<Section> {
    let client =
        |name: &str| arguments.clients.is_empty() || arguments.clients.iter().any(|c| c == name);
    let row = |name: &str| {
        arguments.scenarios.is_empty() || arguments.scenarios.iter().any(|s| s == name)
    };
    sections
        .iter()
        .filter(|section| client(section.client))
        .map(|section| Section {
            client: section.client,
            version: section.version,
            from: section.from,
            beyond_kafka: section.beyond_kafka,
            rows: section
                .rows
                .iter()
                .copied()
                .filter(|(name, _)| row(name))
                .collect(),
        })
        .collect()
}

fn report(got: &Results) -> bool {
    let (mut passed, mut failed, mut lacking) = (0, 0, 0);
    for rows in got.values() {
        for outcome in rows.values() {
            match outcome {
                results::Outcome::Passed(_) => passed += 1,
                results::Outcome::Failed(_) => failed += 1,
                results::Outcome::NotApplicable(_) => lacking += 1,
            }
        }
    }
    println!("{passed} passed, {failed} failed, {lacking} not applicable");
    failed == 0
}

fn build_ottla(root: &Path, profile: &str) -> Checked<PathBuf> {
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--package",
            "ottla",
            "--bin",
            "ottla",
            "--profile",
            profile,
        ])
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err(Failure("ottla does not build".into()));
    }
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(root.join("target").join(folder).join("ottla"))
}
