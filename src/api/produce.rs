//! Produce, key 0, versions 3–13.
//!
//! Appends one batch per partition. acks=0 has no answer, and any error closes the connection; acks=1
//! is answered when the batch is written, acks=−1 when every replica in sync has it: with one
//! replica, that is the same moment. v7: zstd. v8: which records were wrong. v9: flexible.
//! v10: the current leader beside NOT_LEADER_OR_FOLLOWER. v13: topics by id.
//! Not done: transactions; a transactional batch is answered INVALID_TXN_STATE.

use super::answer::{Call, Outcome, Refusal};
use super::context::{RequestContext, Staged};
use super::meters::Meters;
use crate::metadata::ImageHandle;
use crate::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use crate::protocol::messages::{ProduceRequest, ProduceResponse};
use crate::protocol::{ErrorCode, Text};
use crate::record::InvalidBatch;
use crate::replica::{
    AppendError, Durability, LogAppendError, Partition, ProduceError, ProduceFrom, Produced,
    Replicas, Writer,
};
use crate::runtime::Reply;
use crate::types::Offset;
use std::sync::Arc;

/// The one client that Kafka lets write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// What the handler works on.
pub(super) struct Parts<'a> {
    pub(super) replicas: &'a Replicas,
    pub(super) image: &'a ImageHandle,
    pub(super) meters: &'a Meters,
}

/// What was done with a request's batches.
struct Taken {
    response: ProduceResponse,
    unsynced: Vec<Unsynced>,
}

/// A batch that is acknowledged only from the disk (`flush.messages`), by its places in the response.
struct Unsynced {
    partition: Arc<Partition>,
    /// The offset after it.
    end: Offset,
    topic: usize,
    place: usize,
}

pub(super) fn serve(mut call: Call, reply: &mut Reply, parts: &Parts<'_>) -> Outcome {
    let back = call.back();
    let request: ProduceRequest = match call.request() {
        Ok(request) => request,
        Err(refusal) => return Outcome::Close(refusal),
    };
    let wants_answer = request.acks != 0;
    let Taken { response, unsynced } = handle(request, &call.context, parts);
    if wants_answer {
        let answer = match unsynced.is_empty() {
            true => Staged::Ready(response),
            false => Staged::later(synced(response, unsynced)),
        };
        return back.send(answer, reply);
    }
    let topics = response.responses.iter();
    let failed = topics
        .flat_map(|topic| &topic.partition_responses)
        .any(|partition| partition.error_code != ErrorCode::None.code());
    if failed {
        Outcome::Close(Refusal::Unacknowledged)
    } else {
        Outcome::Done
    }
}

fn handle(request: ProduceRequest, context: &RequestContext, parts: &Parts<'_>) -> Taken {
    let Parts {
        replicas,
        image,
        meters,
    } = *parts;
    let mut unsynced = Vec::new();
    let from = ProduceFrom {
        writer: match context.client_id.as_deref() {
            Some(ADMIN_CLIENT_ID) => Writer::Admin,
            _ => Writer::Client,
        },
        now: context.now,
        knows_zstd: context.version >= 7,
    };
    let acks_known = matches!(request.acks, -1..=1);
    let responses = request
        .topic_data
        .into_iter()
        .enumerate()
        .map(|(topic_place, topic)| {
            let TopicProduceData {
                name,
                topic_id,
                partition_data,
            } = topic;
            let partition_responses =
                partition_data.into_iter().enumerate().map(|(place, data)| {
                    if !acks_known {
                        return refused(data.index, ErrorCode::InvalidRequiredAcks, None);
                    }
                    let found = if context.version >= 13 {
                        replicas.find_by_id(&topic_id, data.index, image)
                    } else {
                        replicas.find(&name, data.index, image)
                    };
                    match found {
                        Ok(partition) => {
                            let (response, durability) = append(&partition, data, from, meters);
                            if let Durability::NeedsSync(end) = durability {
                                unsynced.push(Unsynced {
                                    partition,
                                    end,
                                    topic: topic_place,
                                    place,
                                });
                            }
                            response
                        }
                        Err(error) => refused(data.index, error.into(), None),
                    }
                });
            let partition_responses = partition_responses.collect();
            TopicProduceResponse {
                name,
                topic_id,
                partition_responses,
            }
        });
    let response = ProduceResponse {
        responses: responses.collect(),
        ..ProduceResponse::default()
    };
    Taken { response, unsynced }
}

/// Answers once every batch that has to be is on the disk.
async fn synced(mut response: ProduceResponse, unsynced: Vec<Unsynced>) -> ProduceResponse {
    for Unsynced {
        partition,
        end,
        topic,
        place,
    } in unsynced
    {
        if partition.synced(end).await.is_err() {
            let answer = &mut response.responses[topic].partition_responses[place];
            *answer = refused(answer.index, ErrorCode::KafkaStorageError, None);
        }
    }
    response
}

fn append(
    partition: &Arc<Partition>,
    data: PartitionProduceData,
    from: ProduceFrom,
    meters: &Meters,
) -> (PartitionProduceResponse, Durability) {
    let records = data.records.unwrap_or_default();
    match partition.produce(&records, from) {
        Ok(Produced {
            base,
            log_append_time,
            log_start,
            records: count,
            durability,
        }) => {
            meters.produced(u64::from(count), records.len() as u64);
            let response = PartitionProduceResponse {
                index: data.index,
                base_offset: base.get(),
                log_append_time_ms: log_append_time.map_or(-1, |time| time.get()),
                log_start_offset: log_start.get(),
                ..PartitionProduceResponse::default()
            };
            (response, durability)
        }
        Err(error) => {
            let code = ErrorCode::from(&error);
            let mut response = refused(data.index, code, Some(error.to_string()));
            if names_log_start(&error) {
                response.log_start_offset = partition.log_start().get();
            }
            if let ProduceError::Invalid(InvalidBatch::Records { errors, .. }) = error {
                response.record_errors = errors
                    .into_iter()
                    .map(|error| BatchIndexAndErrorMessage {
                        batch_index: error.index,
                        batch_index_error_message: Some(error.message.into()),
                    })
                    .collect();
            }
            (response, Durability::AsWritten)
        }
    }
}

/// Whether Kafka tells where the log starts beside the error (`ReplicaManager.appendRecordsToLeader`): it
/// does once it has looked into the batch, and then not for some errors.
fn names_log_start(error: &ProduceError) -> bool {
    match error {
        ProduceError::Invalid(
            InvalidBatch::NoBatch
            | InvalidBatch::MoreThanOneBatch
            | InvalidBatch::OldMagic(_)
            | InvalidBatch::ZstdNotAllowed
            | InvalidBatch::Corrupt(_)
            | InvalidBatch::TooLarge { .. }
            | InvalidBatch::DecodedTooLarge { .. },
        ) => false,
        ProduceError::Invalid(_) | ProduceError::NotInTransaction => true,
        ProduceError::Append(AppendError::Log(LogAppendError::Producer(_))) => true,
        ProduceError::Append(_) | ProduceError::Internal => false,
    }
}

fn refused(index: i32, error: ErrorCode, message: Option<String>) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: error.code(),
        base_offset: -1,
        error_message: message.map(Text::from),
        ..PartitionProduceResponse::default()
    }
}
