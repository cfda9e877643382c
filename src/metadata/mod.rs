//! What the cluster has agreed on: metadata records, and the image that they fold into.
//!
//! **Invariant:** an image never changes. A new one is made by applying records and is swapped in
//! whole; whoever holds the old one goes on seeing a consistent past.

mod delta;
mod features;
mod image;
mod kept;
mod record;
mod snapshot;

pub use delta::{Delta, MetadataListener};
pub use features::{
    ELIGIBLE_LEADER_REPLICAS, METADATA_VERSION, METADATA_VERSION_NAME, SUPPORTED_FEATURES,
    SupportedFeature, UNSUPPORTED_FEATURES, metadata_changed_between,
};
pub use image::{
    ApplyError, BrokerImage, ConfigKind, ConfigResource, EndpointImage, ImageHandle, MetadataImage,
    PartitionImage, TopicImage,
};
pub use record::{MetadataRecord, RecordError};
