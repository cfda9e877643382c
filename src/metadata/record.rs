//! A metadata record: which kind, in which version, and its fields.
//!
//! On the log each is the value of one record: unsigned varints for the frame's version (1), the
//! kind and the kind's version, then the body (`MetadataRecordSerde`).

use crate::protocol::messages as schema;
use crate::protocol::{DecodeError, EncodeError, Message, Reader, writer};
use bytes::{Bytes, BytesMut};

const FRAME_VERSION: u32 = 1;

/// Levels of `metadata.version` that added fields: 3.4-IV0, 3.7-IV2, 4.0-IV1 and 4.3-IV0.
const MIGRATION: i16 = 8;
const DIRECTORIES: i16 = 17;
const ELIGIBLE_LEADERS: i16 = 23;
const CORDONED: i16 = 30;

/// Why a metadata record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("frame version {0} is not known")]
    FrameVersion(u32),
    #[error("record kind {0} is not known")]
    Kind(u32),
    #[error("{kind} version {version} is not known")]
    Version { kind: &'static str, version: u32 },
    #[error("{0} bytes follow the record")]
    Trailing(usize),
    #[error("{0}")]
    Body(#[from] DecodeError),
}

/// Each line: the variant, its kind on the log, and its schema.
macro_rules! records {
    ($($variant:ident = $kind:literal, $schema:ident;)*) => {
        /// Kafka's metadata records, by kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $($variant(schema::$schema),)*
        }

        $(impl From<schema::$schema> for MetadataRecord {
            fn from(body: schema::$schema) -> MetadataRecord {
                MetadataRecord::$variant(body)
            }
        })*

        impl MetadataRecord {
            pub fn kind(&self) -> u32 {
                match self {
                    $(MetadataRecord::$variant(_) => $kind,)*
                }
            }

            fn encode_body(&self, out: &mut BytesMut, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(MetadataRecord::$variant(body) => body.encode(out, version),)*
                }
            }

            pub fn decode(value: Bytes) -> Result<MetadataRecord, RecordError> {
                let mut reader = Reader::new(value);
                let frame = reader.uvarint()?;
                if frame != FRAME_VERSION {
                    return Err(RecordError::FrameVersion(frame));
                }
                let kind = reader.uvarint()?;
                let version = reader.uvarint()?;
                let record = match kind {
                    $($kind => {
                        let known = i16::try_from(version)
                            .ok()
                            .filter(|version| schema::$schema::VERSIONS.contains(version));
                        let Some(known) = known else {
                            return Err(RecordError::Version { kind: schema::$schema::NAME, version });
                        };
                        MetadataRecord::$variant(schema::$schema::decode(&mut reader, known)?)
                    })*
                    _ => return Err(RecordError::Kind(kind)),
                };
                match reader.remaining() {
                    0 => Ok(record),
                    left => Err(RecordError::Trailing(left)),
                }
            }
        }
    };
}

records! {
    RegisterBroker = 0, RegisterBrokerRecord;
    UnregisterBroker = 1, UnregisterBrokerRecord;
    Topic = 2, TopicRecord;
    Partition = 3, PartitionRecord;
    Config = 4, ConfigRecord;
    PartitionChange = 5, PartitionChangeRecord;
    FenceBroker = 7, FenceBrokerRecord;
    UnfenceBroker = 8, UnfenceBrokerRecord;
    RemoveTopic = 9, RemoveTopicRecord;
    DelegationToken = 10, DelegationTokenRecord;
    UserScramCredential = 11, UserScramCredentialRecord;
    FeatureLevel = 12, FeatureLevelRecord;
    ClientQuota = 14, ClientQuotaRecord;
    ProducerIds = 15, ProducerIdsRecord;
    BrokerRegistrationChange = 17, BrokerRegistrationChangeRecord;
    AccessControlEntry = 18, AccessControlEntryRecord;
    RemoveAccessControlEntry = 19, RemoveAccessControlEntryRecord;
    NoOp = 20, NoOpRecord;
    ZkMigrationState = 21, ZkMigrationStateRecord;
    RemoveUserScramCredential = 22, RemoveUserScramCredentialRecord;
    BeginTransaction = 23, BeginTransactionRecord;
    EndTransaction = 24, EndTransactionRecord;
    AbortTransaction = 25, AbortTransactionRecord;
    RemoveDelegationToken = 26, RemoveDelegationTokenRecord;
    RegisterController = 27, RegisterControllerRecord;
    ClearElr = 28, ClearElrRecord;
}

