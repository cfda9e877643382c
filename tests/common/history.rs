//! What clients were told, and whether a broker still stands by it.

use super::client::Read;
use imbl::{OrdMap, OrdSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The value of a record. Every value is written once in a run, so that it names its record.
pub(crate) type Value = Arc<[u8]>;

/// A topic and one of its partitions.
pub(crate) type Place = (String, i32);

/// What all clients of a run know. Anything that was attempted may have happened; what was
/// acknowledged has. Cloning costs little, so that one can be kept for every crash point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub topics: BTreeSet<String>,
    pub attempted: OrdMap<Place, OrdSet<Value>>,
    pub acknowledged: OrdMap<Place, OrdMap<i64, Value>>,
    /// Read by a consumer.
    pub seen: OrdMap<Place, OrdMap<i64, Value>>,
    /// The last batch of each idempotent producer, if it got no answer: it will be sent again.
    pub unanswered: BTreeMap<u32, Unanswered>,
    pub commits_attempted: BTreeMap<(String, Place), BTreeSet<i64>>,
    pub commits_acknowledged: BTreeMap<(String, Place), i64>,
}

/// What an idempotent producer must repeat as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered {
    pub place: Place,
    pub producer: (i64, i16),
    pub base_sequence: i32,
    pub values: Vec<Value>,
}

/// What a broker holds, as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub topics: BTreeSet<String>,
    pub records: BTreeMap<Place, Vec<Read>>,
    pub committed: BTreeMap<(String, Place), i64>,
}

/// How much must have survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// All that was acknowledged: the process was killed, or all is synced before it is answered.
    Acknowledged,
    /// Nothing need have survived, but what has must be right: unsynced data met a power loss.
    Consistent,
}

impl History {
    pub(crate) fn attempt(&mut self, place: &Place, values: &[Value]) {
        let attempted = self.attempted.entry(place.clone()).or_default();
        for value in values {
            let before = attempted.insert(value.clone());
            assert!(before.is_none(), "values are written once");
        }
    }

    pub(crate) fn acknowledge(&mut self, place: &Place, base: i64, values: &[Value]) {
        let acknowledged = self.acknowledged.entry(place.clone()).or_default();
        acknowledged.extend((base..).zip(values.iter().cloned()));
    }

    pub(crate) fn see(&mut self, place: &Place, records: &[Read]) {
        let seen = self.seen.entry(place.clone()).or_default();
        seen.extend(
            records
                .iter()
                .map(|read| (read.offset, Value::from(read.value.as_slice()))),
        );
    }

    /// Everything in `found` that breaks a promise; empty if all is well. `promise` says how much of
    /// what was acknowledged to a topic's producers, and of what consumers have read, must have survived;
    /// `offsets` says the same of committed offsets.
    pub(crate) fn violations(
        &self,
        found: &Found,
        promise: impl Fn(&str) -> Promise,
        offsets: Promise,
    ) -> Vec<String> {
        let mut violations = Vec::new();
        for topic in self.topics.difference(&found.topics) {
            violations.push(format!("lost topic: {topic} was created"));
        }
        for (place, records) in &found.records {
            self.check_order(place, records, &mut violations);
            if promise(&place.0) == Promise::Consistent {
                continue;
            }
            for (how, known) in [("acknowledged", &self.acknowledged), ("seen", &self.seen)] {
                if let Some(known) = known.get(place) {
                    check_kept(place, records, how, known, &mut violations);
                }
            }
        }
        for (place, acknowledged) in &self.acknowledged {
            if !found.records.contains_key(place) && promise(&place.0) == Promise::Acknowledged {
                violations.push(format!(
                    "lost partition: {place:?} with {}",
                    acknowledged.len()
                ));
            }
        }
        for (key, acknowledged) in &self.commits_acknowledged {
            let committed = found.committed.get(key).copied().unwrap_or(-1);
            if offsets == Promise::Acknowledged && committed < *acknowledged {
                violations.push(format!(
                    "offset went back: {key:?} was {acknowledged}, is {committed}"
                ));
            }
        }
        for (key, committed) in &found.committed {
            let attempted = self.commits_attempted.get(key);
            if *committed != -1 && !attempted.is_some_and(|all| all.contains(committed)) {
                violations.push(format!("unknown offset: {key:?} is {committed}"));
            }
        }
        violations
    }

