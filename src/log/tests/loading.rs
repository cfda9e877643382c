//! Opening logs whose files are missing, left over or broken.

use super::*;
use crate::record::control::TransactionResult;
use crate::record::{Codec, Compression};
use crate::runtime::os;

fn remove(bed: &Bed, suffixes: &[&str]) {
    for suffix in suffixes {
        for name in bed.named(suffix) {
            std::fs::remove_file(bed.dir().join(name)).unwrap();
        }
    }
}

fn snapshots(bed: &Bed) -> Vec<i64> {
    let offset_of = |name: &String| name.trim_end_matches(".snapshot").parse().unwrap();
    bed.named(".snapshot").iter().map(offset_of).collect()
}

/// A batch at `base`, as a leader of `epoch` stamped it.
fn stamped_at(base: i64, epoch: i32, codec: Codec, count: i64) -> Bytes {
    let options = BatchOptions {
        compression: Compression::of(codec),
        ..BatchOptions::default()
    };
    let mut batch = built(options, count, NOW);
    batch.stamp(Offset(base), LeaderEpoch(epoch));
    batch.to_bytes()
}

#[test]
fn after_a_crash_every_checked_segment_leaves_a_snapshot_of_the_producers() {
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 1));
    bed.fill(60, 2);
    remove(&bed, &[".snapshot"]);
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(snapshots(&bed), bed.bases()[1..]);
}

#[test]
fn of_snapshots_that_begin_no_segment_only_the_newest_is_kept() {
    let mut bed = Bed::small();
    for sequence in 0..2 {
        bed.append(produced(1, 0, sequence, 1));
        bed.log.roll(NOW).unwrap();
    }
    bed.append(produced(1, 0, 2, 1));
    bed.append(produced(1, 0, 3, 1));
    bed.log.close().unwrap();
    assert_eq!(snapshots(&bed), [1, 2, 4]);
    for stray in [3, 9] {
        std::fs::write(bed.dir().join(format!("{stray:020}.snapshot")), b"").unwrap();
    }
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(snapshots(&bed), [1, 2, 4]);
}

#[test]
fn producers_are_known_after_delete_records_moved_the_start_into_their_segment() {
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 1));
    bed.append(produced(2, 0, 0, 1));
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| opening.log_start = Offset(1));
    assert_eq!(bed.log.active_producers().len(), 2);
}

#[test]
fn producers_are_known_after_delete_records_took_their_segment() {
    // Apache Kafka forgets the first one here, if it crashed; a retry would be a duplicate.
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 1));
    bed.log.roll(NOW).unwrap();
    bed.append(produced(2, 0, 0, 1));
    bed.log.advance_high_watermark(Offset(2));
    bed.log.set_log_start(Offset(1)).unwrap();
    assert_eq!(bed.log.delete_old_segments(NOW).unwrap(), 1);
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| opening.log_start = Offset(1));
    assert_eq!(bed.log.active_producers().len(), 2);
}

#[test]
fn a_coordinator_epoch_that_went_back_is_taken_as_it_was_written() {
    // KAFKA-9144: once a producer has expired, an older coordinator can write a marker.
    let mut bed = Bed::small();
    bed.append(marker(1, 0, TransactionResult::Abort, 5));
    bed.log.expire_producers(NOW.plus_ms(86_400_000));
    bed.append(marker(1, 0, TransactionResult::Abort, 4));
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(bed.log.active_producers()[0].coordinator_epoch, 4);
}

#[test]
fn checking_the_log_moves_no_recovery_point_but_a_sync_does() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.close().unwrap();
    let mut bed = bed.reopen(Shutdown::Unclean, 10);
    assert_eq!(bed.log.recovery_point(), Offset(10));
    bed.log.flush().unwrap();
    assert_eq!(bed.log.recovery_point(), Offset(120));
}

