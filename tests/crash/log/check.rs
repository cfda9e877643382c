//! What must be true of a log that was opened after a crash.

use super::model::{Entry, Model};
use super::workload::{self, DIR};
use crate::common::crash;
use ottla::log::{ActiveProducer, Appended, EpochStart, FirstBatch, Log};
use ottla::record::{Batches, DecodeLimits, ValidBatch, ZstdUse};
use ottla::sim::{Keep, SimDisk};
use ottla::types::{LeaderEpoch, Offset, Timestamp};
use std::path::Path;

/// With what the writer knew.
pub(crate) type Point = crash::Point<Model>;

/// A log that was opened again, and what it holds.
pub(crate) struct Found {
    pub disk: SimDisk,
    pub log: Result<Log, String>,
    pub state: State,
}

/// What two openings of the same disk must agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub log_start: i64,
    pub log_end: i64,
    pub batches: Vec<Batch>,
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    pub producers: Vec<(i64, i32)>,
    pub errors: Vec<String>,
}

/// A batch as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub base: Offset,
    pub last: Offset,
    pub epoch: LeaderEpoch,
    pub value: Vec<u8>,
}

/// Opens what a crash at `point` leaves, and gives every promise that is broken.
pub(crate) fn violations(point: &Point, keep: Keep, draw: u64) -> Vec<String> {
    let model = &point.known;
    let disk = point.disk.crash(keep, point.record.number * 31 + draw);
    let found = Found::open(&disk, model);
    let survives = match keep {
        Keep::Written => model.log_end(),
        Keep::Synced | Keep::Names | Keep::Torn => model.flushed,
    };
    let mut violations = all(&found, model, survives);
    if violations.is_empty() && draw == 0 {
        violations = again(found, model, survives, draw);
    }
    violations
}

/// Everything that must be true of one opening; all below `survives` must be there.
pub(crate) fn all(found: &Found, model: &Model, survives: Offset) -> Vec<String> {
    let mut violations = served(found, model);
    violations.extend(lost(&found.state, model, survives));
    if let Ok(log) = &found.log {
        violations.extend(epochs(log, &found.state));
        violations.extend(indexes(log, &found.state));
    }
    violations
}

/// Opens it a second time, which must change nothing; loses power just after, which must lose nothing
/// more; goes on writing.
fn again(found: Found, model: &Model, survives: Offset, draw: u64) -> Vec<String> {
    let Found { disk, log, state } = found;
    let log = log.expect("it was opened");
    let mut violations = producers(log, model, &state);
    // The writes of the producer check are on `log`'s disk; opening again starts from the images.
    let model = Model {
        appending: None,
        ..model.clone()
    };
    for keep in [Keep::Written, Keep::Synced, Keep::Torn] {
        let second = Found::open(&disk.crash(keep, draw), &model);
        if keep == Keep::Written && second.state != state {
            violations.push(format!(
                "a second opening differs: ends {} and {}, {} and {} batches, epochs {:?} and {:?}, \
                 producers {:?} and {:?}",
                state.log_end,
                second.state.log_end,
                state.batches.len(),
                second.state.batches.len(),
                state.epochs,
                second.state.epochs,
                state.producers,
                second.state.producers
            ));
        }
        let survives = survives.min(model.flushed);
        let lost = lost(&second.state, &model, survives);
        violations.extend(lost.into_iter().map(|v| format!("then {keep:?}: {v}")));
    }
    violations
}

impl Found {
    pub(crate) fn open(disk: &SimDisk, model: &Model) -> Found {
        let work = disk.snapshot();
        let opening = workload::opening(model, Timestamp(0));
        match Log::open(&workload::runtime(&work), Path::new(DIR), opening) {
            Ok((log, _)) => {
                let state = State::of(&log);
                Found {
                    disk: work.snapshot(),
                    log: Ok(log),
                    state,
                }
            }
            Err(error) => Found {
                disk: work.snapshot(),
                log: Err(error.to_string()),
                state: State::default(),
            },
        }
    }
}

impl State {
    fn of(log: &Log) -> State {
        let view = log.view();
        let mut state = State {
            log_start: view.log_start().0,
            log_end: view.log_end().0,
            ..State::default()
        };
        let mut next = view.log_start();
        while next < view.log_end() {
            match read(log, next) {
                Ok(batches) => {
                    next = batches
                        .last()
                        .map_or(view.log_end(), |last| last.last.next());
                    state.batches.extend(batches);
                }
                Err(error) => {
                    state.errors.push(error);
                    break;
                }
            }
        }
        state.epochs = view
            .epochs()
            .into_iter()
            .map(|EpochStart { epoch, start }| (epoch, start))
            .collect();
        state.producers = log
            .active_producers()
            .into_iter()
            .map(
                |ActiveProducer {
                     id, last_sequence, ..
                 }| (id.0, last_sequence),
            )
            .collect();
        state.producers.sort_unstable();
        state
    }
}

