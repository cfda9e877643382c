//! Runs suites against one broker, or makes Kafka's column.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::{Company, Job, Suite, column, is_named, page, process};
use crate::broker::{Broker, End, Kind};
use crate::checks::{Checked, Failure};
use crate::clients::Places;
use crate::results::{Outcome, Results};
use crate::runner::Target;

/// What to run.
pub(crate) struct Choice {
    pub(crate) suites: Vec<&'static Suite>,
    /// Only these jobs, or all; with `*` at its end, a name stands for all that begin so.
    pub(crate) jobs: Vec<String>,
    pub(crate) part: Part,
    /// How many processes at once.
    pub(crate) at_once: usize,
}

impl Choice {
    fn is_whole(&self) -> bool {
        self.jobs.is_empty() && self.part == Part::Whole
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Fast,
    Whole,
}

/// What is done with the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They are compared with Kafka's column.
    Compare,
    /// The same, and they become Ottla's column.
    Record,
    /// They become Kafka's column.
    Calibrate,
    /// They are only shown.
    Show,
}

/// How much of a reason is kept in Kafka's column.
const REASON_CHARS_MAX: usize = 120;

/// How long a test may take to find out that there is no broker.
const NO_BROKER_LIMIT: Duration = Duration::from_secs(15);

/// Runs the suites, and answers whether all is as it must be.
pub(crate) fn run(
    choice: &Choice,
    places: &Places,
    target: &Target,
    purpose: Purpose,
    dir: &Path,
) -> Checked<bool> {
    if purpose == Purpose::Record && !choice.is_whole() {
        return Err(Failure("Ottla's column is made of whole suites".into()));
    }
    let column_file = places.sources.join(column::FILE);
    let ours_file = places.sources.join(page::FILE);
    let mut fine = true;
    for suite in &choice.suites {
        // Read again for each: every suite's column is saved as soon as it is made.
        let mut kafka = column::load(&column_file)?;
        let theirs = kafka.remove(suite.name).unwrap_or_default();
        println!("\n{}: {} {}", suite.name, suite.from, suite.version);
        let jobs = (suite.prepare)(places)?;
        let known: BTreeSet<String> = jobs.iter().map(|job| job.name.clone()).collect();
        let jobs = choose(suite, choice, jobs, &theirs, purpose)?;
        let runner = Runner {
            suite,
            dir: dir.join(suite.name),
            target,
            at_once: choice.at_once,
        };
        let got = runner.run(&jobs)?;
        match purpose {
            Purpose::Show => {}
            Purpose::Calibrate => {
                let mut calibrated = runner.without_broker(&jobs, got)?;
                shorten(&mut calibrated, &places.cache);
                let mut all = if choice.is_whole() {
                    Results::new()
                } else {
                    theirs
                };
                all.extend(calibrated);
                all.retain(|job, _| known.contains(job));
                kafka.insert(suite.name.to_owned(), all);
                column::save(&column_file, &kafka)?;
            }
            Purpose::Compare | Purpose::Record => {
                let mut compared = compare(suite, choice, &jobs, &theirs, &got);
                let mut ours = page::load(&ours_file)?;
                let tally = page::Tally::from(&compared);
                if purpose == Purpose::Record {
                    ours.insert(suite.name.to_owned(), tally);
                    page::save(&ours_file, &ours)?;
                } else if choice.is_whole() && ours.get(suite.name) != Some(&tally) {
                    let why = "is not what this run gives: run with --write-table";
                    compared.short(page::FILE, why);
                }
                fine &= judge(suite, &theirs, compared);
            }
        }
    }
    Ok(fine)
}

/// Compares what was run; of a whole run, also what is left out because it says nothing.
fn compare(
    suite: &Suite,
    choice: &Choice,
    jobs: &[Job],
    kafka: &Results,
    ours: &Results,
) -> column::Comparison {
    let run = jobs.iter().map(|job| job.name.as_str());
    let all = kafka.keys().filter(|_| choice.is_whole());
    let names: BTreeSet<&str> = run.chain(all.map(String::as_str)).collect();
    column::compare(suite, &names, kafka, ours)
}

