//! ListOffsets, key 2, version 0, which Kafka 4 has dropped: clients of before records had timestamps.
//!
//! Answers up to `max_num_offsets` offsets at which segments begin, the newest first: those last written to
//! at or before a time; or from the log's end (−1) or its start (−2) on. A consumer is not told of what is
//! above the high watermark. Other negative times are UNSUPPORTED_VERSION.

use super::context::{RequestContext, Staged};
use super::list_offsets::{EARLIEST, LATEST, answers, refused};
use crate::metadata::ImageHandle;
use crate::protocol::ErrorCode;
use crate::protocol::messages::list_offsets_request::ListOffsetsPartition;
use crate::protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use crate::protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use crate::replica::{Replicas, SegmentStart, StorageFailed};
use crate::types::{Offset, Timestamp};
use std::sync::Arc;

pub(super) fn handle(
    request: ListOffsetsRequest,
    context: &RequestContext,
    replicas: &Arc<Replicas>,
    image: &ImageHandle,
) -> Staged<ListOffsetsResponse> {
    let (asked, image, now) = (replicas.clone(), image.clone(), context.now);
    // The files are asked for their times.
    Staged::blocking(replicas.tasks(), move || {
        response(&request, now, &asked, &image)
    })
}

fn response(
    request: &ListOffsetsRequest,
    now: Timestamp,
    replicas: &Replicas,
    image: &ImageHandle,
) -> ListOffsetsResponse {
    let of_consumer = request.replica_id == -1;
    answers(request.topics.iter(), |topic, asked| {
        let found = find(topic, asked, now, replicas, image);
        let answer = found.map(|found| answer(asked, found, of_consumer));
        Some(answer.unwrap_or_else(|code| refused(asked, code)))
    })
}

/// Offsets, and the partition's high watermark.
fn find(
    topic: &str,
    asked: &ListOffsetsPartition,
    now: Timestamp,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Result<(Vec<Offset>, Offset), ErrorCode> {
    if asked.timestamp < EARLIEST {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let partition = replicas.find(topic, asked.partition_index, image)?;
    // What Kafka 3.9 answers to a negative number.
    let count = usize::try_from(asked.max_num_offsets);
    let count = count.map_err(|_| ErrorCode::UnknownServerError)?;
    let starts = partition.segment_starts(now);
    let starts = starts.map_err(|StorageFailed::Storage| ErrorCode::KafkaStorageError)?;
    let offsets = before(&starts, asked.timestamp, count);
    Ok((offsets, partition.high_watermark()))
}

fn answer(
    asked: &ListOffsetsPartition,
    (mut offsets, high_watermark): (Vec<Offset>, Offset),
    of_consumer: bool,
) -> ListOffsetsPartitionResponse {
    if of_consumer {
        hide_above(high_watermark, &mut offsets);
    }
    ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        old_style_offsets: offsets.into_iter().map(Offset::get).collect(),
        ..ListOffsetsPartitionResponse::default()
    }
}

/// Up to `count` of `starts`, backwards from the newest that counts
/// (`UnifiedLog.legacyFetchOffsetsBefore`).
fn before(starts: &[SegmentStart], timestamp: i64, count: usize) -> Vec<Offset> {
    let is_old = |start: &SegmentStart| start.modified <= Timestamp(timestamp);
    let counted = match timestamp {
        LATEST => starts.len(),
        EARLIEST => starts.len().min(1),
        _ => starts.iter().rposition(is_old).map_or(0, |at| at + 1),
    };
    let backwards = starts.iter().take(counted).rev();
    backwards.take(count).map(|start| start.offset).collect()
}

/// Puts the high watermark in the place of all offsets above it.
fn hide_above(high_watermark: Offset, offsets: &mut Vec<Offset>) {
    let hidden = offsets.partition_point(|offset| *offset > high_watermark);
    if hidden > 0 {
        offsets.splice(..hidden, [high_watermark]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three segments, the last with records up to 30.
    fn starts() -> Vec<SegmentStart> {
        let start = |(offset, modified)| SegmentStart {
            offset: Offset(offset),
            modified: Timestamp(modified),
        };
        [(0, 100), (10, 200), (20, 300), (30, 999)]
            .map(start)
            .to_vec()
    }

    fn offsets(timestamp: i64, count: usize) -> Vec<i64> {
        let offsets = before(&starts(), timestamp, count).into_iter();
        offsets.map(Offset::get).collect()
    }

    #[test]
    fn the_latest_comes_first_and_the_earliest_alone() {
        assert_eq!(offsets(LATEST, 1), [30]);
        assert_eq!(offsets(LATEST, 9), [30, 20, 10, 0]);
        assert_eq!(offsets(EARLIEST, 9), [0]);
        assert_eq!(offsets(LATEST, 0), [0; 0]);
    }

    #[test]
    fn a_time_finds_segments_that_were_finished_by_then() {
        assert_eq!(offsets(200, 9), [10, 0]);
        assert_eq!(offsets(299, 1), [10]);
        assert_eq!(offsets(99, 9), [0; 0]);
        assert_eq!(offsets(1_000, 1), [30]);
    }

    #[test]
    fn a_consumer_sees_the_high_watermark_in_place_of_what_is_above() {
        let visible = |high_watermark, offsets: &[i64]| {
            let mut offsets: Vec<Offset> = offsets.iter().copied().map(Offset).collect();
            hide_above(Offset(high_watermark), &mut offsets);
            offsets.into_iter().map(Offset::get).collect::<Vec<i64>>()
        };
        assert_eq!(visible(15, &[30, 20, 10, 0]), [15, 10, 0]);
        assert_eq!(visible(30, &[30, 20]), [30, 20]);
        assert_eq!(visible(5, &[30]), [5]);
    }
}
