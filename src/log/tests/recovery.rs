use super::*;

fn last_log(bed: &Bed) -> String {
    bed.named(".log").pop().unwrap()
}

#[test]
fn after_a_clean_stop_nothing_is_read_again() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.append(produced(9, 0, 0, 1));
    bed.log.close().unwrap();
    assert!(
        bed.log
            .append_as_leader(plain(1, NOW), LeaderEpoch(0), NOW)
            .is_err()
    );
    let before = bed.values(0);
    let mut bed = bed.reopen(Shutdown::Clean, 0);
    assert_eq!(bed.recovered, Recovered::default());
    assert_eq!(bed.values(0), before);
    assert_eq!(bed.log.recovery_point(), Offset(121));
    assert!(matches!(
        bed.append(produced(9, 0, 0, 1)),
        Appended::Duplicate { .. }
    ));
    bed.fill(10, 2);
    assert_eq!(bed.values(0).len(), 141);
    let max = bed
        .log
        .view()
        .offset_of_max_timestamp(Default::default())
        .unwrap();
    assert_eq!(max.unwrap().offset, Offset(140));
}

#[test]
fn after_a_crash_the_log_is_what_was_written() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.append(produced(9, 0, 0, 1));
    let before = bed.values(0);
    let mut bed = bed.reopen(Shutdown::Unclean, 0);
    assert!(bed.recovered.segments_checked > 3);
    assert_eq!(bed.recovered.bytes_cut, 0);
    assert_eq!(bed.values(0), before);
    assert_eq!(bed.log.view().latest_epoch(), Some(LeaderEpoch(0)));
    assert!(matches!(
        bed.append(produced(9, 0, 0, 1)),
        Appended::Duplicate { .. }
    ));
    let found = bed
        .log
        .view()
        .offset_for_timestamp(NOW.plus_ms(77), Default::default());
    assert_eq!(found.unwrap().unwrap().offset, Offset(77));
}

#[test]
fn only_segments_from_the_recovery_point_on_are_checked() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.flush().unwrap();
    let point = bed.log.recovery_point();
    assert_eq!(point, Offset(120));
    bed.fill(2, 2);
    let segments = bed.log.view().segment_count();
    let bed = bed.reopen(Shutdown::Unclean, point.0);
    assert!(bed.recovered.segments_checked <= 2 && segments > 3);
    assert_eq!(bed.log.log_end(), Offset(124));
    assert_eq!(bed.values(0).len(), 124);
}

#[test]
fn a_torn_last_batch_is_cut_off_at_every_length() {
    let mut bed = Bed::new(LogConfig::default());
    bed.fill(3, 2);
    let name = last_log(&bed);
    let whole = len_of(&bed.dir().join(&name));
    let batch = bed.batches(4)[0].bytes().len() as u64;
    for cut in 1..batch {
        bed.open(&name).set_len(whole - cut).unwrap();
        bed = bed.reopen(Shutdown::Unclean, 0);
        assert_eq!(bed.log.log_end(), Offset(4), "{cut} bytes less");
        assert_eq!(bed.recovered.bytes_cut, batch - cut);
        bed.fill(1, 2);
        assert_eq!(len_of(&bed.dir().join(&name)), whole);
    }
}

#[test]
fn a_flipped_bit_ends_the_log_and_what_follows_goes() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    let logs = bed.named(".log");
    bed.flip(&logs[1], 100);
    let second_base: i64 = logs[1].trim_end_matches(".log").parse().unwrap();
    let mut bed = bed.reopen(Shutdown::Unclean, 0);
    let end = bed.log.log_end().0;
    assert!(end >= second_base && end < second_base + 6, "{end}");
    assert_eq!(bed.recovered.segments_removed, logs.len() - 2);
    assert_eq!(i64::try_from(bed.values(0).len()), Ok(end));
    bed.fill(5, 2);
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(bed.log.log_end().0, end + 10);
}

#[test]
fn zeros_that_a_crash_left_at_the_end_are_no_batch() {
    let mut bed = Bed::new(LogConfig::default());
    bed.fill(3, 2);
    let name = last_log(&bed);
    let len = len_of(&bed.dir().join(&name));
    bed.open(&name).set_len(len + 5_000).unwrap();
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(bed.log.log_end(), Offset(6));
    assert_eq!(bed.recovered.bytes_cut, 5_000);
}

#[test]
fn missing_or_insane_indexes_are_built_again() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.close().unwrap();
    let indexes = bed.named(".index");
    std::fs::remove_file(bed.dir().join(&indexes[0])).unwrap();
    // What a crashed Apache Kafka leaves: zeros up to the full size.
    bed.open(&indexes[1]).set_len(8_000).unwrap();
    let bed = bed.reopen(Shutdown::Clean, 0);
    assert!(bed.recovered.segments_checked >= 2);
    assert_eq!(bed.values(0).len(), 120);
    for from in 0..120 {
        let view = bed.log.view();
        let slice = view
            .read(Offset(from), 1, view.log_end(), FirstBatch::Whole)
            .unwrap();
        assert_eq!(slice.base.0, from / 2 * 2);
    }
}

