//! Logs of an odd shape, each cleaned.

use super::log::{batch, compacted, keys_at, put, roll};
use super::{LIMITS, begin, clean, cleanable, step};
use crate::log::tests::{Bed, NOW, built, len_of, marker, stamped, transactional};
use crate::log::*;
use crate::record::control::TransactionResult;
use crate::record::{BatchBuilder, BatchOptions, NewRecord};
use crate::types::{LeaderEpoch, Offset, Timestamp};

const DAY_MS: i64 = 24 * 3_600_000;

/// Base offset, number of records and delete horizon of what is below `upper`.
fn headers(bed: &Bed, upper: i64) -> Vec<(i64, i32, bool)> {
    let batches = bed.batches(0).into_iter().map(|batch| *batch.header());
    let below = batches.filter(|header| header.base_offset.0 < upper);
    below
        .map(|header| {
            let horizon = header.delete_horizon().is_some();
            (header.base_offset.0, header.records_count, horizon)
        })
        .collect()
}

#[test]
fn the_marker_of_a_commit_stays_as_long_as_its_records_and_then_for_its_time() {
    let mut bed = compacted();
    bed.append(transactional(5, 0, 0, 1)); // the record's key is "key"
    bed.append(marker(5, 0, TransactionResult::Commit, 0));
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(headers(&bed, 2), [(0, 1, false), (1, 1, false)]);
    put(&mut bed, &[(Some("key"), Some("newer"))]);
    bed.log.expire_producers(NOW.plus_ms(2 * DAY_MS));
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(
        headers(&bed, 2),
        [(1, 1, false)],
        "the record was met, and went"
    );
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(headers(&bed, 2), [(1, 1, true)]);
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW.plus_ms(DAY_MS)).unwrap();
    assert_eq!(headers(&bed, 2), []);
}

#[test]
fn a_record_whose_key_is_that_of_a_marker_takes_no_marker_away() {
    let mut bed = compacted();
    bed.append(transactional(5, 0, 0, 1));
    bed.append(marker(5, 0, TransactionResult::Commit, 0));
    // Version 0, type 1: the key of a commit.
    let mut conflicting = BatchBuilder::new(BatchOptions::default());
    let record = NewRecord {
        key: Some(&[0, 0, 0, 1]),
        value: Some(b"value"),
        headers: &[],
    };
    conflicting.push(NOW, record);
    bed.append(conflicting.build().unwrap());
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(
        headers(&bed, 3),
        [(0, 1, false), (1, 1, false), (2, 1, false)]
    );
}

#[test]
fn a_tombstone_stays_for_its_time_by_the_clock_whatever_the_records_say() {
    let mut bed = compacted();
    let mut late = BatchBuilder::new(BatchOptions::default());
    let record = NewRecord {
        key: Some(b"other"),
        value: Some(b"value"),
        headers: &[],
    };
    late.push(NOW.plus_ms(400 * DAY_MS), record);
    bed.append(late.build().unwrap());
    bed.append(batch(&[(Some("a"), None)]));
    roll(&mut bed);
    let at = |bed: &mut _, later| {
        clean(bed, LIMITS, NOW.plus_ms(later)).unwrap();
        let has_it = keys_at(bed, 0).contains(&(1, "a".to_owned()));
        roll(bed);
        has_it
    };
    assert!(at(&mut bed, 0));
    assert!(at(&mut bed, DAY_MS - 1));
    assert!(!at(&mut bed, DAY_MS));
}

#[test]
fn a_batch_larger_than_what_is_read_at_once_is_cleaned_too() {
    let mut bed = compacted();
    bed.config.segment_bytes = 10_000;
    bed.log.set_config(bed.config.clone());
    let large = "v".repeat(20 * LIMITS.chunk_bytes);
    put(&mut bed, &[(Some("a"), Some(&large))]);
    put(
        &mut bed,
        &[(Some("b"), Some(&large)), (Some("c"), Some("1"))],
    );
    put(&mut bed, &[(Some("b"), Some("2"))]);
    bed.config.segment_bytes = 1_000;
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let kept: Vec<i64> = keys_at(&bed, 0).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(kept, [0, 2, 3, 4]);
}