#[test]
fn indexes_that_are_gone_or_garbage_are_built_again() {
    for garbage in [None, Some("  ")] {
        let mut bed = Bed::small();
        bed.fill(60, 2);
        bed.log.close().unwrap();
        for name in [bed.named(".index"), bed.named(".timeindex")].concat() {
            let path = bed.dir().join(name);
            match garbage {
                None => std::fs::remove_file(path).unwrap(),
                Some(garbage) => std::fs::write(path, garbage).unwrap(),
            }
        }
        let bed = bed.reopen(Shutdown::Unclean, 0);
        let view = bed.log.view();
        for at in 0..120 {
            let slice = (view.read(Offset(at), 1, view.log_end(), FirstBatch::Whole)).unwrap();
            assert_eq!(slice.base.0, at / 2 * 2);
            let found = view.offset_for_timestamp(NOW.plus_ms(at), Default::default());
            assert_eq!(found.unwrap().unwrap().offset, Offset(at));
        }
    }
}

#[test]
fn garbage_after_the_last_batch_and_in_its_index_is_cut_off() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    let values = bed.values(0);
    let mut garbage = 0x9e37_79b9_7f4a_7c15_u64;
    for length in [1, 16, 60, 61, 300, 1_024] {
        bed.log.close().unwrap();
        for suffix in [".log", ".index"] {
            let name = bed.named(suffix).pop().unwrap();
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    garbage ^= garbage << 13;
                    garbage ^= garbage >> 7;
                    garbage ^= garbage << 17;
                    garbage.to_le_bytes()[0]
                })
                .collect();
            let end = len_of(&bed.dir().join(&name));
            let file = bed.open(&name);
            file.write_at(&mut [std::io::IoSlice::new(&bytes)], end)
                .unwrap();
        }
        bed = bed.reopen(Shutdown::Unclean, 50);
        assert_eq!(bed.values(0), values, "{length} bytes of garbage");
    }
}

#[test]
fn an_offset_too_far_from_the_segments_base_begins_a_segment() {
    for (codec, count) in [(Codec::None, 1), (Codec::Gzip, 2)] {
        let mut bed = Bed::small();
        bed.config.cleanup.compact = true;
        bed.follow(&stamped_at(0, 0, Codec::None, 1));
        let far = i64::from(i32::MAX) + 2;
        for at in 0..3 {
            bed.follow(&stamped_at(far + at * count, 0, codec, count));
        }
        assert_eq!(bed.bases(), [0, far]);
        assert_eq!(snapshots(&bed), [far]);
        let bed = bed.reopen(Shutdown::Unclean, 0);
        assert_eq!(bed.log.log_end(), Offset(far + 3 * count));
        assert_eq!(bed.batches(0).len(), 4);
    }
}

#[test]
fn a_segment_whose_offsets_pass_31_bits_is_refused_instead_of_cut_off() {
    // Brokers before 2.0 could write one (KAFKA-5413). Opening it after a crash ended the process: such
    // an offset has no place in the index. Apache Kafka splits the segment; we say so.
    let mut bed = Bed::new(LogConfig {
        index_interval_bytes: 0,
        ..LogConfig::default()
    });
    bed.config.cleanup.compact = true;
    let far = i64::from(u32::MAX) + 5;
    let bytes = [
        stamped_at(0, 0, Codec::None, 1),
        stamped_at(far, 0, Codec::None, 1),
        stamped_at(far + 1, 0, Codec::None, 1),
    ];
    std::fs::write(bed.dir().join("00000000000000000000.log"), bytes.concat()).unwrap();
    let mut opening = Opening::new(partition(), bed.config.clone(), NOW);
    opening.shutdown = Shutdown::Unclean;
    let error = Log::open(&os::runtime(), &bed.dir(), opening)
        .err()
        .unwrap();
    assert_eq!(error.source.kind(), std::io::ErrorKind::Unsupported);
    assert_eq!(
        len_of(&bed.dir().join("00000000000000000000.log")),
        bytes.concat().len() as u64
    );
}

