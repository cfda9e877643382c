use super::*;
use crate::types::Offset;

fn old_and_new() -> Bed {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.advance_high_watermark(bed.log.log_end());
    bed
}

#[test]
fn segments_whose_newest_record_is_too_old_go_the_active_one_too() {
    let mut bed = old_and_new();
    bed.config.retention_ms = 1_000;
    bed.log.set_config(bed.config.clone());
    assert_eq!(bed.log.delete_old_segments(NOW.plus_ms(1_000)).unwrap(), 0);
    let before = bed.log.view().segment_count();
    let deleted = bed.log.delete_old_segments(NOW.plus_ms(1_060)).unwrap();
    assert!(deleted > 0 && deleted < before);
    assert_eq!(
        i64::try_from(bed.values(bed.log.log_start().0).len()).unwrap(),
        120 - bed.log.log_start().0
    );
    bed.log.delete_old_segments(NOW.plus_ms(1_000_000)).unwrap();
    assert_eq!(bed.log.log_start(), Offset(120));
    assert_eq!(bed.log.view().segment_count(), 1);
    bed.fill(1, 1);
    assert_eq!(bed.values(120).len(), 1);
}

#[test]
fn size_takes_whole_segments_while_the_rest_still_fills_the_limit() {
    let mut bed = old_and_new();
    bed.config.retention_bytes = 2_500;
    bed.log.set_config(bed.config.clone());
    bed.log.delete_old_segments(NOW).unwrap();
    let size = bed.log.view().size();
    assert!((2_500..=3_500).contains(&size), "{size}");
}

#[test]
fn nothing_above_the_high_watermark_goes() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    bed.log.advance_high_watermark(Offset(30));
    bed.config.retention_ms = 0;
    bed.log.set_config(bed.config.clone());
    bed.log.delete_old_segments(NOW.plus_ms(1_000_000)).unwrap();
    assert!(bed.log.log_start() <= Offset(30) && bed.log.log_start() > Offset(0));
}

#[test]
fn deleted_files_wait_under_another_name_until_the_delay_is_over() {
    let home = tempfile::tempdir().unwrap();
    let runtime = os::runtime();
    let opening = Opening::new(
        partition(),
        LogConfig {
            segment_bytes: 1_000,
            retention_ms: 0,
            ..LogConfig::default()
        },
        NOW,
    );
    let trash = opening.trash.clone();
    let dir = home.path().join("orders-0");
    let (mut log, _) = Log::open(&runtime, &dir, opening).unwrap();
    for _ in 0..40 {
        log.append_as_leader(plain(2, NOW), LeaderEpoch(0), NOW)
            .unwrap();
    }
    log.advance_high_watermark(log.log_end());
    let later = NOW.plus_ms(10);
    assert!(log.delete_old_segments(later).unwrap() > 1);
    let deleted = || {
        let entries = runtime.disk.list(&dir).unwrap();
        entries
            .iter()
            .filter(|entry| entry.name.ends_with(".deleted"))
            .count()
    };
    assert!(deleted() > 1);
    assert_eq!(trash.empty(&*runtime.disk, later.plus_ms(59_999)), 0);
    assert!(trash.empty(&*runtime.disk, later.plus_ms(60_000)) > 1);
    assert_eq!(deleted(), 0);
}

#[test]
fn delete_records_moves_the_start_into_a_batch_and_the_segments_follow() {
    let mut bed = old_and_new();
    assert_eq!(bed.log.set_log_start(Offset(51)), Ok(true));
    assert_eq!(bed.log.set_log_start(Offset(40)), Ok(false));
    assert!(bed.log.set_log_start(Offset(121)).is_err());
    let first = bed.batches(51).remove(0);
    assert_eq!(
        first.header().base_offset,
        Offset(50),
        "clients skip what is below"
    );
    let before = bed.log.view().segment_count();
    bed.config.cleanup.delete = false;
    bed.log.set_config(bed.config.clone());
    assert!(bed.log.delete_old_segments(NOW).unwrap() > 0);
    assert!(bed.log.view().segment_count() < before);
    assert_eq!(bed.log.log_start(), Offset(51));
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| opening.log_start = Offset(51));
    assert_eq!(bed.log.log_start(), Offset(51));
}

#[test]
fn duplicates_are_found_after_their_first_copy_was_deleted() {
    let mut bed = Bed::small();
    bed.append(produced(5, 0, 0, 2));
    bed.fill(60, 2);
    bed.log.advance_high_watermark(bed.log.log_end());
    bed.config.retention_ms = 0;
    bed.log.set_config(bed.config.clone());
    bed.log.delete_old_segments(NOW.plus_ms(1_000_000)).unwrap();
    assert!(bed.log.log_start() > Offset(2));
    assert!(matches!(
        bed.append(produced(5, 0, 0, 2)),
        Appended::Duplicate {
            base: Offset(0),
            last: Offset(1),
            ..
        }
    ));
    let mut bed = bed.reopen(Shutdown::Unclean, 0);
    assert!(matches!(
        bed.append(produced(5, 0, 0, 2)),
        Appended::Duplicate { .. }
    ));
}

#[test]
fn a_log_that_is_only_compacted_keeps_its_old_segments() {
    let mut bed = old_and_new();
    bed.config.retention_ms = 0;
    bed.config.retention_bytes = 0;
    bed.config.cleanup.delete = false;
    bed.log.set_config(bed.config.clone());
    let deleted = bed.log.delete_old_segments(NOW.plus_ms(1_000_000));
    assert_eq!(deleted.unwrap(), 0);
}

#[test]
fn epochs_of_deleted_segments_go_and_the_one_that_spans_the_start_begins_there() {
    let mut bed = Bed::small();
    for epoch in 0..5 {
        for _ in 0..2 {
            (bed.log
                .append_as_leader(plain(1, NOW), LeaderEpoch(epoch), NOW))
            .unwrap();
            bed.log.roll(NOW).unwrap();
        }
    }
    bed.log.advance_high_watermark(Offset(10));
    bed.log.set_log_start(Offset(5)).unwrap();
    bed.log.delete_old_segments(NOW).unwrap();
    let starts: Vec<(i32, i64)> = (bed.log.view().epochs().iter())
        .map(|entry| (entry.epoch.0, entry.start.0))
        .collect();
    assert_eq!(starts, [(2, 5), (3, 6), (4, 8)]);
}

#[test]
fn a_second_look_deletes_nothing_more() {
    let mut bed = old_and_new();
    bed.config.retention_bytes = 2_500;
    bed.log.set_config(bed.config.clone());
    assert!(bed.log.delete_old_segments(NOW).unwrap() > 0);
    assert_eq!(bed.log.delete_old_segments(NOW).unwrap(), 0);
}

#[test]
fn a_log_whose_directory_is_gone_begins_at_its_start() {
    let bed = old_and_new();
    std::fs::remove_dir_all(bed.dir()).unwrap();
    let bed = bed.reopen_with(Shutdown::Unclean, |opening| opening.log_start = Offset(500));
    assert_eq!(
        (bed.log.log_start(), bed.log.log_end()),
        (Offset(500), Offset(500))
    );
}