#[test]
fn a_batch_whose_length_is_broken_stops_the_cleaning() {
    for byte in [8, 10, 11] {
        let mut bed = compacted();
        put(&mut bed, &[(Some("a"), Some("1"))]);
        put(&mut bed, &[(Some("a"), Some("2"))]);
        roll(&mut bed);
        let size = bed.batches(0)[0].bytes().len() as u64;
        bed.flip("00000000000000000000.log", size + byte);
        let planned = cleanable(&bed, NOW);
        let mut cleaning = begin(&mut bed, &planned, LIMITS, NOW);
        let error = loop {
            match step(&mut bed, &mut cleaning, NOW) {
                Ok(more) => assert!(more, "byte {byte} was not seen"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CleaningError::Broken { .. }), "{error}");
        cleaning.abandon();
    }
}

#[test]
fn a_cleaned_segment_of_a_log_that_preallocates_is_as_long_as_what_is_in_it() {
    let mut bed = compacted();
    bed.config.preallocate = true;
    bed.log.set_config(bed.config.clone());
    for key in ["a", "b", "a", "b", "a"] {
        put(&mut bed, &[(Some(key), Some("value"))]);
    }
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let kept: u64 = (bed.batches(0).iter())
        .filter(|batch| batch.header().base_offset < Offset(5))
        .map(|batch| batch.bytes().len() as u64)
        .sum();
    assert_eq!(len_of(&bed.dir().join("00000000000000000000.log")), kept);
}

/// A record at `base`, as a leader stamped it whose log has gaps.
fn follow(bed: &mut Bed, base: i64, key: &str) {
    let mut batch = batch(&[(Some(key), Some("value"))]);
    batch.stamp(Offset(base), LeaderEpoch(0));
    bed.follow(&batch.to_bytes());
    bed.log.advance_high_watermark(bed.log.log_end());
}

#[test]
fn a_cleaning_goes_on_beyond_offsets_that_are_missing() {
    let mut bed = compacted();
    for base in [0, 1, 11, 12, 30, 31] {
        follow(&mut bed, base, "key");
        bed.log.roll(NOW).unwrap();
    }
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(keys_at(&bed, 0)[0].0, 31, "the newest of the key");
    assert_eq!(bed.log.view().cleaned_end(), Some(Offset(32)));
}

#[test]
fn segments_too_far_apart_for_one_index_are_not_joined() {
    let mut bed = compacted();
    let far = i64::from(i32::MAX);
    let bases = [0, far, far + 1, far + 2];
    for base in bases {
        follow(&mut bed, base, &base.to_string());
        bed.log.roll(NOW).unwrap();
    }
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let names = bed.named(".log");
    assert_eq!(
        names.len(),
        3,
        "two pairs became one segment each: {names:?}"
    );
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| {
        opening.cleaned_end = Some(Offset(0));
    });
    let kept: Vec<i64> = keys_at(&bed, 0).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(kept[..4], bases);
}

#[test]
fn old_empty_batches_go_even_if_every_batch_begins_with_the_same_sequence() {
    // The group coordinator's transactional batches all have sequence 0.
    let mut bed = compacted();
    for _ in 0..2 {
        bed.append(built(stamped(5, 0, -1, true), 1, NOW));
        bed.append(marker(5, 0, TransactionResult::Commit, 0));
    }
    put(&mut bed, &[(Some("key"), Some("newer"))]);
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(
        headers(&bed, 4),
        [(1, 1, false), (2, 0, false), (3, 1, false)],
        "the newest of the producer stays, without records"
    );
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    roll(&mut bed);
    clean(&mut bed, LIMITS, Timestamp(NOW.0 + DAY_MS)).unwrap();
    assert_eq!(headers(&bed, 3), [(2, 0, false)]);
}
