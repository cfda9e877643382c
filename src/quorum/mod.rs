//! Agreement on the metadata log. A record is in the image only once the quorum has it.

mod load;
mod single;
mod snapshot;

pub use load::LoadError;
pub use single::SingleQuorum;

use crate::config::MetadataLogConfig;
use crate::log::{LargerThanSegment, LogConfig};
use crate::metadata::{ApplyError, MetadataRecord};
use crate::protocol::{EncodeError, Message};
use crate::types::{LeaderEpoch, NodeId, Offset, Uuid};
use bytes::BytesMut;
use std::future::Future;
use std::pin::Pin;

/// The one way to change metadata.
pub trait MetadataQuorum: Send + Sync + 'static {
    /// Appends `records` as one batch: all of them or none. Returns once they are durable, folded
    /// into the image, and acted upon by this broker.
    fn append(
        &self,
        records: Vec<MetadataRecord>,
    ) -> Pin<Box<dyn Future<Output = Result<(), QuorumError>> + Send + '_>>;

    /// The offset that the next record gets.
    fn end(&self) -> Offset;

    /// Who leads the quorum, and since which epoch.
    fn leader(&self) -> (NodeId, LeaderEpoch);

    /// The quorum as administrators see it.
    fn status(&self) -> QuorumStatus;
}

/// What the metadata log's own log obeys. What is old goes with its snapshots, never by itself.
pub fn log_config(config: &MetadataLogConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes,
        larger_than_segment: LargerThanSegment::Alone,
        segment_ms: config.segment_ms,
        retention_ms: -1,
        file_delete_delay_ms: config.file_delete_delay_ms,
        ..LogConfig::default()
    }
}

/// The value of a control record; all of them have one version.
fn control_value(message: &impl Message) -> Result<BytesMut, EncodeError> {
    let mut value = BytesMut::new();
    message.encode(&mut value, 0)?;
    Ok(value)
}

/// A quorum's leader, and how far each node has the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    pub leader: NodeId,
    pub epoch: LeaderEpoch,
    /// Everything below is agreed upon.
    pub high_watermark: Offset,
    pub voters: Vec<VoterStatus>,
}

/// One node that votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterStatus {
    pub id: NodeId,
    /// The directory that its log lies in.
    pub directory: Uuid,
    pub log_end: Offset,
}

/// Why metadata was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QuorumError {
    #[error("the metadata log could not be written: {0}")]
    Storage(String),
    #[error("the records contradict the metadata: {0}")]
    Apply(#[from] ApplyError),
    #[error("a record cannot be encoded: {0}")]
    Encode(String),
    #[error("the broker is stopping")]
    Stopping,
}
