//! Which segments are rewritten into one (`Cleaner.groupSegmentsBySize`).

use crate::log::config::LogConfig;
use crate::log::segment::Segment;
use crate::types::Offset;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a group has so far.
#[derive(Clone, Copy, Default)]
struct Sizes {
    log: u64,
    offset_index: u64,
    time_index: u64,
}

impl Sizes {
    fn with(self, segment: &Segment) -> Sizes {
        let (offset_index, time_index) = segment.index_sizes();
        Sizes {
            log: self.log + segment.size(),
            offset_index: self.offset_index + offset_index,
            time_index: self.time_index + time_index,
        }
    }

    fn fit(self, config: &LogConfig) -> bool {
        self.log <= config.segment_bytes
            && self.offset_index <= config.segment_index_bytes
            && self.time_index <= config.segment_index_bytes
    }
}

/// Puts neighbours together as long as they fit into one segment even if nothing of them goes. `upper` is
/// the offset after the last of them.
pub(super) fn group(
    segments: &[Arc<Segment>],
    config: &LogConfig,
    upper: Offset,
) -> VecDeque<Vec<Arc<Segment>>> {
    let mut groups: VecDeque<Vec<Arc<Segment>>> = VecDeque::new();
    let mut sizes = Sizes::default();
    for (at, segment) in segments.iter().enumerate() {
        let end = segments.get(at + 1).map_or(upper, |next| next.base);
        let with = sizes.with(segment);
        match groups.back_mut() {
            Some(group) if with.fit(config) && is_near(group, segment, end) => {
                group.push(segment.clone());
                sizes = with;
            }
            _ => {
                groups.push_back(vec![segment.clone()]);
                sizes = Sizes::default().with(segment);
            }
        }
    }
    groups
}

/// Whether all offsets below `end` can be told relative to the group's base.
fn is_near(group: &[Arc<Segment>], segment: &Segment, end: Offset) -> bool {
    let base = group.first().map_or(segment.base, |first| first.base);
    segment.size() == 0 || end.0 - 1 - base.0 <= i64::from(i32::MAX)
}
