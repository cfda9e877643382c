//! The newest offset of each key, in bounded memory: what `SkimpyOffsetMap` is in Kafka.

use crate::types::Offset;
use std::hash::{DefaultHasher, Hasher};

/// Bytes of one entry: a hash of 16 bytes and an offset.
const ENTRY_LEN: usize = size_of::<Slot>();

/// The two halves of a key's hash, and its offset + 1, so that zeros are a free slot and a large table
/// costs no memory before it is filled.
type Slot = [u64; 3];

/// Keys are known by 128 bits of a hash whose seed nobody outside knows, so no two keys are ever taken
/// for one: by chance it does not happen, and on purpose it cannot be tried.
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    hashers: [DefaultHasher; 2],
    keys: usize,
    keys_max: usize,
    /// Below it everything was looked at.
    end: Offset,
}

/// How large a map may grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapLimits {
    pub bytes: u64,
    /// How full the table may be, 0 to 1.
    pub load_factor: f64,
}

/// The map cannot hold one more key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl OffsetMap {
    /// A map for `offsets` records at most, within `limits`. `seed` is drawn for each map.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a table's size, cut to what it can be"
    )]
    pub(super) fn new(limits: MapLimits, offsets: u64, seed: [u64; 2]) -> OffsetMap {
        // One slot stays free at least, so that every search ends.
        let load = limits.load_factor.clamp(0.01, 0.99);
        let wanted = (offsets as f64 / load) as u64 + 2;
        let slots = wanted.min(limits.bytes / ENTRY_LEN as u64).max(2);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        OffsetMap {
            slots: vec![[0; 3]; slots],
            hashers: seed.map(|word| {
                let mut hasher = DefaultHasher::new();
                hasher.write_u64(word);
                hasher
            }),
            keys: 0,
            keys_max: ((slots as f64 * load) as usize).clamp(1, slots - 1),
            end: Offset::ZERO,
        }
    }

    /// Takes note of a record of `key`. Offsets grow from call to call.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        if self.keys == self.keys_max {
            return Err(Full);
        }
        let hash = self.hash(key);
        let at = self.find(hash);
        if let Some(slot) = self.slots.get_mut(at) {
            self.keys += usize::from(slot[2] == 0);
            *slot = [hash[0], hash[1], offset.0.unsigned_abs() + 1];
        }
        self.seen_below(offset.next());
        Ok(())
    }

    /// The newest offset of `key` that was put.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let offset_plus_1 = self.slots.get(self.find(self.hash(key)))?[2];
        i64::try_from(offset_plus_1.checked_sub(1)?)
            .ok()
            .map(Offset)
    }

    /// All records below `end` were put, or need not be.
    pub(super) fn seen_below(&mut self, end: Offset) {
        self.end = self.end.max(end);
    }

    /// The offset that was not looked at any more.
    pub(super) fn end(&self) -> Offset {
        self.end
    }

    /// How much of the table is in use, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(super) fn utilization(&self) -> f64 {
        self.keys as f64 / self.slots.len() as f64
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.clone().map(|mut hasher| {
            hasher.write(key);
            hasher.finish()
        })
    }

    /// The slot that has `hash`, or the free one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut at = usize::try_from((u128::from(hash[0]) * count as u128) >> 64).unwrap_or(0);
        while let Some([one, two, offset]) = self.slots.get(at) {
            if *offset == 0 || [*one, *two] == hash {
                break;
            }
            at = (at + 1) % count;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const LIMITS: MapLimits = MapLimits {
        bytes: 24 * 1_000,
        load_factor: 0.9,
    };

    #[test]
    fn the_newest_offset_of_every_key_is_found_until_the_map_is_full() {
        let mut map = OffsetMap::new(LIMITS, 1 << 40, [1, 2]);
        let mut model = HashMap::new();
        let mut offset = Offset::ZERO;
        while model.len() < 900 {
            let key = (offset.0 * 7919 % 1_300).to_string();
            map.put(key.as_bytes(), offset).unwrap();
            model.insert(key, offset);
            offset = offset.next();
        }
        assert_eq!(map.put(b"one more", offset), Err(Full));
        for (key, offset) in &model {
            assert_eq!(map.get(key.as_bytes()), Some(*offset));
        }
        assert_eq!(map.get(b"one more"), None);
        assert_eq!(map.end(), offset);
        assert!((map.utilization() - 0.9).abs() < 0.001);
    }

    #[test]
    fn a_map_for_few_records_is_small() {
        let map = OffsetMap::new(LIMITS, 9, [1, 2]);
        assert_eq!(map.slots.len(), 12);
        assert_eq!(map.keys_max, 10);
    }

    #[test]
    fn the_smallest_map_still_makes_progress() {
        let limits = MapLimits {
            bytes: 0,
            load_factor: 0.0,
        };
        let mut map = OffsetMap::new(limits, 1 << 40, [1, 2]);
        assert_eq!(map.put(b"a", Offset(5)), Ok(()));
        assert_eq!(map.put(b"b", Offset(6)), Err(Full));
        assert_eq!((map.get(b"a"), map.end()), (Some(Offset(5)), Offset(6)));
    }
}
