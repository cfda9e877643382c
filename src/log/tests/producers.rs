use super::*;
use crate::record::TransactionVersion;
use crate::record::control::{EndMarker, TransactionResult, end_transaction};

fn try_append(bed: &mut Bed, batch: ValidBatch) -> Result<Appended, ProducerError> {
    match bed.log.append_as_leader(batch, LeaderEpoch(0), NOW) {
        Ok(appended) => Ok(appended),
        Err(AppendError::Producer(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn marker(id: i64, epoch: i16, result: TransactionResult, coordinator_epoch: i32) -> ValidBatch {
    end_transaction(
        ProducerId(id),
        ProducerEpoch(epoch),
        EndMarker {
            result,
            coordinator_epoch,
        },
        TransactionVersion::V1,
        NOW,
    )
}

#[test]
fn a_retry_of_any_of_the_last_five_batches_is_answered_with_its_first_offsets() {
    let mut bed = Bed::small();
    for batch in 0..7 {
        bed.append(produced(1, 0, batch * 2, 2));
    }
    for batch in 2..7 {
        assert!(
            matches!(
                bed.append(produced(1, 0, batch * 2, 2)),
                Appended::Duplicate { base, timestamp, .. }
                    if base.0 == i64::from(batch) * 2 && timestamp == NOW.plus_ms(1)
            ),
            "batch {batch}"
        );
    }
    assert!(matches!(
        try_append(&mut bed, produced(1, 0, 2, 2)),
        Err(ProducerError::OutOfOrderSequence { .. })
    ));
    assert_eq!(bed.log.log_end(), Offset(14));
}

#[test]
fn sequences_follow_each_other_and_wrap() {
    let mut bed = Bed::small();
    // Nothing is known of the producer, so any first sequence is taken.
    bed.append(produced(1, 0, i32::MAX - 1, 1));
    assert_eq!(
        try_append(&mut bed, produced(1, 0, 1, 1)),
        Err(ProducerError::OutOfOrderSequence {
            found: 1,
            last: i32::MAX - 1
        })
    );
    bed.append(produced(1, 0, i32::MAX, 3));
    assert!(matches!(
        bed.append(produced(1, 0, i32::MAX, 3)),
        Appended::Duplicate { .. }
    ));
    bed.append(produced(1, 0, 2, 1));
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let mut bed = Bed::small();
    bed.append(produced(1, 3, 0, 2));
    assert!(matches!(
        try_append(&mut bed, produced(1, 4, 2, 1)),
        Err(ProducerError::OutOfOrderSequence { .. })
    ));
    bed.append(produced(1, 4, 0, 1));
    assert_eq!(
        try_append(&mut bed, produced(1, 3, 2, 1)),
        Err(ProducerError::Fenced { found: 3, last: 4 })
    );
}

#[test]
fn an_open_transaction_holds_the_stable_offset_until_its_marker_is_replicated() {
    let mut bed = Bed::small();
    bed.fill(1, 2);
    bed.append(transactional(1, 0, 0, 2)); // 2, 3
    bed.fill(1, 1); // 4
    bed.log.advance_high_watermark(Offset(5));
    let view = bed.log.view();
    assert_eq!(view.last_stable_offset(), Offset(2));
    assert_eq!(
        try_append(&mut bed, produced(1, 0, 2, 1)),
        Err(ProducerError::NotTransactional)
    );
    bed.append(marker(1, 0, TransactionResult::Commit, 0)); // 5
    assert_eq!(bed.log.first_undecided(), None);
    assert_eq!(
        view.last_stable_offset(),
        Offset(2),
        "the marker is not replicated"
    );
    bed.log.advance_high_watermark(Offset(6));
    assert_eq!(view.last_stable_offset(), Offset(6));
    assert_eq!(view.aborted_transactions(Offset(0), Offset(6)).unwrap(), []);
}

#[test]
fn aborted_transactions_are_listed_where_they_overlap() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 2)); // 0, 1
    bed.append(transactional(2, 0, 0, 1)); // 2
    bed.append(marker(1, 0, TransactionResult::Abort, 0)); // 3
    bed.fill(40, 2); // 4..84, over several segments
    bed.append(marker(2, 0, TransactionResult::Abort, 0)); // 84
    bed.fill(1, 1);
    let aborted = |bed: &Bed, from, upper| -> Vec<(i64, i64)> {
        let view = bed.log.view();
        let list = view
            .aborted_transactions(Offset(from), Offset(upper))
            .unwrap();
        list.iter()
            .map(|txn| (txn.producer.0, txn.first.0))
            .collect()
    };
    let check = |bed: &Bed| {
        assert_eq!(aborted(bed, 0, 2), [(1, 0)]);
        assert_eq!(aborted(bed, 0, 85), [(1, 0), (2, 2)]);
        assert_eq!(aborted(bed, 4, 60), [(2, 2)]);
        assert_eq!(aborted(bed, 85, 86), []);
    };
    check(&bed);
    let bed = bed.reopen(Shutdown::Unclean, 0);
    check(&bed);
    let mut bed = bed.reopen(Shutdown::Unclean, 0);
    bed.log.close().unwrap();
    let mut bed = bed.reopen(Shutdown::Clean, 0);
    check(&bed);
    bed.log.truncate_to(Offset(84), NOW).unwrap();
    assert_eq!(aborted(&bed, 4, 60), [], "the marker is gone");
    assert_eq!(
        bed.log.first_undecided(),
        Some(Offset(2)),
        "and the transaction is open again"
    );
}

#[test]
fn markers_of_a_deposed_coordinator_or_an_old_epoch_are_refused() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 5, 0, 1));
    bed.append(marker(1, 5, TransactionResult::Commit, 3));
    assert_eq!(
        try_append(&mut bed, marker(1, 5, TransactionResult::Commit, 2)),
        Err(ProducerError::CoordinatorFenced { found: 2, last: 3 })
    );
    assert_eq!(
        try_append(&mut bed, marker(1, 4, TransactionResult::Commit, 3)),
        Err(ProducerError::Fenced { found: 4, last: 5 })
    );
}