/// The jobs to run. Against ours that is none that cannot say anything, whose rows pass without a
/// broker or fail on Kafka; of the fast part also none that only waits. A job that was asked for by
/// its name is run in any case.
fn choose(
    suite: &Suite,
    choice: &Choice,
    jobs: Vec<Job>,
    kafka: &Results,
    purpose: Purpose,
) -> Checked<Vec<Job>> {
    for name in suite.fast.names() {
        if !jobs.iter().any(|job| job.name == *name) {
            return Err(Failure(format!("{} has no job {name}", suite.name)));
        }
    }
    let gone = kafka
        .keys()
        .find(|name| !jobs.iter().any(|job| job.name == **name));
    let compares = matches!(purpose, Purpose::Compare | Purpose::Record);
    if let Some(gone) = gone.filter(|_| compares) {
        return Err(Failure(format!(
            "{} has no job {gone} any more",
            suite.name
        )));
    }
    let says_something = |job: &Job| {
        let Some(rows) = kafka.get(&job.name) else {
            return true; // it has no column, which is an error that the comparison reports
        };
        rows.iter().any(|(row, outcome)| {
            matches!(outcome, Outcome::Passed(_))
                && (choice.part == Part::Whole || suite.waits_for(row).is_none())
                && !suite.is_unsteady(row)
        })
    };
    let wanted = |job: &Job| match choice.part {
        _ if !choice.jobs.is_empty() => choice.jobs.iter().any(|line| is_named(line, &job.name)),
        Part::Fast if !suite.fast.has(&job.name) => false,
        Part::Fast | Part::Whole => !compares || says_something(job),
    };
    Ok(jobs.into_iter().filter(wanted).collect())
}

/// Prints how the suite compares, and answers whether nothing is short.
fn judge(suite: &Suite, kafka: &Results, mut compared: column::Comparison) -> bool {
    for test in column::idle_lines(suite, kafka) {
        compared.short(test, "is on a list, but Apache Kafka passes no such test");
    }
    if compared.passed == 0 {
        compared.short("all", "no test passed that counts");
    }
    for (row, why) in &compared.short {
        println!("SHORT OF KAFKA  {} {row}: {why}", suite.name);
    }
    println!(
        "{} passed, {} failed ({}; {} more wait for features)",
        compared.passed,
        compared.short.len(),
        suite.name,
        compared.waiting
    );
    compared.short.is_empty()
}

struct Runner<'a> {
    suite: &'a Suite,
    dir: PathBuf,
    target: &'a Target,
    at_once: usize,
}

