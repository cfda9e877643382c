use super::*;
use crate::record::TimestampType;
use crate::record::control::TransactionResult;
use crate::sim::{self, Fault, Operation, SimClock, SimDisk};
use rustix::io::Errno;

#[test]
fn batches_get_consecutive_offsets_and_the_leaders_epoch() {
    let mut bed = Bed::small();
    assert!(matches!(
        bed.append(plain(3, NOW)),
        Appended::Fresh {
            base: Offset(0),
            last: Offset(2),
            log_append_time: None,
            flush: FlushDue::No,
        }
    ));
    bed.log
        .append_as_leader(plain(1, NOW), LeaderEpoch(4), NOW)
        .unwrap();
    let batches = bed.batches(0);
    assert_eq!(batches[1].header().base_offset, Offset(3));
    assert_eq!(batches[1].header().leader_epoch, LeaderEpoch(4));
    assert_eq!(bed.log.log_end(), Offset(4));
    let epochs: Vec<(i32, i64)> = (bed.log.view().epochs().iter())
        .map(|entry| (entry.epoch.0, entry.start.0))
        .collect();
    assert_eq!(epochs, [(0, 0), (4, 3)]);
    assert!(matches!(
        bed.log.append_as_leader(plain(1, NOW), LeaderEpoch(3), NOW),
        Err(AppendError::StaleLeaderEpoch { .. })
    ));
}

#[test]
fn a_full_segment_is_closed_before_the_batch_that_does_not_fit() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    let files = bed.files();
    let logs = bed.named(".log");
    assert!(logs.len() > 3, "{files:?}");
    for log in &logs {
        assert!(len_of(&bed.dir().join(log)) <= 1_000);
    }
    // Closed segments have their indexes and begin with a producer snapshot; the open one has neither.
    let closed = &logs[..logs.len() - 1];
    for log in closed {
        for suffix in [".index", ".timeindex"] {
            assert!(files.contains(&log.replace(".log", suffix)), "{files:?}");
        }
    }
    assert!(files.contains(&logs[1].replace(".log", ".snapshot")));
    assert_eq!(bed.values(0).len(), 120);
}

#[test]
fn a_segment_is_closed_by_the_age_of_its_messages_not_by_the_clock() {
    let mut bed = Bed::new(LogConfig {
        segment_ms: 1_000,
        ..LogConfig::default()
    });
    bed.append(plain(1, NOW));
    let much_later = NOW.plus_ms(1_000_000);
    bed.log
        .append_as_leader(plain(1, NOW.plus_ms(1_000)), LeaderEpoch(0), much_later)
        .unwrap();
    assert_eq!(bed.log.view().segment_count(), 1);
    bed.append(plain(1, NOW.plus_ms(1_001)));
    assert_eq!(bed.log.view().segment_count(), 2);
    let flush = bed
        .log
        .append_as_leader(plain(1, NOW.plus_ms(9_999)), LeaderEpoch(0), much_later);
    assert!(matches!(
        flush,
        Ok(Appended::Fresh {
            flush: FlushDue::Soon,
            ..
        })
    ));
}

#[test]
fn a_batch_larger_than_a_segment_is_refused_and_leaves_nothing() {
    let mut bed = Bed::small();
    let error = bed
        .log
        .append_as_leader(plain(100, NOW), LeaderEpoch(0), NOW)
        .unwrap_err();
    assert!(matches!(error, AppendError::LargerThanSegment { .. }));
    assert_eq!(bed.log.log_end(), Offset(0));
}