#[test]
fn a_marker_of_version_2_must_bump_the_epoch_unless_it_is_a_retry() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 5, 0, 1));
    let marker = |epoch| {
        end_transaction(
            ProducerId(1),
            ProducerEpoch(epoch),
            EndMarker {
                result: TransactionResult::Commit,
                coordinator_epoch: 0,
            },
            TransactionVersion::V2,
            NOW,
        )
    };
    assert!(matches!(
        try_append(&mut bed, marker(5)),
        Err(ProducerError::Fenced { .. })
    ));
    bed.append(marker(6));
    bed.append(marker(6));
    // The marker bumped the epoch, so sequences begin at 0 again.
    assert!(matches!(
        try_append(&mut bed, transactional(1, 6, 1, 1)),
        Err(ProducerError::OutOfOrderSequence { .. })
    ));
    bed.append(transactional(1, 6, 0, 1));
}

#[test]
fn an_open_transaction_survives_both_ways_to_stop() {
    for shutdown in [Shutdown::Clean, Shutdown::Unclean] {
        let mut bed = Bed::small();
        bed.append(transactional(1, 0, 0, 2));
        bed.fill(60, 2);
        if shutdown == Shutdown::Clean {
            bed.log.close().unwrap();
        }
        let mut bed = bed.reopen(shutdown, 0);
        assert_eq!(bed.log.first_undecided(), Some(Offset(0)));
        bed.log.advance_high_watermark(Offset(100));
        assert_eq!(bed.log.view().last_stable_offset(), Offset(0));
    }
}

#[test]
fn silent_producers_are_forgotten_unless_their_transaction_is_open() {
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 1));
    bed.append(transactional(2, 0, 0, 1));
    bed.log.expire_producers(NOW.plus_ms(86_399_999));
    assert_eq!(bed.log.active_producers().len(), 2);
    bed.log.expire_producers(NOW.plus_ms(86_400_000));
    let left = bed.log.active_producers();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, ProducerId(2));
    assert_eq!(left[0].transaction_start, Some(Offset(1)));
}

#[test]
fn what_the_broker_writes_for_a_producer_is_judged_by_its_epoch_only() {
    let mut bed = Bed::small();
    let offsets = |epoch| built(super::stamped(1, epoch, -1, true), 1, NOW);
    bed.append(offsets(2));
    bed.append(offsets(2));
    assert!(matches!(
        try_append(&mut bed, offsets(1)),
        Err(ProducerError::Fenced { .. })
    ));
}
