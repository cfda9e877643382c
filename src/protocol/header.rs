//! The header in front of every request and response, and which version of it an API uses.

use super::{ApiKey, DecodeError, DecodeReason, Message, Reader};

pub use super::messages::{RequestHeader, ResponseHeader};

impl ApiKey {
    /// The version of the header in front of a request. In version 2 the client id keeps its plain
    /// two-byte length; only the tagged fields behind it are new.
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the header in front of a response. ApiVersions never has tagged fields
    /// there: its client does not know yet what the broker understands (KIP-511).
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            ApiKey::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

impl RequestHeader {
    /// Reads the header of a request and leaves the reader at its body. The version is not checked
    /// against what is served: an ApiVersions request of a newer release has to be answered.
    ///
    /// An error also for a key that the release does not know; Kafka closes the connection then.
    pub fn parse(r: &mut Reader) -> Result<(ApiKey, RequestHeader), DecodeError> {
        let mut ahead = Reader::new(r.rest());
        let key = ApiKey::from_code(ahead.i16()?).ok_or(r.error(DecodeReason::ApiKey))?;
        let version = ahead.i16()?;
        Ok((
            key,
            RequestHeader::decode(r, key.request_header_version(version))?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};

    #[test]
    fn the_answer_to_api_versions_never_has_tagged_fields_in_its_header() {
        assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
        assert_eq!(ApiKey::ApiVersions.response_header_version(3), 0);
        assert_eq!(ApiKey::Metadata.response_header_version(9), 1);
        assert_eq!(ApiKey::Metadata.response_header_version(8), 0);
        assert_eq!(ApiKey::SaslHandshake.request_header_version(1), 1);
    }

    #[test]
    fn the_client_id_keeps_its_plain_length_in_a_flexible_header() {
        let frame = b"\x00\x03\x00\x0c\x00\x00\x00\x07\x00\x02me\x00body";
        let mut reader = Reader::new(Bytes::from_static(frame));
        let (key, header) = RequestHeader::parse(&mut reader).unwrap();
        assert_eq!((key, header.request_api_version), (ApiKey::Metadata, 12));
        assert_eq!(
            (header.correlation_id, header.client_id.as_deref()),
            (7, Some("me"))
        );
        assert_eq!(&reader.rest()[..], b"body");
        let mut out = BytesMut::new();
        header.encode(&mut out, 2).unwrap();
        assert_eq!(out, frame[..frame.len() - 4]);
    }

    #[test]
    fn a_key_that_no_release_has_is_refused_and_a_newer_version_is_not() {
        let parse = |bytes: &'static [u8]| RequestHeader::parse(&mut Reader::new(bytes.into()));
        let error = parse(b"\x7f\x00\x00\x00\x00\x00\x00\x00\xff\xff").unwrap_err();
        assert_eq!(error.reason, DecodeReason::ApiKey);
        let (key, header) = parse(b"\x00\x12\x00\x63\x00\x00\x00\x01\xff\xff\x00").unwrap();
        assert_eq!(
            (key, header.request_api_version, header.client_id),
            (ApiKey::ApiVersions, 99, None)
        );
    }
}