#[test]
fn the_leaders_time_is_told_where_it_was_stamped() {
    let mut bed = Bed::small();
    let config = LogConfig {
        message_timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let rules = config.produce_rules(NOW.plus_ms(7), ZstdUse::Allowed);
    let batch = ValidBatch::parse(&plain(2, Timestamp(5)).to_bytes(), &rules).unwrap();
    assert!(matches!(
        bed.append(batch),
        Appended::Fresh {
            log_append_time: Some(at),
            ..
        } if at == NOW.plus_ms(7)
    ));
    let batches = bed.batches(0);
    let record = batches[0]
        .records(Default::default())
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(record.timestamp, NOW.plus_ms(7));
}

#[test]
fn a_sync_is_due_when_enough_records_came_or_a_segment_was_closed() {
    let mut bed = Bed::new(LogConfig {
        flush_messages: 3,
        ..LogConfig::default()
    });
    let due = |appended| match appended {
        Appended::Fresh { flush, .. } => flush,
        Appended::Duplicate { .. } => panic!("not sent twice"),
    };
    assert_eq!(due(bed.append(plain(2, NOW))), FlushDue::No);
    assert_eq!(due(bed.append(plain(1, NOW))), FlushDue::Now);
    bed.log.flush().unwrap();
    assert_eq!(bed.log.recovery_point(), Offset(3));
    assert_eq!(due(bed.append(plain(1, NOW))), FlushDue::No);
}

#[test]
fn a_sync_that_began_before_a_cut_proves_nothing() {
    let mut bed = Bed::small();
    bed.fill(4, 1);
    let flush = bed.log.begin_flush().unwrap().unwrap();
    bed.log.truncate_to(Offset(2), NOW).unwrap();
    bed.fill(2, 1);
    let flushed = flush.run().unwrap();
    bed.log.finish_flush(flushed);
    assert_eq!(bed.log.recovery_point(), Offset(0));
}

/// All batches of a log, as a follower fetches them.
fn bytes_from(leader: &Bed) -> Bytes {
    let batches = leader.batches(0).into_iter().map(Batch::into_bytes);
    batches.collect::<Vec<_>>().concat().into()
}

#[test]
fn a_follower_keeps_the_stamps_and_leaves_out_later_epochs() {
    let mut leader = Bed::small();
    leader.fill(3, 2);
    leader
        .log
        .append_as_leader(plain(1, NOW), LeaderEpoch(7), NOW)
        .unwrap();
    let bytes = bytes_from(&leader);
    let mut follower = Bed::small();
    let appended = follower
        .log
        .append_as_follower(&bytes, LeaderEpoch(0), NOW)
        .unwrap();
    assert_eq!((appended.from, appended.end), (Offset(0), Offset(6)));
    let appended =
        follower
            .log
            .append_as_follower(&bytes.slice(bytes.len() - 70..), LeaderEpoch(7), NOW);
    assert!(appended.is_err(), "no batch begins there");
    let last = leader.batches(6).remove(0).into_bytes();
    follower.follow(&last);
    assert_eq!(follower.values(0), leader.values(0));
    assert_eq!(follower.log.view().epochs(), leader.log.view().epochs());
    assert!(matches!(
        follower.log.append_as_follower(&last, LeaderEpoch(7), NOW),
        Err(ReplicaAppendError::OutOfOrder { .. })
    ));
}

#[test]
fn a_broken_batch_from_a_leader_is_not_written() {
    let mut leader = Bed::small();
    leader.fill(1, 1);
    let mut bytes = leader.batches(0).remove(0).into_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let mut follower = Bed::small();
    let bytes = Bytes::from(bytes);
    assert!(matches!(
        follower.log.append_as_follower(&bytes, LeaderEpoch(0), NOW),
        Err(ReplicaAppendError::Corrupt(_))
    ));
    assert_eq!(follower.log.log_end(), Offset(0));
}

#[test]
fn truncation_drops_the_tail_and_the_log_goes_on_from_there() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.advance_high_watermark(Offset(120));
    bed.log.truncate_to(Offset(31), NOW).unwrap();
    assert_eq!(bed.log.log_end(), Offset(30), "the whole batch goes");
    assert_eq!(bed.log.high_watermark(), Offset(30));
    assert_eq!(bed.values(0).len(), 30);
    bed.fill(60, 2);
    assert_eq!(bed.values(0).len(), 150);
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(bed.log.log_end(), Offset(150));
    assert_eq!(bed.recovered.bytes_cut, 0);
}