#[test]
fn leader_epochs_that_the_checkpoint_lost_are_found_in_the_batches() {
    let mut bed = Bed::small();
    for (base, epoch) in [(0, 1), (1, 2), (2, 2), (3, 3)] {
        bed.follow(&stamped_at(base, epoch, Codec::None, 1));
    }
    let before = bed.log.view().epochs();
    assert_eq!(before.len(), 3);
    bed.log.close().unwrap();
    std::fs::write(bed.dir().join("leader-epoch-checkpoint"), "0\n1\n1 0\n").unwrap();
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(bed.log.view().epochs(), before);
}

#[test]
fn aborted_transactions_of_the_last_segment_are_found_without_its_index() {
    for also in [&[][..], &[".snapshot"]] {
        let mut bed = Bed::small();
        bed.append(transactional(1, 0, 0, 5));
        bed.fill(1, 3);
        bed.append(transactional(2, 0, 0, 2));
        bed.fill(40, 2);
        bed.append(marker(1, 0, TransactionResult::Abort, 0));
        bed.log.roll(NOW).unwrap();
        let last = bed.log.log_end();
        bed.append(transactional(2, 0, 2, 1));
        bed.append(marker(2, 0, TransactionResult::Abort, 0));
        bed.fill(1, 1);
        let all = |bed: &Bed| bed.log.view().aborted_entries(Offset(0), Offset(1_000));
        let before = all(&bed).unwrap();
        assert_eq!(before.len(), 2);
        remove(&bed, also);
        std::fs::remove_file(bed.dir().join(format!("{:020}.txnindex", last.0))).unwrap();
        let bed = bed.reopen(Shutdown::Unclean, last.0 + 1);
        assert_eq!(all(&bed).unwrap(), before);
    }
}

#[test]
fn snapshots_are_written_again_after_a_broken_batch_below_the_start_took_the_log() {
    let mut bed = Bed::small();
    for sequence in 0..9 {
        bed.append(produced(1, 0, sequence, 1));
        bed.log.roll(NOW).unwrap();
    }
    std::fs::write(bed.dir().join("00000000000000000001.log"), "broken").unwrap();
    let mut bed = bed.reopen_with(Shutdown::Unclean, |opening| opening.log_start = Offset(4));
    assert_eq!((bed.bases(), snapshots(&bed)), (vec![4], vec![]));
    for sequence in 9..14 {
        bed.append(produced(1, 0, sequence, 1));
        bed.log.roll(NOW).unwrap();
    }
    assert_eq!(snapshots(&bed), [5, 6, 7, 8, 9]);
}

#[test]
fn an_empty_last_segment_is_found_after_a_crash() {
    let mut bed = Bed::small();
    bed.fill(20, 2);
    bed.log.roll(NOW).unwrap();
    bed.log.flush().unwrap();
    for point in [40, 80] {
        bed = bed.reopen(Shutdown::Unclean, point);
        assert_eq!(bed.log.log_end(), Offset(point));
        assert_eq!(bed.log.recovery_point(), Offset(point));
        bed.fill(20, 2);
        bed.log.roll(NOW).unwrap();
        bed.log.flush().unwrap();
    }
    assert_eq!(bed.values(0).len(), 120);
}

#[test]
fn the_log_begins_no_earlier_than_its_first_segment() {
    let mut bed = Bed::small();
    bed.fill(20, 2);
    bed.log.advance_high_watermark(Offset(40));
    let second = bed.bases()[1];
    bed.log.set_log_start(Offset(second)).unwrap();
    bed.log.delete_old_segments(NOW).unwrap();
    let bed = bed.reopen(Shutdown::Clean, 0);
    assert_eq!(bed.log.log_start(), Offset(second));
}

#[test]
fn a_log_that_was_opened_again_is_cut_where_it_should_be() {
    let mut bed = Bed::small();
    bed.fill(60, 1);
    let mut bed = bed.reopen(Shutdown::Unclean, 0);
    bed.log.truncate_to(Offset(3), NOW).unwrap();
    assert_eq!((bed.bases(), bed.log.log_end()), (vec![0], Offset(3)));
}
