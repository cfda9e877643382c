//! The records of `__consumer_offsets`, and their bytes.
//!
//! ```text
//! key    0..2  record type: 0 or 1 an offset, 2 a group; others belong to other protocols
//!        2..   key message, version 0, never flexible
//! value  0..2  version
//!        2..   value message; no value at all is a tombstone
//! ```
//!
//! Written as Kafka 4.3 writes them: offsets in version 4, or 1 if they carry an expiry of their own
//! (only that version has the field); groups in version 3. All older versions are read.

use super::offsets::CommittedOffset;
use crate::coordinator::ReplayError;
use crate::protocol::messages::group_metadata_value::MemberMetadata;
use crate::protocol::messages::{
    GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitKey, LegacyOffsetCommitValue,
    OffsetCommitKey, OffsetCommitValue,
};
use crate::protocol::{Message, Reader, Text};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

const LEGACY_OFFSET: i16 = 0;
const OFFSET: i16 = 1;
const GROUP: i16 = 2;

const KEY_VERSION: i16 = 0;
const OFFSET_VALUE_VERSION: i16 = 4;
/// The only version with an expiry.
const OFFSET_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
const GROUP_VALUE_VERSION: i16 = 3;

/// Names one committed offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetKey {
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
}

/// A change of durable state. `None` takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorRecord {
    Offset {
        key: OffsetKey,
        value: Option<CommittedOffset>,
    },
    Group {
        group: Arc<str>,
        value: Option<GroupSnapshot>,
    },
}

/// The last finished generation of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSnapshot {
    /// Empty for a group that nobody joined yet.
    pub protocol_type: Arc<str>,
    pub generation: i32,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<Arc<str>>,
    pub state_since: Option<Timestamp>,
    pub members: Vec<MemberSnapshot>,
}

/// A member with what it subscribed to and what it was assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSnapshot {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    /// `None` in records older than rebalance timeouts.
    pub rebalance_timeout_ms: Option<i32>,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl CoordinatorRecord {
    /// Key and value.
    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        match self {
            CoordinatorRecord::Offset { key, value } => {
                let message = OffsetCommitKey {
                    group: Text::copy(&key.group),
                    topic: Text::copy(&key.topic),
                    partition: key.partition,
                };
                let value = value.as_ref().map(|value| {
                    let version = match value.expires_at {
                        Some(_) => OFFSET_VALUE_VERSION_WITH_EXPIRY,
                        None => OFFSET_VALUE_VERSION,
                    };
                    prefixed(version, &offset_value(value), version)
                });
                (prefixed(OFFSET, &message, KEY_VERSION), value)
            }
            CoordinatorRecord::Group { group, value } => {
                let message = GroupMetadataKey {
                    group: Text::copy(group),
                };
                let value = value.as_ref().map(|value| {
                    prefixed(
                        GROUP_VALUE_VERSION,
                        &group_value(value),
                        GROUP_VALUE_VERSION,
                    )
                });
                (prefixed(GROUP, &message, KEY_VERSION), value)
            }
        }
    }

    /// Reads a record of any version. `Ok(None)`: a type of another group protocol (KIP-848, 932,
    /// 1071) or of a later release.
    pub fn decode(
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Option<CoordinatorRecord>, ReplayError> {
        let mut reader = Reader::new(key.clone());
        let record_type = reader.i16().map_err(|_| ReplayError::NoType)?;
        Ok(Some(match record_type {
            LEGACY_OFFSET => {
                let key: LegacyOffsetCommitKey = read_key(&mut reader, record_type)?;
                let value: Option<LegacyOffsetCommitValue> = read_value(value, record_type)?;
                CoordinatorRecord::Offset {
                    key: offset_key(&key.group, &key.topic, key.partition),
                    value: value.map(|value| CommittedOffset {
                        offset: Offset(value.offset),
                        leader_epoch: None,
                        metadata: shared(&value.metadata),
                        committed_at: Timestamp(value.commit_timestamp),
                        expires_at: None,
                        topic_id: crate::types::Uuid::ZERO,
                    }),
                }
            }
            OFFSET => {
                let key: OffsetCommitKey = read_key(&mut reader, record_type)?;
                let value: Option<OffsetCommitValue> = read_value(value, record_type)?;
                CoordinatorRecord::Offset {
                    key: offset_key(&key.group, &key.topic, key.partition),
                    value: value.map(|value| CommittedOffset {
                        offset: Offset(value.offset),
                        leader_epoch: (value.leader_epoch != -1)
                            .then_some(LeaderEpoch(value.leader_epoch)),
                        metadata: shared(&value.metadata),
                        committed_at: Timestamp(value.commit_timestamp),
                        expires_at: known(value.expire_timestamp),
                        topic_id: value.topic_id,
                    }),
                }
            }
            GROUP => {
                let key: GroupMetadataKey = read_key(&mut reader, record_type)?;
                let value: Option<GroupMetadataValue> = read_value(value, record_type)?;
                CoordinatorRecord::Group {
                    group: shared(&key.group),
                    value: value.as_ref().map(snapshot),
                }
            }
            _ => return Ok(None),
        }))
    }
}

