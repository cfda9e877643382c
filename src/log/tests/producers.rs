use super::*;

fn try_append(bed: &mut Bed, batch: ValidBatch) -> Result<Appended, ProducerError> {
    match bed.log.append_as_leader(batch, LeaderEpoch(0), NOW) {
        Ok(appended) => Ok(appended),
        Err(AppendError::Producer(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
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

#[test]
fn a_marker_alone_is_remembered_and_fences() {
    let mut bed = Bed::small();
    bed.append(marker(1, 2, TransactionResult::Commit, 0));
    assert_eq!(
        try_append(&mut bed, produced(1, 0, 0, 1)),
        Err(ProducerError::Fenced { found: 0, last: 2 })
    );
    assert_eq!(
        try_append(&mut bed, produced(1, 2, 17, 1)),
        Err(ProducerError::OutOfOrderSequence {
            found: 17,
            last: -1
        })
    );
    bed.append(produced(1, 2, 0, 1));
}

#[test]
fn a_marker_of_a_greater_epoch_begins_the_sequences_anew() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 2));
    bed.append(marker(1, 1, TransactionResult::Abort, 0));
    let known = bed.log.active_producers()[0];
    assert_eq!((known.epoch.0, known.last_sequence), (1, -1));
    assert_eq!(known.transaction_start, None);
    assert_eq!(
        try_append(&mut bed, transactional(1, 1, 2, 1)),
        Err(ProducerError::OutOfOrderSequence { found: 2, last: -1 })
    );
    bed.append(transactional(1, 1, 0, 1));
}

#[test]
fn a_batch_that_is_refused_changes_nothing_that_is_known_of_its_producer() {
    let mut bed = Bed::small();
    bed.append(produced(1, 3, 0, 2));
    let before = bed.log.active_producers();
    for refused in [
        produced(1, 3, 9, 1),
        produced(1, 2, 2, 1),
        produced(1, 4, 1, 1),
    ] {
        assert!(try_append(&mut bed, refused).is_err());
        assert_eq!(bed.log.active_producers(), before);
    }
}

/// Batches as a leader stamped them, which a follower takes without judging them.
fn replicated(bed: &mut Bed, mut batch: ValidBatch) {
    batch.stamp(bed.log.log_end(), LeaderEpoch(0));
    bed.follow(&batch.to_bytes());
}

#[test]
fn a_follower_takes_sequences_and_epochs_as_they_come() {
    let mut bed = Bed::small();
    // Nothing is known of the producer, then there is a gap, then an older epoch and an older coordinator.
    replicated(&mut bed, produced(1, 1, 16, 1));
    replicated(&mut bed, produced(1, 1, 30, 2));
    assert_eq!(bed.log.active_producers()[0].last_sequence, 31);
    replicated(&mut bed, marker(1, 1, TransactionResult::Commit, 7));
    replicated(&mut bed, produced(1, 0, 5, 1));
    replicated(&mut bed, marker(1, 0, TransactionResult::Commit, 6));
    let known = bed.log.active_producers()[0];
    assert_eq!((known.epoch.0, known.coordinator_epoch), (0, 6));
}

#[test]
fn sequences_of_one_batch_may_pass_the_largest_number() {
    let mut bed = Bed::small();
    replicated(&mut bed, produced(1, 0, i32::MAX - 10, 20));
    assert_eq!(bed.log.active_producers()[0].last_sequence, 8);
    assert!(matches!(
        bed.append(produced(1, 0, i32::MAX - 10, 20)),
        Appended::Duplicate { .. }
    ));
    bed.append(produced(1, 0, 9, 1));
}

#[test]
fn of_several_transactions_the_earliest_that_is_open_or_not_replicated_holds_the_stable_offset() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 1)); // 0
    bed.append(transactional(2, 0, 0, 1)); // 1
    bed.append(transactional(3, 0, 0, 1)); // 2
    bed.append(marker(1, 0, TransactionResult::Commit, 0)); // 3
    let undecided = |bed: &Bed| bed.log.first_undecided().map(|at| at.0);
    let stable = |bed: &mut Bed, watermark| {
        bed.log.advance_high_watermark(Offset(watermark));
        bed.log.view().last_stable_offset().0
    };
    assert_eq!((undecided(&bed), stable(&mut bed, 3)), (Some(1), 0));
    assert_eq!(stable(&mut bed, 4), 1);
    bed.append(marker(3, 0, TransactionResult::Abort, 0)); // 4
    assert_eq!((undecided(&bed), stable(&mut bed, 5)), (Some(1), 1));
    bed.append(marker(2, 0, TransactionResult::Abort, 0)); // 5
    assert_eq!((undecided(&bed), stable(&mut bed, 5)), (None, 1));
    assert_eq!(stable(&mut bed, 6), 6);
}