#[test]
fn truncation_below_the_first_segment_starts_the_log_anew() {
    let mut bed = Bed::small();
    bed.fill(3, 2);
    bed.log.restart_at(Offset(100), NOW).unwrap();
    assert_eq!(bed.log.log_start(), Offset(100));
    bed.fill(1, 2);
    assert_eq!(bed.values(100).len(), 2);
    bed.log.truncate_to(Offset(50), NOW).unwrap();
    assert_eq!(
        (bed.log.log_start(), bed.log.log_end()),
        (Offset(50), Offset(50))
    );
    bed.fill(1, 1);
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(
        (bed.log.log_start(), bed.log.log_end()),
        (Offset(50), Offset(51))
    );
}

#[test]
fn room_reserved_for_appends_is_given_back() {
    use std::os::unix::fs::MetadataExt;
    let mut bed = Bed::new(LogConfig::default());
    let value = vec![b'x'; 100_000];
    for _ in 0..30 {
        let mut batch = BatchBuilder::new(BatchOptions::default());
        let record = NewRecord {
            value: Some(&value),
            ..NewRecord::default()
        };
        batch.push(NOW, record);
        bed.append(batch.build().unwrap());
    }
    bed.log.roll(NOW).unwrap();
    let closed = bed.dir().join("00000000000000000000.log");
    let found = std::fs::metadata(closed).unwrap();
    assert_eq!(found.len(), bed.log.view().size());
    // A block or two may be the file system's own; a reserved quarter would be hundreds.
    assert!(found.blocks() * 512 < found.len() + 64 * 1024);
    bed.fill(1, 1);
    assert_eq!(bed.batches(0).len(), 31);
}

#[test]
fn an_epoch_without_a_batch_goes_when_the_log_is_cut_at_its_end() {
    // A leader that was deposed before it wrote kept its epoch at the log's end, in conflict with the next
    // leader's.
    let mut bed = Bed::small();
    bed.fill(1, 2);
    let before = bed.log.view().epochs();
    for (epoch, to) in [(20, 2), (24, 3)] {
        bed.log.assign_epoch_start(LeaderEpoch(epoch));
        assert_eq!(bed.log.view().epochs().len(), 2);
        bed.log.truncate_to(Offset(to), NOW).unwrap();
        assert_eq!(bed.log.view().epochs(), before);
        assert_eq!(bed.log.log_end(), Offset(2));
    }
}

#[test]
fn epochs_of_what_was_cut_off_go_and_stay_gone() {
    let mut bed = Bed::small();
    for epoch in 0..4 {
        (bed.log
            .append_as_leader(plain(2, NOW), LeaderEpoch(epoch), NOW))
        .unwrap();
    }
    bed.log.truncate_to(Offset(4), NOW).unwrap();
    let left = bed.log.view().epochs();
    assert_eq!(
        left.iter().map(|entry| entry.epoch.0).collect::<Vec<_>>(),
        [0, 1]
    );
    bed.log.close().unwrap();
    let bed = bed.reopen(Shutdown::Clean, 0);
    assert_eq!(bed.log.view().epochs(), left);
}

#[test]
fn an_empty_segment_is_not_rolled_and_takes_batches() {
    let mut bed = Bed::small();
    bed.log.roll(NOW).unwrap();
    bed.fill(1, 1);
    bed.log.roll(NOW).unwrap();
    bed.log.roll(NOW).unwrap();
    assert_eq!(bed.log.view().segment_count(), 2);
    bed.fill(1, 1);
    assert_eq!(bed.values(0).len(), 2);
}

#[test]
fn segments_are_closed_by_age_at_times_of_their_own() {
    let mut bed = Bed::new(LogConfig {
        segment_ms: 1_000,
        segment_jitter_ms: 600,
        ..LogConfig::default()
    });
    for at in 0..20_000 {
        bed.append(plain(1, NOW.plus_ms(at)));
    }
    let mut ages: Vec<i64> = (bed.bases().windows(2))
        .map(|pair| pair[1] - pair[0])
        .collect();
    assert!(
        ages.iter().all(|age| (401..=1_001).contains(age)),
        "{ages:?}"
    );
    ages.dedup();
    assert!(ages.len() > 3, "all closed at the same age");
}

