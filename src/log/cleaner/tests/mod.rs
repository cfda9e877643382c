//! Cleaning real logs on the machine's disk.
#![expect(
    clippy::disallowed_methods,
    reason = "tests take files away behind the seam"
)]

mod log;
mod model;
mod scenes;

use crate::log::tests::Bed;
use crate::log::*;
use crate::types::Timestamp;

pub(super) const LIMITS: CleaningLimits = CleaningLimits {
    map: MapLimits {
        bytes: 1 << 20,
        load_factor: 0.9,
    },
    chunk_bytes: 300,
};

/// Cleans all that can be cleaned, if anything can; gives what was done.
pub(super) fn clean(bed: &mut Bed, limits: CleaningLimits, now: Timestamp) -> Option<Cleaning> {
    let cleanable = cleanable(bed, now);
    if cleanable.cleanable_bytes == 0 {
        return None;
    }
    let mut cleaning = begin(bed, &cleanable, limits, now);
    while step(bed, &mut cleaning, now).unwrap() {}
    bed.log.finish_cleaning(&cleaning);
    Some(cleaning)
}

pub(super) fn begin(
    bed: &mut Bed,
    cleanable: &Cleanable,
    limits: CleaningLimits,
    now: Timestamp,
) -> Cleaning {
    bed.log.flush().unwrap();
    let begun = bed.log.begin_cleaning(cleanable, limits, [7, 8], now);
    begun.expect("everything is on disk")
}

pub(super) fn cleanable(bed: &Bed, now: Timestamp) -> Cleanable {
    let disk = crate::runtime::os::runtime().disk;
    let view = bed.log.view();
    view.cleanable(&*disk, &bed.config, now).unwrap()
}

/// `false` at the end.
pub(super) fn step(
    bed: &mut Bed,
    cleaning: &mut Cleaning,
    now: Timestamp,
) -> Result<bool, CleaningError> {
    match cleaning.step()? {
        Progress::Moved { .. } => Ok(true),
        Progress::Complete(replacement) => {
            match bed.log.replace_segments(replacement, now)? {
                Replaced::Yes(sync) => drop(sync.run()?),
                Replaced::Outdated => panic!("nobody else changes the log"),
            }
            Ok(true)
        }
        Progress::Done => Ok(false),
    }
}
