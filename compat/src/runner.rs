//! Runs clients and tools against one broker: shared scenarios at once, then the restarts.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::broker::{Broker, End, Kind};
use crate::checks::{Checked, Failure};
use crate::clients::{CLIENTS, Client, Places, kafka_jars};
use crate::context::Context;
use crate::driver::DriverCommand;
use crate::results::{Outcome, Results};
use crate::scenarios::{Run, SCENARIOS, Scenario};
use crate::tools::{self, ToolRun};
use crate::transcripts::{Purpose, Stage, TRANSCRIPTS, Transcript};

/// What to run, with every client installed.
pub(crate) struct Plan {
    clients: Vec<(&'static Client, DriverCommand)>,
    tools: bool,
    scenarios: Vec<String>,
    jobs: usize,
    places: Places,
}

/// The broker to run against.
pub(crate) enum Target {
    /// Started, stopped and killed by this run.
    Started(Kind),
    /// Somebody else's: what needs its data directory or a restart does not apply.
    Running(String),
}

/// What a thread takes on.
enum Job<'a> {
    Client(&'a (&'static Client, DriverCommand)),
    Tools,
    Transcripts(Stage),
}

const NOT_OURS: &str = "the broker was not started by this run";

impl Plan {
    pub(crate) fn prepare(
        places: &Places,
        clients: &[String],
        scenarios: Vec<String>,
        jobs: usize,
    ) -> Checked<Plan> {
        let wanted = |name: &str| clients.is_empty() || clients.iter().any(|c| c == name);
        // The runner, the Java client and Kafka itself use the jars; the rest builds beside it.
        let ready: Vec<Checked<(&Client, DriverCommand)>> = std::thread::scope(|scope| {
            let jars = scope.spawn(|| kafka_jars(places));
            let others: Vec<_> = CLIENTS
                .iter()
                .filter(|client| wanted(client.name) && client.name != "java")
                .map(|client| scope.spawn(move || Ok((client, client.prepare(places)?))))
                .collect();
            let jars = jars
                .join()
                .unwrap_or_else(|_| Err(Failure("a panic".into())));
            let mut ready = vec![];
            match jars {
                Err(failure) => ready.push(Err(failure)),
                Ok(()) => ready.extend(
                    CLIENTS
                        .iter()
                        .filter(|client| wanted(client.name) && client.name == "java")
                        .map(|client| Ok((client, client.prepare(places)?))),
                ),
            }
            ready.extend(others.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Failure("a panic".into())))
            }));
            ready
        });
        let clients = ready.into_iter().collect::<Checked<Vec<_>>>()?;
        let tools = wanted(tools::NAME);
        Ok(Plan {
            clients,
            tools,
            scenarios,
            jobs,
            places: places.clone(),
        })
    }

    pub(crate) fn clients(&self) -> usize {
        self.clients.len() + usize::from(self.tools)
    }

    fn wants(&self, scenario: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|wanted| wanted == scenario)
    }

    /// Runs everything; data directories and logs go to `dir`.
    pub(crate) fn run(&self, target: &Target, purpose: Purpose, dir: &Path) -> Checked<Results> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        let results = Mutex::new(Results::new());
        match target {
            Target::Running(address) => {
                self.shared(address, dir, &results, None);
                for transcript in self.transcripts() {
                    let outcome = Outcome::NotApplicable(NOT_OURS.into());
                    record(
                        &results,
                        tools::NAME,
                        transcript.name,
                        outcome,
                        Instant::now(),
                    );
                }
                for scenario in SCENARIOS {
                    if !matches!(scenario.run, Run::Shared(_)) {
                        self.each_client(scenario, &results, |_| {
                            Outcome::NotApplicable(NOT_OURS.into())
                        });
                    }
                }
                self.run_tools(tools::Stage::Stopped, &results, |_| {
                    Err(Failure(NOT_OURS.into()))
                });
            }
            Target::Started(kind) => {
                let mut broker = Broker::start(kind.clone(), &dir.join("shared"))?;
                let stage = Stage::new(kind, &self.places, dir, purpose);
                self.shared(&broker.bootstrap(), dir, &results, Some(stage));
                let stopped = broker.end(End::Stop);
                let data = broker.data_dir();
                self.run_tools(tools::Stage::Stopped, &results, |run| {
                    stopped.clone()?;
                    run.data = Some(data.clone());
                    Ok(())
                });
                for scenario in SCENARIOS {
                    if self.wants(scenario.name) && !self.clients.is_empty() {
                        self.restarting(scenario, kind, dir, &results)?;
                    }
                }
            }
        }
        results
            .into_inner()
            .map_err(|_| Failure("a thread panicked".into()))
    }

    /// All shared scenarios, the clients beside each other.
    fn shared(&self, bootstrap: &str, dir: &Path, results: &Mutex<Results>, stage: Option<Stage>) {
        let mut queue: VecDeque<Job> = self.clients.iter().map(Job::Client).collect();
        // Tools take longest, one JVM after the other, so they start first.
        if let Some(stage) = stage {
            queue.push_front(Job::Transcripts(stage));
        }
        queue.push_front(Job::Tools);
        let queue = Mutex::new(queue);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while let Some(job) = queue.lock().ok().and_then(|mut q| q.pop_front()) {
                        match job {
                            Job::Client((client, command)) => {
                                self.client(client, command, bootstrap, dir, results);
                            }
                            Job::Tools => self.run_tools(tools::Stage::Serving, results, |run| {
                                run.bootstrap = bootstrap.to_owned();
                                Ok(())
                            }),
                            Job::Transcripts(stage) => self.run_transcripts(stage, results),
                        }
                    }
                });
            }
        });
    }

    fn client(
        &self,
        client: &Client,
        command: &DriverCommand,
        bootstrap: &str,
        dir: &Path,
        results: &Mutex<Results>,
    ) {
        let mut cx = context(client, command, bootstrap, dir);
        for scenario in SCENARIOS {
            let Run::Shared(run) = scenario.run else {
                continue;
            };
            if !self.wants(scenario.name) {
                continue;
            }
            let started = Instant::now();
            let outcome = match client.lacking(scenario.name) {
                Some(why) => Outcome::NotApplicable(why.into()),
                None => {
                    cx.begin(scenario.name);
                    let done = guarded(|| run(&mut cx));
                    if done.is_err() {
                        cx.restart_client();
                    }
                    judged(done, &cx)
                }
            };
            record(results, client.name, scenario.name, outcome, started);
        }
    }

    fn each_client(
        &self,
        scenario: &Scenario,
        results: &Mutex<Results>,
        outcome: impl Fn(&Client) -> Outcome,
    ) {
        for (client, _) in &self.clients {
            if self.wants(scenario.name) {
                record(
                    results,
                    client.name,
                    scenario.name,
                    outcome(client),
                    Instant::now(),
                );
            }
        }
    }

    /// A scenario in which the broker is ended and started again under all clients at once.
    fn restarting(
        &self,
        scenario: &Scenario,
        kind: &Kind,
        dir: &Path,
        results: &Mutex<Results>,
    ) -> Checked {
        if matches!(scenario.run, Run::Shared(_)) {
            return Ok(());
        }
        let (able, unable): (Vec<_>, Vec<_>) = self
            .clients
            .iter()
            .partition(|(client, _)| client.lacking(scenario.name).is_none());
        for (client, _) in unable {
            let why = client.lacking(scenario.name).unwrap_or_default().into();
            let outcome = Outcome::NotApplicable(why);
            record(results, client.name, scenario.name, outcome, Instant::now());
        }
        let mut broker = Broker::start(kind.clone(), &dir.join(scenario.name))?;
        let bootstrap = broker.bootstrap();
        let started = Instant::now();
        let mut contexts: Vec<Context> = able
            .iter()
            .map(|(client, command)| {
                let mut cx = context(client, command, &bootstrap, dir);
                cx.begin(scenario.name);
                cx
            })
            .collect();
        let done: Vec<Checked> = match &scenario.run {
            Run::Shared(_) => return Ok(()),
            Run::AcrossRestart(restart) => {
                let states = at_once(&mut contexts, |cx| (restart.before)(cx));
                let again = broker.end(restart.stopped).and_then(|()| broker.resume());
                let mut halves: VecDeque<Checked<Value>> = states.into();
                let mut pairs: Vec<(&mut Context, Checked<Value>)> = contexts
                    .iter_mut()
                    .map(|cx| {
                        let state = halves.pop_front();
                        (
                            cx,
                            state.unwrap_or_else(|| Err(Failure("no first half".into()))),
                        )
                    })
                    .collect();
                at_once(&mut pairs, |(cx, state)| {
                    let state = state
                        .clone()
                        .map_err(|Failure(why)| Failure(format!("before the restart: {why}")))?;
                    again.clone()?;
                    (restart.after)(cx, &state)
                })
            }
            Run::UnderKill(run) => {
                let (enough, ready) = channel();
                let count = contexts.len();
                let (finished, restarted) = std::thread::scope(|scope| {
                    let clients = scope.spawn(|| {
                        let mut with_sender: Vec<_> =
                            contexts.iter_mut().map(|cx| (cx, enough.clone())).collect();
                        drop(enough);
                        at_once(&mut with_sender, |(cx, enough)| {
                            let done = run(cx, &mut || {
                                _ = enough.send(());
                            });
                            // A client that failed early must not hold up the kill.
                            _ = enough.send(());
                            done
                        })
                    });
                    for _ in 0..count {
                        _ = ready.recv_timeout(Duration::from_secs(60));
                    }
                    let restarted = broker.end(End::Kill).and_then(|()| broker.resume());
                    (clients.join(), restarted)
                });
                restarted?;
                finished.map_err(|_| Failure("a thread panicked".into()))?
            }
        };
        for (cx, done) in contexts.iter().zip(done) {
            record(results, cx.client, scenario.name, judged(done, cx), started);
        }
        broker.end(End::Kill)
    }

    fn transcripts(&self) -> impl Iterator<Item = &'static Transcript> {
        let wanted = TRANSCRIPTS.iter().filter(|_| self.tools);
        wanted.filter(|transcript| self.wants(transcript.name))
    }

    fn run_transcripts(&self, mut stage: Stage, results: &Mutex<Results>) {
        for transcript in self.transcripts() {
            let started = Instant::now();
            let outcome = match guarded(|| stage.run(transcript)) {
                Ok(commands) => Outcome::Passed(u32::try_from(commands).unwrap_or(u32::MAX)),
                Err(Failure(why)) => Outcome::Failed(why),
            };
            record(results, tools::NAME, transcript.name, outcome, started);
        }
    }

    /// The tools of one stage, one after the other; `set` completes the run or says why not.
    fn run_tools(
        &self,
        stage: tools::Stage,
        results: &Mutex<Results>,
        set: impl Fn(&mut ToolRun) -> Checked,
    ) {
        for tool in tools::TOOLS {
            // What a tool reads from a stopped broker, the tools before it have written.
            let needed = tool.stage == tools::Stage::Serving
                && tools::TOOLS
                    .iter()
                    .any(|t| t.stage == tools::Stage::Stopped && self.wants(t.name));
            if !self.tools || tool.stage != stage || !(needed || self.wants(tool.name)) {
                continue;
            }
            let started = Instant::now();
            let mut run = ToolRun::new(&self.places.kafka());
            let done = set(&mut run).and_then(|()| guarded(|| (tool.run)(&mut run)));
            let outcome = match done {
                Err(Failure(why)) if why == NOT_OURS => Outcome::NotApplicable(why),
                Err(Failure(why)) => Outcome::Failed(why),
                Ok(()) if run.checks.held == 0 => Outcome::Failed("no check was made".into()),
                Ok(()) => Outcome::Passed(run.checks.held),
            };
            record(results, tools::NAME, tool.name, outcome, started);
        }
    }
}

