//! Deadlines by key, earliest first.

use super::Tick;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

/// Heap entries beyond those in use that are kept, so that small tables are never swept.
const IDLE_ENTRIES_MAX: usize = 64;

/// A table of deadlines. Moving a deadline later, which every heartbeat does, only writes the table:
/// the heap keeps its old entry, which is put back when it comes up too early. Entries of deadlines
/// that were cancelled are swept out once they are the majority.
#[derive(Debug)]
pub struct Deadlines<K> {
    at: HashMap<K, Tick>,
    heap: BinaryHeap<Reverse<(Tick, K)>>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Deadlines<K> {
        Deadlines {
            at: HashMap::new(),
            heap: BinaryHeap::new(),
        }
    }
}

impl<K: Clone + Ord + Hash> Deadlines<K> {
    /// Sets the deadline of `key`, instead of the one it had.
    pub fn set(&mut self, key: K, at: Tick) {
        match self.at.get_mut(&key) {
            Some(old) => {
                let in_heap_by_then = *old <= at;
                *old = at;
                if !in_heap_by_then {
                    self.heap.push(Reverse((at, key)));
                }
            }
            None => {
                self.heap.push(Reverse((at, key.clone())));
                self.at.insert(key, at);
            }
        }
        if self.heap.len() > 2 * self.at.len() + IDLE_ENTRIES_MAX {
            let current = self.at.iter().map(|(key, at)| Reverse((*at, key.clone())));
            self.heap = current.collect();
        }
    }

    pub fn cancel(&mut self, key: &K) {
        self.at.remove(key);
        if self.at.is_empty() {
            self.heap.clear();
        }
    }

    /// The deadline of `key`.
    pub fn get(&self, key: &K) -> Option<Tick> {
        self.at.get(key).copied()
    }

    /// Takes out one key whose deadline has come; the earliest first, equal ones in key order.
    pub fn pop(&mut self, now: Tick) -> Option<K> {
        while let Some(Reverse((at, _))) = self.heap.peek() {
            if *at > now {
                return None;
            }
            let Reverse((_, key)) = self.heap.pop()?;
            match self.at.get(&key) {
                Some(&at) if at <= now => {
                    self.at.remove(&key);
                    return Some(key);
                }
                Some(&later) => self.heap.push(Reverse((later, key))),
                None => {} // cancelled
            }
        }
        None
    }

    /// When [`Deadlines::pop`] should be called next: never after the earliest deadline, perhaps
    /// before it. `None` if there is no deadline at all.
    pub fn next(&self) -> Option<Tick> {
        if self.at.is_empty() {
            return None;
        }
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_comes_first_and_none_comes_early() {
        let mut deadlines = Deadlines::default();
        deadlines.set("b", Tick(20));
        deadlines.set("a", Tick(10));
        assert_eq!(deadlines.next(), Some(Tick(10)));
        assert_eq!(deadlines.pop(Tick(9)), None);
        assert_eq!(deadlines.pop(Tick(25)), Some("a"));
        assert_eq!(deadlines.pop(Tick(25)), Some("b"));
        assert_eq!(deadlines.pop(Tick(25)), None);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_deadline_that_was_moved_later_does_not_come_at_its_old_time() {
        let mut deadlines = Deadlines::default();
        deadlines.set("a", Tick(10));
        deadlines.set("a", Tick(30));
        assert_eq!(deadlines.pop(Tick(29)), None);
        assert_eq!(deadlines.next(), Some(Tick(30)));
        assert_eq!(deadlines.pop(Tick(30)), Some("a"));
    }

    #[test]
    fn a_deadline_that_was_moved_earlier_comes_earlier_and_only_once() {
        let mut deadlines = Deadlines::default();
        deadlines.set("a", Tick(30));
        deadlines.set("a", Tick(10));
        assert_eq!(deadlines.pop(Tick(10)), Some("a"));
        assert_eq!(deadlines.pop(Tick(50)), None);
    }

    #[test]
    fn a_cancelled_deadline_never_comes() {
        let mut deadlines = Deadlines::default();
        deadlines.set("a", Tick(10));
        deadlines.set("b", Tick(10));
        deadlines.cancel(&"a");
        assert_eq!(deadlines.pop(Tick(50)), Some("b"));
        assert_eq!(deadlines.pop(Tick(50)), None);
    }

    #[test]
    fn deadlines_that_are_set_and_cancelled_again_and_again_leave_nothing_behind() {
        let mut deadlines = Deadlines::default();
        deadlines.set(u64::MAX, Tick(5_000));
        for key in 0..10_000 {
            deadlines.set(key, Tick(1_000_000 + key));
            deadlines.cancel(&key);
        }
        assert!(deadlines.heap.len() <= IDLE_ENTRIES_MAX + 2);
        assert_eq!(deadlines.pop(Tick(5_000)), Some(u64::MAX));
        assert_eq!(deadlines.pop(Tick(u64::MAX)), None);
    }

    #[test]
    fn moving_a_deadline_later_many_times_keeps_one_heap_entry() {
        let mut deadlines = Deadlines::default();
        for at in 0..1000 {
            deadlines.set("a", Tick(at));
        }
        assert_eq!(deadlines.heap.len(), 1);
    }
}