#[test]
fn the_high_watermark_moves_forward_only_and_ends_with_the_log() {
    let mut bed = Bed::small();
    bed.fill(2, 2);
    assert!(bed.log.advance_high_watermark(Offset(3)));
    assert!(!bed.log.advance_high_watermark(Offset(2)));
    assert_eq!(bed.log.high_watermark(), Offset(3));
    bed.log.truncate_to(Offset(2), NOW).unwrap();
    assert_eq!(bed.log.high_watermark(), Offset(2));
    bed.log.restart_at(Offset(9), NOW).unwrap();
    assert_eq!(bed.log.high_watermark(), Offset(9));
}

#[test]
fn batches_of_several_producers_may_come_at_once_from_a_leader_and_twice() {
    let mut leader = Bed::small();
    leader.append(produced(1, 0, 0, 2));
    leader.append(transactional(2, 0, 0, 1));
    leader.append(marker(2, 0, TransactionResult::Abort, 0));
    let mut follower = Bed::small();
    follower.follow(&bytes_from(&leader));
    let known = |bed: &Bed| {
        let mut known = bed.log.active_producers();
        known.sort_by_key(|producer| producer.id);
        known
    };
    assert_eq!(known(&follower), known(&leader));
    let aborted = |bed: &Bed| {
        let view = bed.log.view();
        view.aborted_transactions(Offset(0), Offset(4)).unwrap()
    };
    assert_eq!(aborted(&follower), aborted(&leader));
    // The same sequence numbers again, at later offsets: the leader has judged them.
    let mut again = produced(1, 0, 0, 2);
    again.stamp(Offset(4), LeaderEpoch(0));
    follower.follow(&again.to_bytes());
    assert_eq!(follower.log.log_end(), Offset(6));
}

#[test]
fn a_follower_finds_its_records_by_time() {
    let mut leader = Bed::small();
    leader.fill(60, 1);
    let mut follower = Bed::small();
    for batch in leader.batches(0) {
        follower.follow(&batch.into_bytes());
    }
    for at in 0..60 {
        let view = follower.log.view();
        let found = view.offset_for_timestamp(NOW.plus_ms(at), Default::default());
        assert_eq!(found.unwrap().unwrap().offset, Offset(at));
    }
}

#[test]
fn a_log_that_was_closed_takes_no_roll() {
    let mut bed = Bed::small();
    bed.fill(1, 1);
    bed.log.close().unwrap();
    assert!(bed.log.roll(NOW).is_err());
}

fn on_simulated_disk(config: LogConfig) -> (SimDisk, Log) {
    let (disk, runtime) = sim::on_empty_disk(&SimClock::manual());
    let opening = Opening::new(partition(), config, NOW);
    let (log, _) = Log::open(&runtime, Path::new("/data/orders-0"), opening).unwrap();
    (disk, log)
}

/// Every file of the broker counts against one limit, and the directory has no part in that.
#[test]
fn a_segment_that_cannot_be_made_for_want_of_file_handles_is_made_the_next_time() {
    let (disk, mut log) = on_simulated_disk(LogConfig {
        segment_bytes: 100,
        ..LogConfig::default()
    });
    (log.append_as_leader(plain(1, NOW), LeaderEpoch(0), NOW)).unwrap();
    disk.fail(Fault::once(Operation::Open, ".log", Errno::MFILE));
    (log.append_as_leader(plain(1, NOW), LeaderEpoch(0), NOW)).unwrap_err();
    assert!(log.view().is_online());
    (log.append_as_leader(plain(1, NOW), LeaderEpoch(0), NOW)).unwrap();
    assert_eq!(log.log_end(), Offset(2));
}

#[test]
fn an_abort_that_cannot_be_indexed_takes_the_log_offline() {
    let (disk, mut log) = on_simulated_disk(LogConfig::default());
    (log.append_as_leader(transactional(1, 0, 0, 1), LeaderEpoch(0), NOW)).unwrap();
    disk.fail(Fault::once(Operation::Write, ".txnindex", Errno::IO));
    let abort = marker(1, 0, TransactionResult::Abort, 0);
    let _ = log.append_as_leader(abort, LeaderEpoch(0), NOW);
    assert!(
        !log.view().is_online(),
        "nobody may read what it forgot to index"
    );
}