impl Runner<'_> {
    /// Runs all jobs; those that need the same broker settings share a broker.
    fn run(&self, jobs: &[Job]) -> Checked<Results> {
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir)?;
        }
        let mut groups: Vec<(_, Vec<&Job>)> = Vec::new();
        for job in jobs {
            match groups
                .iter_mut()
                .find(|(settings, _)| *settings == job.broker)
            {
                Some((_, group)) => group.push(job),
                None => groups.push((job.broker, vec![job])),
            }
        }
        let mut results = Results::new();
        for (number, (settings, group)) in groups.into_iter().enumerate() {
            let dir = self.dir.join(format!("broker-{number}"));
            match self.target {
                Target::Running(address) => results.extend(self.group(&group, address)?),
                Target::Started(kind) => {
                    let kind = Kind::clone(kind);
                    let mut broker = Broker::start_with(kind, settings, self.suite.port, &dir)?;
                    results.extend(self.group(&group, &broker.bootstrap())?);
                    broker.end(End::Stop)?;
                }
            }
        }
        Ok(results)
    }

    /// Jobs that stand company beside each other, then the others one by one.
    fn group(&self, jobs: &[&Job], bootstrap: &str) -> Checked<Results> {
        let (alone, others): (Vec<&Job>, Vec<&Job>) =
            jobs.iter().partition(|job| job.company == Company::Alone);
        let run = |job: &Job| self.job(job, bootstrap);
        let mut results = at_once(&others, self.at_once, &run)?;
        results.extend(at_once(&alone, 1, &run)?);
        Ok(results)
    }

    /// Runs one job and prints a line for it, and one for each row that did not pass.
    fn job(&self, job: &Job, bootstrap: &str) -> Checked<BTreeMap<String, Outcome>> {
        let dir = self.dir.join(&job.name);
        let (rows, took) = self.rows(job, &dir, bootstrap, job.limit)?;
        let passed = rows
            .values()
            .filter(|outcome| matches!(outcome, Outcome::Passed(_)))
            .count();
        let mut lines = format!(
            "{:12} {:40} {passed:3} of {:3} passed {:6.1} s",
            self.suite.name,
            job.name,
            rows.len(),
            took.as_secs_f32()
        );
        for (row, outcome) in &rows {
            match outcome {
                Outcome::Passed(_) => {}
                Outcome::Failed(why) => lines += &format!("\n    FAILED  {row}: {why}"),
                Outcome::NotApplicable(why) => lines += &format!("\n    skipped {row}: {why}"),
            }
        }
        println!("{lines}");
        Ok(rows)
    }

    /// Runs one process and reads its rows; a process that failed without a failed row is one.
    fn rows(
        &self,
        job: &Job,
        dir: &Path,
        bootstrap: &str,
        limit: Duration,
    ) -> Checked<(BTreeMap<String, Outcome>, Duration)> {
        std::fs::create_dir_all(dir)?;
        let mut command = (job.command)(bootstrap, dir)?;
        if let Target::Started(kind) = self.target {
            command.envs([kind.variable()]);
        }
        let ended = process::finish(&job.name, command, dir, limit)?;
        let mut rows: BTreeMap<String, Outcome> = (job.read)(&ended)?.into_iter().collect();
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        match ended.failure() {
            Some(why) if !rows.values().any(failed) => {
                rows.insert(job.name.clone(), Outcome::Failed(why));
            }
            None if rows.is_empty() => {
                let why = "it reported no test".to_owned();
                rows.insert(job.name.clone(), Outcome::Failed(why));
            }
            _ => {}
        }
        Ok((rows, ended.took))
    }

    /// Runs what passed once more where no broker is, and marks the rows that still pass.
    fn without_broker(&self, jobs: &[Job], mut results: Results) -> Checked<Results> {
        let nowhere = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let passing: Vec<&Job> = jobs
            .iter()
            .filter(|job| {
                let rows = results.get(&job.name).into_iter().flatten();
                rows.into_iter()
                    .any(|(_, outcome)| matches!(outcome, Outcome::Passed(_)))
            })
            .collect();
        println!("{}: once more, with no broker", self.suite.name);
        let dir = self.dir.join("no-broker");
        let without = at_once(&passing, 2 * self.at_once, &|job: &Job| {
            let (rows, _) = self.rows(job, &dir.join(&job.name), &nowhere, NO_BROKER_LIMIT)?;
            Ok(rows)
        })?;
        for (job, rows) in &mut results {
            for (row, outcome) in rows {
                let alone = without.get(job).and_then(|rows| rows.get(row));
                if matches!((&*outcome, alone), (Outcome::Passed(want), Some(Outcome::Passed(got))) if want == got)
                {
                    *outcome = Outcome::NotApplicable(column::NO_BROKER.into());
                }
            }
        }
        Ok(results)
    }
}

/// What is committed names no place of the machine that made it, and is short.
fn shorten(results: &mut Results, cache: &Path) {
    let cache = cache.display().to_string();
    for outcome in results.values_mut().flat_map(BTreeMap::values_mut) {
        if let Outcome::Failed(why) | Outcome::NotApplicable(why) = outcome {
            let short = why.replace(&cache, "target/compat");
            *why = short.chars().take(REASON_CHARS_MAX).collect();
        }
    }
}

/// Works through the jobs, so many at once.
fn at_once(
    jobs: &[&Job],
    count: usize,
    work: &(impl Fn(&Job) -> Checked<BTreeMap<String, Outcome>> + Sync),
) -> Checked<Results> {
    let queue: Mutex<VecDeque<&Job>> = Mutex::new(jobs.iter().copied().collect());
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    let mut results = Vec::new();
                    while let Some(job) = next() {
                        results.push((job.name.clone(), work(job)));
                    }
                    results
                })
            })
            .collect();
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.collect::<Result<Vec<_>, _>>()
    });
    let results = results.map_err(|_| Failure("a thread panicked".into()))?;
    results
        .into_iter()
        .flatten()
        .map(|(job, rows)| Ok((job, rows?)))
        .collect()
}