fn prefixed(prefix: i16, message: &impl Message, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(prefix);
    let encoded = message.encode(&mut out, version);
    // Every text in a record came in a request, whose limits are the same.
    assert!(encoded.is_ok(), "a record of ours cannot be written");
    out.freeze()
}

fn read_key<M: Message>(reader: &mut Reader, record_type: i16) -> Result<M, ReplayError> {
    M::decode(reader, KEY_VERSION).map_err(|error| ReplayError::Key {
        record_type,
        reason: error.to_string(),
    })
}

fn read_value<M: Message>(
    value: Option<&Bytes>,
    record_type: i16,
) -> Result<Option<M>, ReplayError> {
    let Some(value) = value else { return Ok(None) };
    let unreadable = |reason: String| ReplayError::Value {
        record_type,
        reason,
    };
    let mut reader = Reader::new(value.clone());
    let version = reader
        .i16()
        .map_err(|error| unreadable(error.to_string()))?;
    if !M::VERSIONS.contains(&version) {
        return Err(ReplayError::ValueVersion {
            record_type,
            version,
        });
    }
    M::decode(&mut reader, version)
        .map(Some)
        .map_err(|error| unreadable(error.to_string()))
}

fn offset_key(group: &Text, topic: &Text, partition: i32) -> OffsetKey {
    OffsetKey {
        group: shared(group),
        topic: shared(topic),
        partition,
    }
}

fn offset_value(value: &CommittedOffset) -> OffsetCommitValue {
    OffsetCommitValue {
        offset: value.offset.get(),
        leader_epoch: value.leader_epoch.map_or(-1, LeaderEpoch::get),
        metadata: Text::copy(&value.metadata),
        commit_timestamp: value.committed_at.get(),
        expire_timestamp: value.expires_at.map_or(-1, Timestamp::get),
        topic_id: value.topic_id,
    }
}

fn group_value(value: &GroupSnapshot) -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: Text::copy(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_deref().map(Text::copy),
        leader: value.leader.as_deref().map(Text::copy),
        current_state_timestamp: value.state_since.map_or(-1, Timestamp::get),
        members: value
            .members
            .iter()
            .map(|member| MemberMetadata {
                member_id: Text::copy(&member.id),
                group_instance_id: member.instance_id.as_deref().map(Text::copy),
                client_id: Text::copy(&member.client_id),
                client_host: Text::copy(&member.client_host),
                rebalance_timeout: member.rebalance_timeout_ms.unwrap_or(-1),
                session_timeout: member.session_timeout_ms,
                subscription: member.subscription.clone(),
                assignment: member.assignment.clone(),
            })
            .collect(),
    }
}