impl MetadataRecord {
    /// The value of the log's record, as a cluster of `metadata.version` `level` understands it. What only
    /// later levels can say is left out.
    pub fn encode(&self, level: i16) -> Result<Bytes, EncodeError> {
        let version = self.version_at(level);
        let is_newest = version == self.version_at(i16::MAX);
        let mut out = BytesMut::new();
        writer::uvarint(&mut out, FRAME_VERSION);
        writer::uvarint(&mut out, self.kind());
        writer::uvarint(&mut out, version.unsigned_abs().into());
        if is_newest {
            self.encode_body(&mut out, version)?;
        } else {
            let earlier = self.without_later_fields(version);
            earlier.encode_body(&mut out, version)?;
        }
        Ok(out.freeze())
    }

    /// `MetadataVersion.*RecordVersion`; kinds that are not named have one version.
    fn version_at(&self, level: i16) -> i16 {
        let has = |change| i16::from(level >= change);
        match self {
            MetadataRecord::RegisterBroker(_) => {
                1 + has(MIGRATION) + has(DIRECTORIES) + has(CORDONED)
            }
            MetadataRecord::BrokerRegistrationChange(_) => 1 + has(DIRECTORIES) + has(CORDONED),
            MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
                has(DIRECTORIES) + has(ELIGIBLE_LEADERS)
            }
            _ => 0,
        }
    }

    /// The record without what came after `version`.
    fn without_later_fields(&self, version: i16) -> MetadataRecord {
        let mut earlier = self.clone();
        match &mut earlier {
            MetadataRecord::RegisterBroker(it) => {
                it.cordoned_log_dirs.take_if(|_| version < 4);
                it.log_dirs.retain(|_| version >= 3);
            }
            MetadataRecord::BrokerRegistrationChange(it) => {
                it.cordoned_log_dirs.take_if(|_| version < 3);
                it.log_dirs.retain(|_| version >= 2);
            }
            MetadataRecord::Partition(it) => {
                it.eligible_leader_replicas.take_if(|_| version < 2);
                it.last_known_elr.take_if(|_| version < 2);
                it.directories.retain(|_| version >= 1);
            }
            MetadataRecord::PartitionChange(it) => {
                it.eligible_leader_replicas.take_if(|_| version < 2);
                it.last_known_elr.take_if(|_| version < 2);
                it.directories.take_if(|_| version < 1);
            }
            _ => {}
        }
        earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Uuid;

    /// A log of an older cluster got records that its other nodes could not read.
    #[test]
    fn a_record_says_no_more_than_the_metadata_version_can() {
        let record = MetadataRecord::from(schema::PartitionRecord {
            partition_id: 0,
            replicas: vec![1],
            directories: vec![Uuid::from_bytes([1; 16])],
            eligible_leader_replicas: Some(vec![1]),
            ..schema::PartitionRecord::default()
        });
        let said_at = |level| {
            let value = record.encode(level).unwrap();
            let version = value[2];
            let MetadataRecord::Partition(said) = MetadataRecord::decode(value).unwrap() else {
                panic!("another kind");
            };
            let has_eligible = said.eligible_leader_replicas.is_some();
            (version, said.directories.len(), has_eligible)
        };
        assert_eq!(said_at(16), (0, 0, false));
        assert_eq!(said_at(22), (1, 1, false));
        assert_eq!(said_at(23), (2, 1, true));
    }
}
