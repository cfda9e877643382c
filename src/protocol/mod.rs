//! Kafka's wire protocol: types, encoders and decoders of every message, all versions.
//!
//! The types under [`messages`] and the table in [`ApiKey`] are generated from `schemas/`; the rest
//! is what they are made of. Decoding is bounded: an array is believed only as far as the frame's
//! own bytes can hold it, and the memory that a frame may ask for follows from its size.
//!
//! **A new API, or a new release of Kafka:** `ottla-codegen import JAR…` brings `schemas/` up to
//! date, `ottla-codegen generate` the code; both are committed, and `ottla-codegen check` fails
//! while they disagree.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use ottla::protocol::messages::MetadataRequest;
//! use ottla::protocol::{Message, Reader};
//!
//! let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
//! let mut out = BytesMut::new();
//! request.encode(&mut out, 12)?;
//! let mut reader = Reader::new(out.freeze());
//! assert_eq!(MetadataRequest::decode(&mut reader, 12)?, request);
//! assert!(reader.is_empty());
//!
//! // Five bytes that claim four billion topics.
//! let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]));
//! assert!(MetadataRequest::decode(&mut reader, 12).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(clippy::indexing_slicing)]

mod api_key;
mod error_code;
mod header;
pub mod messages;
mod reader;
mod text;
mod wire;
pub mod writer;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub use header::{RequestHeader, ResponseHeader};
pub use reader::{DecodeError, DecodeReason, Reader, TEXT_LEN_MAX};
pub use text::Text;
pub use wire::{Message, Wire};
pub use writer::EncodeError;
