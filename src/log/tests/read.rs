use super::*;

#[test]
fn a_read_begins_with_the_batch_that_holds_the_offset() {
    let mut bed = Bed::small();
    bed.fill(50, 3);
    let view = bed.log.view();
    for from in 0..150 {
        let slice = view
            .read(Offset(from), 1, view.log_end(), FirstBatch::Whole)
            .unwrap();
        let batch = Batches::of(bytes_of(&slice)).next().unwrap().unwrap();
        assert_eq!(
            batch.header().base_offset,
            Offset(from / 3 * 3),
            "from {from}"
        );
        assert_eq!(slice.base, Offset(from / 3 * 3));
    }
}

#[test]
fn a_read_at_the_end_is_empty_and_outside_it_is_refused() {
    let mut bed = Bed::small();
    bed.fill(5, 1);
    bed.log.advance_high_watermark(Offset(5));
    bed.log.set_log_start(Offset(2)).unwrap();
    let view = bed.log.view();
    let read = |from| view.read(Offset(from), 100, view.log_end(), FirstBatch::Whole);
    assert!(read(5).unwrap().is_empty());
    assert!(!read(2).unwrap().is_empty());
    for from in [-1, 1, 6] {
        assert!(
            matches!(read(from), Err(ReadError::OutOfRange { .. })),
            "{from}"
        );
    }
}

#[test]
fn nothing_at_or_above_the_upper_bound_is_given() {
    let mut bed = Bed::small();
    bed.fill(50, 3);
    let view = bed.log.view();
    for upper in (0..=150).step_by(3) {
        let mut next = 0;
        while next < upper {
            let slice = view
                .read(Offset(next), 150, Offset(upper), FirstBatch::Whole)
                .unwrap();
            assert!(!slice.is_empty());
            for batch in Batches::of(bytes_of(&slice)) {
                next = batch.unwrap().header().next_offset().0;
                assert!(next <= upper);
            }
        }
        let beyond = view.read(Offset(upper), 100, Offset(upper), FirstBatch::Whole);
        assert!(beyond.unwrap().is_empty());
    }
}

#[test]
fn a_first_batch_that_is_too_large_is_given_only_where_it_must() {
    let mut bed = Bed::small();
    bed.fill(2, 10);
    let view = bed.log.view();
    let read = |first| view.read(Offset(0), 50, view.log_end(), first).unwrap();
    assert!(read(FirstBatch::IfItFits).is_empty());
    let whole = read(FirstBatch::Whole);
    assert_eq!(Batches::of(bytes_of(&whole)).count(), 1);
}

#[test]
fn available_bytes_are_those_that_reads_give() {
    let mut bed = Bed::small();
    bed.fill(60, 2);
    let view = bed.log.view();
    let bytes_from = |from: i64, upper: i64| -> u64 {
        (bed.batches(from).iter())
            .filter(|batch| batch.header().next_offset() <= Offset(upper))
            .map(|batch| batch.bytes().len() as u64)
            .sum()
    };
    for (from, upper) in [(0, 120), (1, 120), (30, 64), (118, 120), (120, 120), (7, 8)] {
        let available = view.bytes_available(Offset(from), Offset(upper)).unwrap();
        let expected = if upper == 8 {
            bytes_from(6, 8)
        } else {
            bytes_from(from, upper)
        };
        assert_eq!(available, expected, "[{from}, {upper})");
    }
    assert_eq!(view.bytes_available(Offset(-5), Offset(10)).unwrap(), 0);
}

#[test]
fn a_slice_stays_readable_after_its_segment_was_closed_and_deleted() {
    let mut bed = Bed::small();
    bed.fill(3, 2);
    let view = bed.log.view();
    let slice = view
        .read(Offset(0), 1_000, view.log_end(), FirstBatch::Whole)
        .unwrap();
    let before = bytes_of(&slice);
    bed.fill(60, 2);
    bed.log.restart_at(Offset(500), NOW).unwrap();
    assert_eq!(bytes_of(&slice), before);
}

#[test]
fn a_timestamp_finds_its_record_inside_the_batch() {
    let mut bed = Bed::small();
    bed.fill(60, 2); // the record at offset n has the time NOW + n
    let view = bed.log.view();
    let find = |ms| {
        let found = view
            .offset_for_timestamp(NOW.plus_ms(ms), Default::default())
            .unwrap();
        found.map(|found| (found.offset.0, found.timestamp.ms_since(NOW)))
    };
    for ms in 0..120 {
        assert_eq!(find(ms), Some((ms, ms)));
    }
    assert_eq!(find(-10), Some((0, 0)));
    assert_eq!(find(120), None);
    let max = view
        .offset_of_max_timestamp(Default::default())
        .unwrap()
        .unwrap();
    assert_eq!((max.offset, max.timestamp), (Offset(119), NOW.plus_ms(119)));
    assert_eq!(max.epoch, LeaderEpoch(0));
}

#[test]
fn the_largest_timestamp_is_found_where_it_came_first() {
    let mut bed = Bed::small();
    for ms in [5, 90, 7, 90, 1] {
        bed.append(plain(1, NOW.plus_ms(ms)));
    }
    let max = bed
        .log
        .view()
        .offset_of_max_timestamp(Default::default())
        .unwrap();
    assert_eq!(max.unwrap().offset, Offset(1));
    let found = bed
        .log
        .view()
        .offset_for_timestamp(NOW.plus_ms(6), Default::default());
    assert_eq!(found.unwrap().unwrap().offset, Offset(1));
    let empty = Bed::small();
    assert_eq!(
        empty
            .log
            .view()
            .offset_of_max_timestamp(Default::default())
            .unwrap(),
        None
    );
}

#[test]
fn readers_on_other_threads_never_see_half_an_append() {
    let mut bed = Bed::small();
    let view = bed.log.view();
    let reader = std::thread::Builder::new()
        .spawn(move || {
            let mut next = 0;
            while next < 2_000 {
                let end = view.log_end();
                let slice = view
                    .read(Offset(next), 300, end, FirstBatch::Whole)
                    .unwrap();
                for batch in Batches::of(bytes_of(&slice)) {
                    let batch = batch.unwrap();
                    batch.check_crc().unwrap();
                    assert_eq!(batch.header().base_offset.0, next);
                    next = batch.header().next_offset().0;
                    assert!(next <= end.0);
                }
            }
        })
        .unwrap();
    bed.fill(1_000, 2);
    reader.join().unwrap();
}

#[test]
fn a_read_in_a_gap_begins_with_the_next_batch() {
    let mut bed = Bed::small();
    for base in [0, 10, 1_000] {
        let mut batch = plain(2, NOW);
        batch.stamp(Offset(base), LeaderEpoch(0));
        bed.follow(&batch.to_bytes());
        bed.log.roll(NOW).unwrap();
    }
    for (from, base) in [(1, 0), (2, 10), (9, 10), (12, 1_000), (999, 1_000)] {
        assert_eq!(bed.batches(from)[0].header().base_offset, Offset(base));
    }
}