fn context(client: &Client, command: &DriverCommand, bootstrap: &str, dir: &Path) -> Context {
    let log = dir.join(format!("{}.log", client.name));
    Context::new(client.name, bootstrap.to_owned(), command.clone(), log)
}

/// Runs the same on all of them, each in a thread, and waits for all.
fn at_once<T: Send, R: Send>(
    items: &mut [T],
    work: impl Fn(&mut T) -> Checked<R> + Sync,
) -> Vec<Checked<R>> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter_mut()
            .map(|item| scope.spawn(move || guarded(|| work(item))))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Failure("a panic".into())))
            })
            .collect()
    })
}

/// A scenario that trips over an unexpected answer fails alone.
fn guarded<R>(work: impl FnOnce() -> Checked<R>) -> Checked<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure(
            "the scenario panicked; see the output above".into(),
        ))
    })
}

fn judged(done: Checked, cx: &Context) -> Outcome {
    match done {
        Ok(()) if cx.checks.held == 0 => Outcome::Failed("no check was made".into()),
        Ok(()) => Outcome::Passed(cx.checks.held),
        Err(Failure(why)) => Outcome::Failed(why),
    }
}

fn record(
    results: &Mutex<Results>,
    client: &str,
    scenario: &str,
    outcome: Outcome,
    started: Instant,
) {
    let seconds = started.elapsed().as_secs_f32();
    match &outcome {
        Outcome::Passed(checks) => {
            println!("passed  {client:16} {scenario:22} {checks:4} checks {seconds:6.1} s");
        }
        Outcome::Failed(why) => {
            println!("FAILED  {client:16} {scenario:22} {seconds:6.1} s  {why}");
        }
        Outcome::NotApplicable(why) => println!("n/a     {client:16} {scenario:22} {why}"),
    }
    if let Ok(mut results) = results.lock() {
        results
            .entry(client.to_owned())
            .or_default()
            .insert(scenario.to_owned(), outcome);
    }
}