#[test]
fn a_marker_without_a_transaction_holds_nothing_and_is_in_no_index() {
    let mut bed = Bed::small();
    bed.append(marker(1, 0, TransactionResult::Abort, 0)); // 0
    bed.append(transactional(1, 0, 0, 2)); // 1, 2
    bed.append(marker(1, 0, TransactionResult::Abort, 0)); // 3
    bed.append(marker(1, 0, TransactionResult::Abort, 0)); // 4
    bed.log.advance_high_watermark(Offset(5));
    let view = bed.log.view();
    assert_eq!(view.last_stable_offset(), Offset(5));
    let aborted = view.aborted_transactions(Offset(0), Offset(5)).unwrap();
    assert_eq!(
        aborted.iter().map(|txn| txn.first.0).collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn the_newest_batch_and_the_open_transaction_survive_a_clean_stop() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 1));
    bed.append(transactional(1, 0, 1, 2));
    bed.log.close().unwrap();
    let mut bed = bed.reopen(Shutdown::Clean, 0);
    let known = bed.log.active_producers()[0];
    assert_eq!(known.transaction_start, Some(Offset(0)));
    assert!(matches!(
        bed.append(transactional(1, 0, 1, 2)),
        Appended::Duplicate {
            base: Offset(1),
            last: Offset(2),
            ..
        }
    ));
    bed.append(transactional(1, 0, 3, 1));
}

#[test]
fn what_is_known_of_coordinators_and_ended_transactions_survives_a_clean_stop() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 1));
    bed.append(marker(1, 0, TransactionResult::Commit, 3));
    bed.append(marker(2, 0, TransactionResult::Abort, 3));
    bed.log.close().unwrap();
    let mut bed = bed.reopen(Shutdown::Clean, 0);
    assert_eq!(bed.log.first_undecided(), None);
    for id in [1, 2] {
        assert_eq!(
            try_append(&mut bed, marker(id, 0, TransactionResult::Commit, 2)),
            Err(ProducerError::CoordinatorFenced { found: 2, last: 3 })
        );
    }
}

#[test]
fn producers_that_expired_while_the_broker_was_down_are_forgotten() {
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 1));
    bed.log.close().unwrap();
    let mut bed = bed.reopen_with(Shutdown::Clean, |opening| {
        opening.now = NOW.plus_ms(86_400_000);
    });
    assert!(bed.log.active_producers().is_empty());
    // So any sequence number is as good as another.
    bed.append(produced(1, 0, 5, 1));
}

#[test]
fn a_truncation_goes_back_to_what_was_known_of_transactions_then() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 1)); // 0
    bed.log.roll(NOW).unwrap();
    bed.append(marker(1, 0, TransactionResult::Commit, 0)); // 1
    bed.log.roll(NOW).unwrap();
    bed.append(produced(1, 0, 1, 1)); // 2
    bed.log.truncate_to(Offset(2), NOW).unwrap();
    assert_eq!(bed.log.first_undecided(), None);
    bed.log.truncate_to(Offset(1), NOW).unwrap();
    assert_eq!(bed.log.first_undecided(), Some(Offset(0)));
    bed.log.truncate_to(Offset(0), NOW).unwrap();
    assert_eq!(bed.log.first_undecided(), None);
    assert!(bed.log.active_producers().is_empty());
}

#[test]
fn a_log_that_begins_anew_knows_no_producer_and_keeps_no_snapshot() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 0, 0, 1));
    bed.log.roll(NOW).unwrap();
    bed.log.restart_at(Offset(50), NOW).unwrap();
    assert!(bed.log.active_producers().is_empty());
    assert_eq!(bed.log.first_undecided(), None);
    assert_eq!(bed.named(".snapshot"), [""; 0]);
}

#[test]
fn snapshots_of_deleted_segments_go_with_them() {
    let mut bed = Bed::small();
    for sequence in 0..4 {
        bed.append(produced(1, 0, sequence, 1));
        bed.log.roll(NOW).unwrap();
    }
    bed.log.advance_high_watermark(Offset(4));
    bed.log.set_log_start(Offset(3)).unwrap();
    bed.log.delete_old_segments(NOW).unwrap();
    assert_eq!(
        bed.named(".snapshot"),
        [
            "00000000000000000003.snapshot",
            "00000000000000000004.snapshot"
        ]
    );
}

