//! A metadata record: which kind, in which version, and its fields.
//!
//! On the log each is the value of one record: unsigned varints for the frame's version (1), the
//! kind and the kind's version, then the body (`MetadataRecordSerde`).

use crate::protocol::messages as schema;
use crate::protocol::{DecodeError, EncodeError, Message, Reader, writer};
use bytes::{Bytes, BytesMut};

const FRAME_VERSION: u32 = 1;

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

/// Each line: the variant, its kind on the log, its schema, and the version that we write at
/// `metadata.version` 30 (`MetadataVersion.*RecordVersion`).
macro_rules! records {
    ($($variant:ident = $kind:literal, $schema:ident, $written:literal;)*) => {
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

            /// The value of the log's record.
            pub fn encode(&self) -> Result<Bytes, EncodeError> {
                let mut out = BytesMut::new();
                writer::uvarint(&mut out, FRAME_VERSION);
                writer::uvarint(&mut out, self.kind());
                match self {
                    $(MetadataRecord::$variant(body) => {
                        writer::uvarint(&mut out, $written);
                        body.encode(&mut out, $written)?;
                    })*
                }
                Ok(out.freeze())
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
    RegisterBroker = 0, RegisterBrokerRecord, 4;
    UnregisterBroker = 1, UnregisterBrokerRecord, 0;
    Topic = 2, TopicRecord, 0;
    Partition = 3, PartitionRecord, 2;
    Config = 4, ConfigRecord, 0;
    PartitionChange = 5, PartitionChangeRecord, 2;
    FenceBroker = 7, FenceBrokerRecord, 0;
    UnfenceBroker = 8, UnfenceBrokerRecord, 0;
    RemoveTopic = 9, RemoveTopicRecord, 0;
    DelegationToken = 10, DelegationTokenRecord, 0;
    UserScramCredential = 11, UserScramCredentialRecord, 0;
    FeatureLevel = 12, FeatureLevelRecord, 0;
    ClientQuota = 14, ClientQuotaRecord, 0;
    ProducerIds = 15, ProducerIdsRecord, 0;
    BrokerRegistrationChange = 17, BrokerRegistrationChangeRecord, 3;
    AccessControlEntry = 18, AccessControlEntryRecord, 0;
    RemoveAccessControlEntry = 19, RemoveAccessControlEntryRecord, 0;
    NoOp = 20, NoOpRecord, 0;
    ZkMigrationState = 21, ZkMigrationStateRecord, 0;
    RemoveUserScramCredential = 22, RemoveUserScramCredentialRecord, 0;
    BeginTransaction = 23, BeginTransactionRecord, 0;
    EndTransaction = 24, EndTransactionRecord, 0;
    AbortTransaction = 25, AbortTransactionRecord, 0;
    RemoveDelegationToken = 26, RemoveDelegationTokenRecord, 0;
    RegisterController = 27, RegisterControllerRecord, 0;
    ClearElr = 28, ClearElrRecord, 0;
}