#[test]
fn files_left_by_an_interrupted_deletion_or_compaction_are_cleared_up() {
    let mut bed = Bed::small();
    bed.fill(4, 2);
    bed.log.close().unwrap();
    let dir = bed.dir();
    let log = last_log(&bed);
    // An orphaned index, a deleted segment, an unfinished compaction and a finished one.
    for name in [
        "00000000000000009999.index",
        "00000000000000000077.log.deleted",
        "00000000000000000088.log.cleaned",
    ] {
        std::fs::write(dir.join(name), b"").unwrap();
    }
    std::fs::copy(dir.join(&log), dir.join(format!("{log}.swap"))).unwrap();
    let bed = bed.reopen(Shutdown::Clean, 0);
    let files = bed.files();
    assert!(
        !files
            .iter()
            .any(|name| name.contains("9999") || name.contains(".deleted"))
    );
    assert!(
        !files
            .iter()
            .any(|name| name.contains(".cleaned") || name.contains(".swap"))
    );
    assert_eq!(bed.values(0).len(), 8, "{files:?}");
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew_there() {
    let mut bed = Bed::small();
    bed.fill(4, 2);
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| opening.log_start = Offset(50));
    assert_eq!(
        (bed.log.log_start(), bed.log.log_end()),
        (Offset(50), Offset(50))
    );
}

#[test]
fn the_high_watermark_of_the_checkpoint_is_kept_within_the_log() {
    let mut bed = Bed::small();
    bed.fill(4, 2);
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| {
        opening.high_watermark = Offset(5)
    });
    assert_eq!(bed.log.high_watermark(), Offset(5));
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| {
        opening.high_watermark = Offset(99)
    });
    assert_eq!(bed.log.high_watermark(), Offset(8));
}

/// One message of format 1, shorter than the header of a batch: the log was cut to nothing, since no batch fits into
/// what is there.
#[test]
fn a_short_message_of_an_old_format_is_the_whole_log_and_stays() {
    let bed = Bed::small();
    let mut old = [0u8; 36];
    old[11] = 24;
    old[16] = 1;
    let mut crc = flate2::Crc::new();
    crc.update(&old[16..]);
    old[12..16].copy_from_slice(&crc.sum().to_be_bytes());
    let file = bed.open("00000000000000000000.log");
    file.write_at(&mut [std::io::IoSlice::new(&old)], 0)
        .unwrap();
    let mut bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!((bed.log.log_end(), bed.recovered.bytes_cut), (Offset(1), 0));
    bed.fill(1, 1);
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(bed.log.log_end(), Offset(2));
    assert_eq!(bed.values(1), [(1, "0".to_owned())]);
}

#[test]
fn a_torn_batch_is_cut_off_even_if_it_looks_like_an_old_message() {
    let mut bed = Bed::small();
    bed.fill(2, 1);
    let end = bed.log.view().size();
    bed.fill(1, 1);
    // The sector with the length reached the disk, the next one, with the magic, did not.
    let file = bed.open("00000000000000000000.log");
    file.write_at(&mut [std::io::IoSlice::new(&[0; 45])], end + 16)
        .unwrap();
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(bed.log.log_end(), Offset(2));
    assert_eq!(len_of(&bed.dir().join("00000000000000000000.log")), end);
}

#[test]
fn a_broken_snapshot_is_left_out_and_the_state_is_found_in_the_batches() {
    let mut bed = Bed::small();
    bed.append(produced(5, 1, 0, 2));
    bed.fill(60, 2);
    bed.append(produced(5, 1, 2, 1));
    bed.log.close().unwrap();
    for snapshot in bed.named(".snapshot") {
        bed.flip(&snapshot, 4);
    }
    let mut bed = bed.reopen(Shutdown::Clean, 0);
    assert!(matches!(
        bed.append(produced(5, 1, 2, 1)),
        Appended::Duplicate { .. }
    ));
    assert!(matches!(
        bed.append(produced(5, 1, 3, 1)),
        Appended::Fresh { .. }
    ));
}

#[test]
fn offsets_that_compaction_took_are_not_missed_even_if_the_topic_is_compacted_no_more() {
    let mut bed = Bed::small();
    bed.fill(2, 2);
    let mut later = built(
        BatchOptions {
            base_offset: Offset(20),
            leader_epoch: LeaderEpoch(0),
            ..BatchOptions::default()
        },
        2,
        NOW,
    );
    later.stamp(Offset(20), LeaderEpoch(0));
    bed.follow(&later.to_bytes());
    bed.fill(1, 1);
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| {
        opening.cleaned_end = Some(Offset(0))
    });
    assert_eq!(bed.log.log_end(), Offset(23));
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| {
        opening.config.cleanup.compact = true;
    });
    assert_eq!(bed.log.log_end(), Offset(23));
    let bed = bed.reopen(Shutdown::Unclean, 0);
    assert_eq!(
        bed.log.log_end(),
        Offset(4),
        "where nothing was compacted, a gap is a lost write"
    );
}