#[test]
fn a_snapshot_is_written_once_for_the_same_end() {
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 1));
    bed.log.take_snapshot(Offset(1)).unwrap();
    let path = bed.dir().join("00000000000000000001.snapshot");
    std::fs::remove_file(&path).unwrap();
    bed.log.take_snapshot(Offset(1)).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_snapshot_that_is_empty_cut_or_overwritten_gives_way_to_the_one_before() {
    for broken in [&b""[..], &[0; 37], b"half"] {
        let mut bed = Bed::small();
        bed.append(produced(1, 0, 0, 1));
        bed.log.roll(NOW).unwrap();
        bed.append(produced(1, 0, 1, 1));
        bed.log.close().unwrap();
        let path = bed.dir().join("00000000000000000002.snapshot");
        std::fs::write(&path, broken).unwrap();
        let mut bed = bed.reopen(Shutdown::Clean, 0);
        assert!(!path.exists());
        assert!(matches!(
            bed.append(produced(1, 0, 1, 1)),
            Appended::Duplicate { .. }
        ));
    }
}

#[test]
fn a_control_batch_that_compaction_emptied_begins_no_transaction() {
    let mut bed = Bed::small();
    let mut marker = marker(1, 0, TransactionResult::Commit, 0);
    marker.stamp(Offset(0), LeaderEpoch(0));
    let emptied = crate::record::emptied(marker.header());
    bed.follow(&emptied);
    assert_eq!(bed.log.first_undecided(), None);
}

#[test]
fn a_producer_without_a_transaction_holds_no_stable_offset() {
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 2));
    bed.append(plain(1, NOW));
    bed.log.advance_high_watermark(Offset(3));
    assert_eq!(bed.log.view().last_stable_offset(), Offset(3));
}

#[test]
fn the_stable_offset_is_not_below_the_logs_start() {
    // DeleteRecords moved the start into an open transaction, or past its first segment: ListOffsets then
    // gave readers of committed data an end below the beginning.
    for rolled in [false, true] {
        let mut bed = Bed::small();
        bed.append(transactional(1, 0, 0, 5));
        bed.fill(1, 3);
        if rolled {
            bed.log.roll(NOW).unwrap();
        }
        bed.append(transactional(1, 0, 5, 5));
        bed.log.advance_high_watermark(Offset(13));
        let start = Offset(if rolled { 8 } else { 5 });
        bed.log.set_log_start(start).unwrap();
        bed.log.delete_old_segments(NOW).unwrap();
        assert_eq!(bed.log.view().last_stable_offset(), start);
        let mut bed = bed.reopen_with(Shutdown::Unclean, |opening| opening.log_start = start);
        bed.log.advance_high_watermark(Offset(13));
        assert_eq!(bed.log.view().last_stable_offset(), start);
    }
}

#[test]
fn a_snapshot_written_when_a_batch_closes_the_segment_does_not_know_the_batch() {
    let mut bed = Bed::small();
    bed.append(produced(1, 0, 0, 40));
    bed.append(produced(1, 0, 40, 40));
    assert_eq!(bed.log.view().segment_count(), 2);
    bed.log.truncate_to(Offset(40), NOW).unwrap();
    assert_eq!(bed.log.active_producers()[0].last_sequence, 39);
}

#[test]
fn a_truncation_without_snapshots_finds_the_producers_in_the_batches() {
    let mut bed = Bed::small();
    for sequence in 0..4 {
        bed.append(produced(1, 0, sequence, 1));
        bed.log.roll(NOW).unwrap();
    }
    for at in 1..=4 {
        std::fs::remove_file(bed.dir().join(format!("{at:020}.snapshot"))).unwrap();
    }
    bed.log.truncate_to(Offset(3), NOW).unwrap();
    assert_eq!(bed.log.active_producers()[0].last_sequence, 2);
}

#[test]
fn a_batch_of_an_old_epoch_is_told_so_before_its_transaction_is_looked_at() {
    let mut bed = Bed::small();
    bed.append(transactional(1, 6, 0, 1));
    for ended in [false, true] {
        if ended {
            bed.append(marker(1, 6, TransactionResult::Commit, 0));
        }
        for stale in [transactional(1, 5, 0, 1), produced(1, 5, 0, 1)] {
            assert_eq!(
                try_append(&mut bed, stale),
                Err(ProducerError::Fenced { found: 5, last: 6 })
            );
        }
    }
}