/// The batches that a fetch from `from` gets, their checksums and records looked at.
fn read(log: &Log, from: Offset) -> Result<Vec<Batch>, String> {
    let view = log.view();
    let slice = view
        .read(from, 3_000, view.log_end(), FirstBatch::Whole)
        .map_err(|error| format!("cannot read {from}: {error}"))?;
    let bytes = (slice.bytes.read()).map_err(|error| format!("cannot read {from}: {error}"))?;
    let mut batches = Vec::new();
    for batch in Batches::of(bytes) {
        let batch = batch.map_err(|error| format!("no batch at {from}: {error}"))?;
        batch
            .check_crc()
            .map_err(|error| format!("broken batch at {from}: {error}"))?;
        let record = batch
            .records(DecodeLimits::default())
            .next()
            .ok_or_else(|| format!("empty batch at {from}"))?
            .map_err(|error| format!("broken record at {from}: {error}"))?;
        batches.push(Batch {
            base: batch.header().base_offset,
            last: batch.header().last_offset(),
            epoch: batch.header().leader_epoch,
            value: record.value.unwrap_or_default().to_vec(),
        });
    }
    if batches.is_empty() {
        return Err(format!(
            "nothing served at {from}, the end is {}",
            view.log_end()
        ));
    }
    Ok(batches)
}

/// Is everything that is served something that was appended there, in order and without a gap?
pub(crate) fn served(found: &Found, model: &Model) -> Vec<String> {
    let state = &found.state;
    if let Err(error) = &found.log {
        return vec![format!("the log does not open: {error}")];
    }
    let mut violations = state.errors.clone();
    let mut next: Option<Offset> = None;
    let mut epoch = LeaderEpoch(-1);
    for batch in &state.batches {
        if next.is_some_and(|next| next != batch.base) {
            violations.push(format!("gap before {}", batch.base));
        }
        if next.is_none() && batch.base.0 > state.log_start {
            violations.push(format!("the first batch is {}", batch.base));
        }
        if batch.epoch < epoch {
            violations.push(format!("epochs go back at {}", batch.base));
        }
        epoch = batch.epoch;
        next = Some(batch.last.next());
        let is = |entry: &Entry| {
            entry.base == batch.base
                && entry.last == batch.last
                && entry.epoch == batch.epoch
                && entry.value[..] == batch.value
        };
        // The first entry may have been taken off the model with its segment.
        let known = model
            .entries
            .iter()
            .chain(&model.dropped)
            .chain(&model.appending)
            .any(is)
            || batch.last < model.log_start;
        if !known {
            violations.push(format!("nobody appended what is at {}", batch.base));
        }
    }
    if next.is_some_and(|next| next.0 != state.log_end) {
        violations.push(format!(
            "the batches end at {next:?}, the log at {}",
            state.log_end
        ));
    }
    violations
}

/// Is everything there that must have survived?
fn lost(state: &State, model: &Model, survives: Offset) -> Vec<String> {
    let end = model.cutting_to.map_or(survives, |to| {
        // A cut takes the whole batch that holds its offset.
        let holding = model.entries.iter().find(|entry| entry.last >= to);
        survives.min(holding.map_or(to, |entry| entry.base))
    });
    let start = model.starting_at.unwrap_or(model.log_start);
    let mut violations = Vec::new();
    for entry in &model.entries {
        if entry.last < start || entry.last >= end {
            continue;
        }
        let at = state.batches.iter().find(|batch| batch.base == entry.base);
        match at {
            Some(batch) if batch.value == entry.value[..] && batch.epoch == entry.epoch => {}
            Some(_) => violations.push(format!("offset {} has another value", entry.base)),
            None => violations.push(format!(
                "lost {}..={}: the log is {}..{}",
                entry.base, entry.last, state.log_start, state.log_end
            )),
        }
    }
    violations
}

/// Do the epochs say of every batch what the batch says itself?
fn epochs(log: &Log, state: &State) -> Vec<String> {
    let view = log.view();
    let wrong = |batch: &&Batch| view.epoch_of(batch.last) != Some(batch.epoch);
    let mut violations: Vec<String> = state
        .batches
        .iter()
        .filter(wrong)
        .map(|batch| {
            format!(
                "offset {} is of epoch {}, the epochs say {:?}",
                batch.last,
                batch.epoch,
                view.epoch_of(batch.last)
            )
        })
        .collect();
    let grow = state
        .epochs
        .windows(2)
        .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
    if !grow {
        violations.push(format!("epochs are out of order: {:?}", state.epochs));
    }
    violations
}

