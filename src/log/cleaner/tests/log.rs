use super::{LIMITS, begin, clean, cleanable, step};
use crate::log::tests::{Bed, NOW, bytes_of, len_of, produced, read_all, transactional};
use crate::log::*;
use crate::record::control::{EndMarker, TransactionResult, end_transaction};
use crate::record::{
    Batch, BatchBuilder, BatchOptions, Batches, NewRecord, TransactionVersion, ValidBatch,
};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};

const DAY_MS: i64 = 24 * 3_600_000;

pub(super) fn compacted() -> Bed {
    Bed::new(LogConfig {
        segment_bytes: 1_000,
        index_interval_bytes: 100,
        cleanup: CleanupPolicy {
            delete: false,
            compact: true,
        },
        ..LogConfig::default()
    })
}

/// One batch; a record without a value is a tombstone.
pub(super) fn batch(records: &[(Option<&str>, Option<&str>)]) -> ValidBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (key, value) in records {
        let record = NewRecord {
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            headers: &[],
        };
        builder.push(NOW, record);
    }
    builder.build().unwrap()
}

pub(super) fn put(bed: &mut Bed, records: &[(Option<&str>, Option<&str>)]) {
    bed.append(batch(records));
    bed.log.advance_high_watermark(bed.log.log_end());
}

/// Closes the active segment, so that everything before can be cleaned.
pub(super) fn roll(bed: &mut Bed) {
    bed.log.roll(NOW).unwrap();
    put(bed, &[(Some("of the active segment"), Some("x"))]);
}

pub(super) fn keys_at(bed: &Bed, from: i64) -> Vec<(i64, String)> {
    let mut keys = Vec::new();
    for batch in bed.batches(from) {
        for record in batch.records(crate::record::DecodeLimits::default()) {
            let record = record.unwrap();
            let key = record.key.unwrap_or_default();
            keys.push((record.offset.0, String::from_utf8(key.to_vec()).unwrap()));
        }
    }
    keys
}

fn position_of(batches: &[Batch], base: i64) -> usize {
    let found = (batches.iter()).position(|batch| batch.header().base_offset.0 == base);
    found.unwrap()
}

#[test]
fn a_batch_that_loses_nothing_is_copied_as_it_is() {
    let mut bed = compacted();
    put(&mut bed, &[(Some("a"), Some("1")), (Some("b"), Some("1"))]);
    put(&mut bed, &[(Some("c"), Some("1"))]);
    put(&mut bed, &[(Some("a"), Some("2"))]);
    roll(&mut bed);
    let before = bed.batches(0);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let after = bed.batches(0);
    let at = |base| (position_of(&before, base), position_of(&after, base));
    for base in [2, 3] {
        let (was, is) = at(base);
        assert_eq!(before[was].bytes(), after[is].bytes());
    }
    let (was, is) = at(0);
    assert_ne!(before[was].bytes(), after[is].bytes(), "one record left it");
}

#[test]
fn records_without_a_key_go_because_nobody_can_name_them() {
    let mut bed = compacted();
    put(&mut bed, &[(None, Some("1")), (Some("b"), Some("1"))]);
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(keys_at(&bed, 0)[0], (1, "b".to_owned()));
}

#[test]
fn a_tombstone_stays_for_its_time_after_the_cleaning_that_met_it() {
    let mut bed = compacted();
    put(&mut bed, &[(Some("a"), Some("1"))]);
    put(&mut bed, &[(Some("a"), None)]);
    put(&mut bed, &[(Some("b"), Some("1"))]);
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let batches = bed.batches(0);
    let horizon = batches[0].header().delete_horizon();
    assert_eq!(batches[0].header().base_offset, Offset(1));
    assert_eq!(horizon, Some(NOW.plus_ms(DAY_MS)));
    for (later_ms, first) in [(DAY_MS - 1, 1), (DAY_MS, 2)] {
        roll(&mut bed);
        clean(&mut bed, LIMITS, NOW.plus_ms(later_ms)).unwrap();
        assert_eq!(keys_at(&bed, 0)[0].0, first, "after {later_ms} ms");
    }
}

