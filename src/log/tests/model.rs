//! Random steps against the simplest possible log: a list of records.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append { records: i64 },
    Truncate { to: i64 },
    Roll,
    Flush,
    SetStart { to: i64 },
    Retain { bytes: i64 },
    Crash,
    StopCleanly,
    Tear { bytes: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1i64..5).prop_map(|records| Step::Append { records }),
        1 => (0i64..80).prop_map(|to| Step::Truncate { to }),
        1 => Just(Step::Roll),
        1 => Just(Step::Flush),
        1 => (0i64..80).prop_map(|to| Step::SetStart { to }),
        1 => (0i64..3_000).prop_map(|bytes| Step::Retain { bytes }),
        1 => Just(Step::Crash),
        1 => Just(Step::StopCleanly),
        1 => (1u64..200).prop_map(|bytes| Step::Tear { bytes }),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What the log should hold: batches as (base, count), and where it starts.
#[derive(Default)]
struct Model {
    start: i64,
    end: i64,
    batches: Vec<(i64, i64)>,
}

impl Model {
    fn cut(&mut self, to: i64) {
        while let Some((base, count)) = self.batches.pop() {
            if base + count <= to {
                self.batches.push((base, count));
                break;
            }
            self.end = base;
        }
    }

    /// Batches whose records are not all below the start.
    fn visible(&self) -> Vec<(i64, i64)> {
        let mut batches = self.batches.clone();
        batches.retain(|(base, count)| base + count > self.start);
        batches
    }
}

fn take(mut bed: Bed, model: &mut Model, step: &Step) -> Bed {
    match *step {
        Step::Append { records } => {
            bed.fill(1, records);
            model.batches.push((model.end, records));
            model.end += records;
        }
        Step::Truncate { to } => {
            let to = to.max(model.start);
            if to < model.end {
                bed.log.truncate_to(Offset(to), NOW).unwrap();
                model.cut(to);
                // A cut inside the first batch leaves a log that ends before its start.
                if model.end < model.start {
                    model.start = model.end;
                }
            }
        }
        Step::Roll => bed.log.roll(NOW).unwrap(),
        Step::Flush => bed.log.flush().unwrap(),
        Step::SetStart { to } => {
            bed.log.advance_high_watermark(bed.log.log_end());
            let to = to.clamp(model.start, model.end);
            bed.log.set_log_start(Offset(to)).unwrap();
            model.start = to;
        }
        Step::Retain { bytes } => {
            bed.log.advance_high_watermark(bed.log.log_end());
            bed.config.retention_bytes = bytes;
            bed.log.set_config(bed.config.clone());
            bed.log.delete_old_segments(NOW).unwrap();
            model.start = bed.log.log_start().0;
        }
        Step::Crash => {
            let (start, point) = (model.start, bed.log.recovery_point().0);
            bed = bed.reopen_with(Shutdown::Unclean, |opening| {
                opening.log_start = Offset(start);
                opening.recovery_point = Offset(point);
            });
        }
        Step::StopCleanly => {
            bed.log.close().unwrap();
            let start = model.start;
            bed = bed.reopen_with(Shutdown::Clean, |opening| opening.log_start = Offset(start));
            assert_eq!(bed.recovered, Recovered::default());
        }
        Step::Tear { bytes } => {
            // Something of an append that was not acknowledged.
            let base = bed.log.view().dir().to_owned();
            let last = bed.named(".log").pop().unwrap();
            let path = base.join(&last);
            let file = bed.open(&last);
            file.set_len(len_of(&path) + bytes).unwrap();
            let start = model.start;
            bed = bed.reopen_with(Shutdown::Unclean, |opening| {
                opening.log_start = Offset(start)
            });
            assert_eq!(bed.recovered.bytes_cut, bytes);
        }
    }
    bed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_log_holds_what_it_was_given(steps in steps()) {
        let mut bed = Bed::small();
        let mut model = Model::default();
        for step in steps {
            bed = take(bed, &mut model, &step);
            prop_assert_eq!(bed.log.log_end().0, model.end);
            prop_assert_eq!(bed.log.log_start().0, model.start);
            let found: Vec<(i64, i64)> = bed
                .batches(model.start)
                .iter()
                .map(|batch| (batch.header().base_offset.0, i64::from(batch.header().records_count)))
                .collect();
            prop_assert_eq!(found, model.visible());
        }
    }
}