/// Does every offset lead to the batch that holds it, by its number and by its time?
fn indexes(log: &Log, state: &State) -> Vec<String> {
    let mut violations = Vec::new();
    for batch in &state.batches {
        for offset in [batch.base, batch.last] {
            if offset < log.log_start() {
                continue;
            }
            match read(log, offset) {
                Ok(found) if found[0] == *batch => {}
                Ok(found) => violations.push(format!(
                    "offset {offset} leads to the batch at {}",
                    found[0].base
                )),
                Err(error) => violations.push(error),
            }
        }
    }
    violations
}

/// Does any offset lead to other records than its own? An error does not.
pub(crate) fn misled(log: &Log, model: &Model) -> Vec<String> {
    let mut violations = Vec::new();
    for entry in &model.entries {
        for offset in [entry.base, entry.last] {
            match read(log, offset) {
                Ok(found) if found[0].base != entry.base || found[0].value != entry.value[..] => {
                    violations.push(format!("offset {offset} leads to {}", found[0].base));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    violations
}

/// Does any time or epoch lead astray?
pub(crate) fn misdated(log: &Log, model: &Model) -> Vec<String> {
    let view = log.view();
    let wrong = |entry: &&Entry| view.epoch_of(entry.last) != Some(entry.epoch);
    let wrong = model.entries.iter().filter(wrong);
    let mut violations: Vec<String> = wrong
        .map(|entry| format!("offset {} is not of epoch {}", entry.last, entry.epoch))
        .collect();
    violations.extend(times(log, model));
    violations
}

/// Are the times right? Left to logs whose entries are all known.
fn times(log: &Log, model: &Model) -> Vec<String> {
    let view = log.view();
    let mut violations = Vec::new();
    for entry in &model.entries {
        if entry.base < view.log_start() || entry.base >= view.log_end() {
            continue;
        }
        let first = model
            .entries
            .iter()
            .find(|other| other.timestamp >= entry.timestamp && other.base >= view.log_start());
        let expected = first.map(|first| first.base);
        match view.offset_for_timestamp(entry.timestamp, DecodeLimits::default()) {
            Ok(found) if found.map(|found| found.offset) == expected => {}
            Ok(found) => violations.push(format!(
                "time {} leads to {found:?} instead of {expected:?}",
                entry.timestamp
            )),
            Err(error) => violations.push(format!("no search by time: {error}")),
        }
    }
    violations
}

/// What a running log must serve.
pub(crate) fn reads(log: &Log, model: &Model) -> Vec<String> {
    let state = State::of(log);
    let mut violations = state.errors.clone();
    violations.extend(lost(&state, model, model.log_end()));
    if state.log_end != model.log_end().0 {
        violations.push(format!(
            "the log ends at {}, not {}",
            state.log_end,
            model.log_end()
        ));
    }
    violations
}

/// Does the log remember its producers: is the last batch of each a duplicate, and the next one taken?
fn producers(mut log: Log, model: &Model, state: &State) -> Vec<String> {
    let mut violations = Vec::new();
    // Only where it is not another past of the log that came back.
    let is_there = |entry: &Entry| {
        let is_it = |batch: &Batch| batch.base == entry.base && batch.value == entry.value[..];
        entry.last.0 < state.log_start || state.batches.iter().any(is_it)
    };
    if state.log_end == model.log_end().0 && model.entries.iter().all(is_there) {
        violations.extend(times(&log, model));
    }
    let parse = |entry: &Entry| {
        let rules = workload::config().produce_rules(entry.timestamp, ZstdUse::Allowed);
        ValidBatch::parse(&entry.bytes.to_vec().into(), &rules).expect("it was appended before")
    };
    let there = |entry: &&Entry| {
        state
            .batches
            .iter()
            .any(|batch| batch.base == entry.base && batch.value == entry.value[..])
    };
    let mut seen = Vec::new();
    // A power loss may have brought back batches that were cut off.
    let mut entries: Vec<&Entry> = model
        .entries
        .iter()
        .chain(&model.dropped)
        .filter(there)
        .collect();
    entries.sort_by_key(|entry| entry.base);
    for entry in entries.into_iter().rev() {
        let Some((id, _)) = entry.producer else {
            continue;
        };
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        let epoch = model.epoch().max(entry.epoch);
        match log.append_as_leader(parse(entry), epoch, entry.timestamp) {
            Ok(Appended::Duplicate { base, .. }) if base == entry.base => {}
            other => violations.push(format!(
                "producer {id} at {} is not remembered: {other:?}",
                entry.base
            )),
        }
    }
    violations
}