    /// No gap, nothing twice, and nothing that nobody wrote.
    fn check_order(&self, place: &Place, records: &[Read], violations: &mut Vec<String>) {
        let mut values = BTreeSet::new();
        for (offset, read) in (0..).zip(records) {
            if read.offset != offset {
                violations.push(format!("gap: {place:?} has {} at {offset}", read.offset));
                break;
            }
            if !values.insert(&read.value) {
                violations.push(format!("duplicate: {place:?} {}", show(&read.value)));
            }
            let attempted = self.attempted.get(place);
            if !attempted.is_some_and(|all| all.contains(read.value.as_slice())) {
                violations.push(format!("invented: {place:?} {}", show(&read.value)));
            }
        }
    }
}

/// Every known value is at its offset.
fn check_kept(
    place: &Place,
    records: &[Read],
    how: &str,
    known: &OrdMap<i64, Value>,
    violations: &mut Vec<String>,
) {
    for (offset, value) in known {
        let found = usize::try_from(*offset).ok().and_then(|at| records.get(at));
        match found {
            None => violations.push(format!(
                "lost write: {place:?} {} was {how} at {offset}, the end is {}",
                show(value),
                records.len()
            )),
            Some(read) if read.value[..] != value[..] => violations.push(format!(
                "inconsistent offset: {place:?} {offset} was {} and is {}",
                show(value),
                show(&read.value)
            )),
            Some(_) => {}
        }
    }
}

fn show(value: &[u8]) -> String {
    let start = &value[..value.len().min(24)];
    String::from_utf8_lossy(start).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        ("t".to_owned(), 0)
    }

    fn read(offset: i64, value: &str) -> Read {
        Read {
            offset,
            value: value.into(),
        }
    }

    fn history() -> History {
        let mut history = History::default();
        history.topics.insert("t".to_owned());
        let values: Vec<Value> = ["a", "b", "c"]
            .iter()
            .map(|v| v.as_bytes().into())
            .collect();
        history.attempt(&place(), &values);
        history.acknowledge(&place(), 0, &values[..2]);
        let group = ("g".to_owned(), place());
        history
            .commits_attempted
            .insert(group.clone(), BTreeSet::from([1, 2]));
        history.commits_acknowledged.insert(group, 1);
        history
    }

    fn violations(records: &[Read], committed: i64) -> Vec<String> {
        let found = Found {
            topics: BTreeSet::from(["t".to_owned()]),
            records: BTreeMap::from([(place(), records.to_vec())]),
            committed: BTreeMap::from([(("g".to_owned(), place()), committed)]),
        };
        let kinds = |text: String| text.split(':').next().unwrap_or("").to_owned();
        history()
            .violations(&found, |_| Promise::Acknowledged, Promise::Acknowledged)
            .into_iter()
            .map(kinds)
            .collect()
    }

    #[test]
    fn each_broken_promise_is_named() {
        let (a, b, c) = (read(0, "a"), read(1, "b"), read(2, "c"));
        assert_eq!(violations(&[a.clone(), b.clone()], 1), [""; 0]);
        assert_eq!(violations(&[a.clone(), b.clone(), c], 2), [""; 0]);
        assert_eq!(violations(std::slice::from_ref(&a), 1), ["lost write"]);
        assert_eq!(
            violations(&[a.clone(), read(1, "c")], 1),
            ["inconsistent offset"]
        );
        assert_eq!(
            violations(&[a.clone(), b.clone(), read(2, "b")], 1),
            ["duplicate"]
        );
        assert_eq!(
            violations(&[a.clone(), b.clone(), read(2, "x")], 1),
            ["invented"]
        );
        assert_eq!(
            violations(&[a.clone(), b.clone(), read(3, "c")], 1),
            ["gap"]
        );
        assert_eq!(
            violations(&[a.clone(), b.clone()], -1),
            ["offset went back"]
        );
        assert_eq!(violations(&[a, b], 7), ["unknown offset"]);
        let nothing = history().violations(
            &Found::default(),
            |_| Promise::Acknowledged,
            Promise::Consistent,
        );
        assert_eq!(nothing.len(), 2, "topic and partition: {nothing:?}");
    }
}