fn snapshot(value: &GroupMetadataValue) -> GroupSnapshot {
    GroupSnapshot {
        protocol_type: shared(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_ref().map(shared),
        leader: value.leader.as_ref().map(shared),
        state_since: known(value.current_state_timestamp),
        members: value
            .members
            .iter()
            .map(|member| MemberSnapshot {
                id: shared(&member.member_id),
                instance_id: member.group_instance_id.as_ref().map(shared),
                client_id: shared(&member.client_id),
                client_host: shared(&member.client_host),
                rebalance_timeout_ms: (member.rebalance_timeout != -1)
                    .then_some(member.rebalance_timeout),
                session_timeout_ms: member.session_timeout,
                subscription: Bytes::copy_from_slice(&member.subscription),
                assignment: Bytes::copy_from_slice(&member.assignment),
            })
            .collect(),
    }
}

fn shared(text: &Text) -> Arc<str> {
    text.as_str().into()
}

fn known(timestamp: i64) -> Option<Timestamp> {
    (timestamp != -1).then_some(Timestamp(timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Uuid;

    fn commit(expires_at: Option<Timestamp>) -> CoordinatorRecord {
        CoordinatorRecord::Offset {
            key: OffsetKey {
                group: "g".into(),
                topic: "t".into(),
                partition: 3,
            },
            value: Some(CommittedOffset {
                offset: Offset(42),
                leader_epoch: Some(LeaderEpoch(7)),
                metadata: "m".into(),
                committed_at: Timestamp(1000),
                expires_at,
                topic_id: Uuid::ZERO,
            }),
        }
    }

    fn group() -> CoordinatorRecord {
        CoordinatorRecord::Group {
            group: "g".into(),
            value: Some(GroupSnapshot {
                protocol_type: "consumer".into(),
                generation: 5,
                protocol: Some("range".into()),
                leader: Some("a-1".into()),
                state_since: Some(Timestamp(1000)),
                members: vec![MemberSnapshot {
                    id: "a-1".into(),
                    instance_id: Some("i".into()),
                    client_id: "a".into(),
                    client_host: "/127.0.0.1".into(),
                    rebalance_timeout_ms: Some(300_000),
                    session_timeout_ms: 45_000,
                    subscription: Bytes::from_static(b"sub"),
                    assignment: Bytes::from_static(b"asg"),
                }],
            }),
        }
    }

    fn round_trip(record: &CoordinatorRecord) -> Option<CoordinatorRecord> {
        let (key, value) = record.encode();
        CoordinatorRecord::decode(&key, value.as_ref()).unwrap()
    }

    #[test]
    fn an_offset_is_written_in_version_4_byte_for_byte() {
        let (key, value) = commit(None).encode();
        assert_eq!(&key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x03");
        let expected = b"\0\x04\0\0\0\0\0\0\0\x2a\0\0\0\x07\x02m\0\0\0\0\0\0\x03\xe8\0";
        assert_eq!(&value.unwrap()[..], expected);
        assert_eq!(round_trip(&commit(None)), Some(commit(None)));
    }

    #[test]
    fn an_offset_with_an_expiry_of_its_own_is_written_in_version_1_without_its_epoch() {
        let record = commit(Some(Timestamp(2000)));
        let (_, value) = record.encode();
        let expected = b"\0\x01\0\0\0\0\0\0\0\x2a\0\x01m\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x07\xd0";
        assert_eq!(&value.unwrap()[..], expected);
        let Some(CoordinatorRecord::Offset {
            value: Some(read), ..
        }) = round_trip(&record)
        else {
            panic!("it reads back as an offset");
        };
        assert_eq!(read.expires_at, Some(Timestamp(2000)));
        assert_eq!(read.leader_epoch, None);
    }

    #[test]
    fn a_group_is_written_in_version_3_and_reads_back_equal() {
        let (key, value) = group().encode();
        assert_eq!(&key[..], b"\0\x02\0\x01g");
        assert_eq!(&value.unwrap()[..2], b"\0\x03");
        assert_eq!(round_trip(&group()), Some(group()));
    }

    #[test]
    fn a_tombstone_has_no_value() {
        let gone = CoordinatorRecord::Group {
            group: "g".into(),
            value: None,
        };
        assert_eq!(gone.encode().1, None);
        assert_eq!(round_trip(&gone), Some(gone));
    }

    #[test]
    fn records_of_every_older_version_are_read() {
        let (key, _) = commit(None).encode();
        for version in OffsetCommitValue::VERSIONS {
            let mut value = BytesMut::new();
            value.put_i16(version);
            OffsetCommitValue {
                offset: 9,
                ..Default::default()
            }
            .encode(&mut value, version)
            .unwrap();
            let read = CoordinatorRecord::decode(&key, Some(&value.freeze())).unwrap();
            let Some(CoordinatorRecord::Offset {
                value: Some(read), ..
            }) = read
            else {
                panic!("version {version} reads as an offset");
            };
            assert_eq!(read.offset, Offset(9));
        }
        for version in GroupMetadataValue::VERSIONS {
            let mut value = BytesMut::new();
            value.put_i16(version);
            GroupMetadataValue {
                generation: 9,
                members: vec![MemberMetadata::default()],
                ..Default::default()
            }
            .encode(&mut value, version)
            .unwrap();
            let (key, _) = group().encode();
            let read = CoordinatorRecord::decode(&key, Some(&value.freeze())).unwrap();
            let Some(CoordinatorRecord::Group {
                value: Some(read), ..
            }) = read
            else {
                panic!("version {version} reads as a group");
            };
            assert_eq!(read.members[0].rebalance_timeout_ms, None);
        }
    }

    #[test]
    fn an_offset_of_the_legacy_type_counts_as_an_offset() {
        let key = Bytes::from_static(b"\0\0\0\x01g\0\x01t\0\0\0\x03");
        let value = Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\x09");
        let read = CoordinatorRecord::decode(&key, Some(&value)).unwrap();
        let Some(CoordinatorRecord::Offset {
            value: Some(read), ..
        }) = read
        else {
            panic!("it reads as an offset");
        };
        assert_eq!(read.offset, Offset(5));
        assert_eq!(read.committed_at, Timestamp(9));
    }

    #[test]
    fn records_of_other_group_protocols_are_left_alone() {
        for record_type in [3i16, 8, 11, 16, 23, 999] {
            let mut key = BytesMut::new();
            key.put_i16(record_type);
            key.put_slice(b"\0\x01g");
            let read = CoordinatorRecord::decode(&key.freeze(), Some(&Bytes::from_static(b"xx")));
            assert_eq!(read, Ok(None));
        }
    }

    #[test]
    fn a_value_of_a_version_from_the_future_is_an_error_that_names_it() {
        let (key, _) = commit(None).encode();
        let value = Bytes::from_static(b"\0\x63");
        assert_eq!(
            CoordinatorRecord::decode(&key, Some(&value)),
            Err(ReplayError::ValueVersion {
                record_type: 1,
                version: 99
            })
        );
    }

    #[test]
    fn cut_records_are_errors() {
        let (key, value) = group().encode();
        let value = value.unwrap();
        for len in 0..value.len() {
            assert!(CoordinatorRecord::decode(&key, Some(&value.slice(..len))).is_err());
        }
        for len in 0..key.len() {
            assert!(CoordinatorRecord::decode(&key.slice(..len), Some(&value)).is_err());
        }
    }
}