#[test]
fn small_segments_become_one_and_those_who_read_the_old_ones_go_on() {
    let mut bed = compacted();
    for n in 0..60 {
        put(&mut bed, &[(Some(["a", "b", "c"][n % 3]), Some("value"))]);
    }
    roll(&mut bed);
    let view = bed.log.view();
    let old = view
        .read(Offset(0), 10_000, Offset(60), FirstBatch::Whole)
        .unwrap();
    let bytes = bytes_of(&old);
    assert!(view.segment_count() > 4);
    bed.config.segment_bytes = 10_000;
    bed.log.set_config(bed.config.clone());
    clean(&mut bed, LIMITS, NOW).unwrap();
    assert_eq!(view.segment_count(), 2);
    let kept: Vec<i64> = keys_at(&bed, 0).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(kept, [57, 58, 59, 60]);
    bed.log.advance_high_watermark(bed.log.log_end());
    assert_eq!(
        bytes_of(&old),
        bytes,
        "a fetch under way sends what it found"
    );
    assert!(
        Batches::of(bytes).count() > 10,
        "records that are gone for later readers"
    );
    let old_files = bed.named(".log.deleted").len();
    assert!(old_files > 4, "the old files stay for file.delete.delay.ms");
    assert_eq!(
        bed.named(".snapshot"),
        [format!("{:020}.snapshot", 60)],
        "of the segments that are left"
    );
}

#[test]
fn a_cleaned_log_is_found_as_it_was_after_a_clean_stop() {
    let mut bed = compacted();
    for n in 0..60 {
        put(&mut bed, &[(Some(["a", "b", "c"][n % 3]), Some("value"))]);
    }
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let before = keys_at(&bed, 0);
    bed.log.close().unwrap();
    let bed = bed.reopen(Shutdown::Clean, 0);
    assert_eq!(
        bed.recovered,
        Recovered::default(),
        "its indexes are trusted"
    );
    assert_eq!(keys_at(&bed, 0), before);
}

#[test]
fn the_last_batch_of_a_producer_stays_without_its_records() {
    let mut bed = compacted();
    bed.append(produced(5, 0, 0, 2));
    bed.append(produced(5, 0, 2, 3));
    bed.log.advance_high_watermark(bed.log.log_end());
    put(&mut bed, &[(Some("key"), Some("newer"))]);
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let first = bed.batches(0)[0].header().to_owned();
    assert_eq!((first.base_offset, first.records_count), (Offset(2), 0));
    let mut bed = bed.reopen_with(Shutdown::Unclean, |opening| {
        opening.cleaned_end = Some(Offset(0));
    });
    let retry = bed.append(produced(5, 0, 2, 3));
    assert!(matches!(
        retry,
        Appended::Duplicate {
            base: Offset(2),
            ..
        }
    ));
    let next = bed.append(produced(5, 0, 5, 1));
    assert!(matches!(next, Appended::Fresh { .. }));
}

#[test]
fn the_last_batch_before_what_is_not_cleaned_stays_so_that_no_reader_is_lost() {
    let mut bed = compacted();
    put(&mut bed, &[(Some("a"), Some("1"))]);
    put(&mut bed, &[(None, Some("goes"))]);
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let batches = bed.batches(0);
    assert_eq!(batches[1].header().records_count, 0);
    assert_eq!(batches[1].header().next_offset(), Offset(2));
}

#[test]
fn a_broken_batch_stops_the_cleaning_and_changes_nothing() {
    let mut bed = compacted();
    put(&mut bed, &[(Some("a"), Some("1"))]);
    put(&mut bed, &[(Some("a"), Some("2"))]);
    roll(&mut bed);
    let name = "00000000000000000000.log";
    bed.flip(name, len_of(&bed.dir().join(name)) - 3);
    let planned = cleanable(&bed, NOW);
    let mut cleaning = begin(&mut bed, &planned, LIMITS, NOW);
    let files = bed.files();
    let error = loop {
        if let Err(error) = step(&mut bed, &mut cleaning, NOW) {
            break error;
        }
    };
    assert!(matches!(error, CleaningError::Broken { .. }), "{error}");
    cleaning.abandon();
    assert_eq!(bed.files(), files);
}

