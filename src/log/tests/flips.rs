//! Bits that flipped in files of a log that was closed, each with what it did.

use super::*;
use crate::record::control::TransactionResult;

#[test]
fn an_offset_index_that_points_beyond_the_file_hides_no_records() {
    // A position beyond the end was taken for a gap that compaction had left: readers went on with the
    // next segment, and missed the rest of this one.
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.close().unwrap();
    let index = bed.named(".index").remove(0);
    bed.flip(&index, 4);
    let bed = bed.reopen(Shutdown::Clean, 0);
    assert_eq!(
        bed.recovered,
        Recovered::default(),
        "it is not seen at once"
    );
    let view = bed.log.view();
    for from in 0..120 {
        let slice = (view.read(Offset(from), 1, view.log_end(), FirstBatch::Whole)).unwrap();
        assert_eq!(slice.base.0, from / 2 * 2);
    }
}

#[test]
fn a_time_index_that_lies_about_the_largest_time_deletes_nothing_too_early() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.advance_high_watermark(Offset(120));
    bed.log.close().unwrap();
    bed.config.retention_ms = 1_000;
    let index = bed.named(".timeindex").remove(0);
    // In the entry's timestamp: twelve days too old.
    let last = len_of(&bed.dir().join(&index)) - 12;
    bed.flip(&index, last + 4);
    let mut bed = bed.reopen_with(Shutdown::Clean, |opening| {
        opening.high_watermark = Offset(120);
    });
    assert_eq!(bed.log.delete_old_segments(NOW.plus_ms(500)).unwrap(), 0);
    let found = (bed.log.view()).offset_for_timestamp(NOW.plus_ms(3), Default::default());
    assert_eq!(found.unwrap().unwrap().offset, Offset(3));
}

#[test]
fn a_transaction_index_with_an_entry_that_cannot_be_is_built_again() {
    // An entry of an unknown version ended the list: readers of committed data were given aborted records.
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 2));
    bed.append(marker(1, 0, TransactionResult::Abort, 0));
    bed.append(transactional(1, 0, 2, 2));
    bed.append(marker(1, 0, TransactionResult::Abort, 0));
    bed.log.close().unwrap();
    let all = |bed: &Bed| bed.log.view().aborted_entries(Offset(0), Offset(6));
    let before = all(&bed).unwrap();
    let index = bed.named(".txnindex").remove(0);
    for position in [0, 10, 18] {
        bed.flip(&index, position);
        bed = bed.reopen(Shutdown::Clean, 0);
        assert_eq!(all(&bed).unwrap(), before, "byte {position}");
        bed.log.close().unwrap();
    }
}

#[test]
fn a_start_beyond_the_end_of_a_log_that_was_closed_is_not_believed() {
    // One wrong digit in the checkpoint of log starts took the whole log.
    let mut bed = Bed::small();
    bed.fill(20, 2);
    bed.log.close().unwrap();
    let bed = bed.reopen_with(Shutdown::Clean, |opening| opening.log_start = Offset(90));
    assert_eq!(bed.log.log_start(), Offset(0));
    assert_eq!(bed.values(0).len(), 40);
}

#[test]
fn epochs_of_a_broken_checkpoint_are_read_from_the_batches() {
    // A wrong last epoch refused every write of the leader, a missing one answered every follower and
    // consumer that no epoch is known.
    for broken in ["0\n2\n0 0\n6 4\n", "0\n2\n2 0\n", "", "0\n2\n0 4\n2 4\n"] {
        let mut bed = Bed::small();
        bed.fill(2, 2);
        (bed.log.append_as_leader(plain(1, NOW), LeaderEpoch(2), NOW)).unwrap();
        let before = bed.log.view().epochs();
        assert_eq!(before.len(), 2);
        bed.log.close().unwrap();
        std::fs::write(bed.dir().join("leader-epoch-checkpoint"), broken).unwrap();
        let bed = bed.reopen(Shutdown::Clean, 0);
        assert_eq!(bed.log.view().epochs(), before, "{broken:?}");
    }
}

#[test]
fn a_log_whose_appends_are_all_synced_is_refused_if_it_is_broken_before_its_last_batch() {
    // One flipped bit in the metadata log took all that came behind it: topics, configurations, producer
    // ids that were given out. A torn last batch is what a crash leaves, and is cut off.
    let mut bed = Bed::new(LogConfig::default());
    bed.fill(5, 2);
    let size = bed.batches(0)[0].bytes().len() as u64;
    let name = "00000000000000000000.log";
    let open = |bed: &Bed| {
        let mut opening = Opening::new(partition(), LogConfig::default(), NOW);
        opening.broken = Broken::Refused;
        Log::open(&os::runtime(), &bed.dir(), opening).map(|(log, _)| log.log_end())
    };
    let whole = std::fs::read(bed.dir().join(name)).unwrap();
    // In the base offset, the length, the checksum and the records of each batch.
    for batch in 0..5 {
        for byte in [7, 9, 11, 17, 65] {
            bed.flip(name, batch * size + byte);
            let opened = open(&bed);
            if batch < 4 {
                let error = opened.err().unwrap();
                assert_eq!(
                    error.source.kind(),
                    std::io::ErrorKind::InvalidData,
                    "{byte}"
                );
                assert_eq!(len_of(&bed.dir().join(name)), whole.len() as u64);
            } else {
                assert_eq!(opened.unwrap(), Offset(8));
            }
            std::fs::write(bed.dir().join(name), &whole).unwrap();
        }
    }
}