#[test]
fn a_cleaning_whose_segments_are_deleted_meanwhile_is_thrown_away() {
    let mut bed = compacted();
    for _ in 0..40 {
        put(&mut bed, &[(Some("a"), Some("value"))]);
    }
    roll(&mut bed);
    let planned = cleanable(&bed, NOW);
    let mut cleaning = begin(&mut bed, &planned, LIMITS, NOW);
    let replacement = loop {
        if let Progress::Complete(replacement) = cleaning.step().unwrap() {
            break replacement;
        }
    };
    bed.log.set_log_start(Offset(30)).unwrap();
    assert!(bed.log.delete_old_segments(NOW).unwrap() > 0);
    let before = read_all(&bed.log.view(), 30).len();
    let outcome = bed.log.replace_segments(replacement, NOW).unwrap();
    assert!(matches!(outcome, Replaced::Outdated));
    assert_eq!(read_all(&bed.log.view(), 30).len(), before);
    assert_eq!(bed.named(".cleaned"), [""; 0]);
}

#[test]
fn a_segment_that_compaction_emptied_holds_no_retention_back() {
    let mut bed = compacted();
    bed.config.segment_bytes = 120;
    bed.config.cleanup.delete = true;
    bed.config.retention_ms = 1_000;
    bed.log.set_config(bed.config.clone());
    for _ in 0..4 {
        put(
            &mut bed,
            &[(Some("a"), Some("a value so long that two do not fit"))],
        );
    }
    roll(&mut bed);
    clean(&mut bed, LIMITS, NOW).unwrap();
    let name = "00000000000000000000.log";
    assert_eq!(
        len_of(&bed.dir().join(name)),
        0,
        "its only record was the old value"
    );
    bed.log
        .delete_old_segments(Timestamp(NOW.0 + 1_001))
        .unwrap();
    assert_eq!(bed.log.view().segment_count(), 1);
}

#[test]
fn what_is_not_on_disk_yet_is_not_cleaned() {
    let mut bed = compacted();
    put(&mut bed, &[(Some("a"), Some("1"))]);
    put(&mut bed, &[(Some("a"), Some("2"))]);
    roll(&mut bed);
    let planned = cleanable(&bed, NOW);
    let begun = bed.log.begin_cleaning(&planned, LIMITS, [7, 8], NOW);
    assert!(begun.is_none());
    assert_eq!(bed.log.view().cleaned_end(), None);
}

#[test]
fn the_marker_of_an_abort_stays_as_long_as_its_batches_and_then_for_its_time() {
    let mut bed = compacted();
    bed.append(transactional(5, 0, 0, 2));
    let abort = EndMarker {
        result: TransactionResult::Abort,
        coordinator_epoch: 0,
    };
    let (id, epoch) = (ProducerId(5), ProducerEpoch(0));
    let version = TransactionVersion::V1;
    bed.append(end_transaction(id, epoch, abort, version, NOW));
    let mut at = NOW;
    // What is at offsets 0 (two records) and 2 (the marker): how many records, and a delete horizon.
    let mut cleaned = |bed: &mut Bed, later_ms| {
        at = at.plus_ms(later_ms);
        roll(bed);
        clean(bed, LIMITS, at).unwrap();
        let batches = bed.batches(0).into_iter();
        let headers = batches.map(|batch| *batch.header());
        let headers = headers.filter(|header| header.base_offset < Offset(3));
        headers
            .map(|header| {
                let horizon = header.delete_horizon().is_some();
                (header.base_offset.0, header.records_count, horizon)
            })
            .collect::<Vec<_>>()
    };
    let emptied = (0, 0, false);
    assert_eq!(cleaned(&mut bed, 0), [emptied, (2, 1, false)]);
    assert_eq!(cleaned(&mut bed, 2 * DAY_MS), [emptied, (2, 1, false)]);
    bed.log.expire_producers(NOW.plus_ms(2 * DAY_MS));
    assert_eq!(
        cleaned(&mut bed, 0),
        [(2, 1, false)],
        "the producer is forgotten"
    );
    assert_eq!(
        cleaned(&mut bed, 0),
        [(2, 1, true)],
        "nothing else is left of it"
    );
    assert_eq!(cleaned(&mut bed, DAY_MS - 1), [(2, 1, true)]);
    assert_eq!(cleaned(&mut bed, 1), []);
}
