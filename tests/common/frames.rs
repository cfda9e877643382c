//! Requests as bytes: for a client that keeps to the protocol, and for one that does not.

use bytes::{BufMut, Bytes, BytesMut};
use ottla::protocol::messages::RequestHeader;
use ottla::protocol::{ApiKey, Message, Reader, Text};

/// The client id that the tests' clients give.
const CLIENT_ID: &str = "test";

/// A request with its header and length, ready to send.
pub(crate) fn frame<Q: Message>(request: &Q, version: i16, correlation_id: i32) -> Bytes {
    let key = key_of::<Q>();
    let header = RequestHeader {
        request_api_key: key as i16,
        request_api_version: version,
        correlation_id,
        client_id: Some(Text::from(CLIENT_ID)),
    };
    let mut body = BytesMut::new();
    header
        .encode(&mut body, key.request_header_version(version))
        .unwrap();
    request.encode(&mut body, version).unwrap();
    with_length(&body)
}

/// `body` behind its length.
pub(crate) fn with_length(body: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(4 + body.len());
    framed.put_u32(u32::try_from(body.len()).unwrap());
    framed.extend_from_slice(body);
    framed.freeze()
}

/// A request header alone, of any key and version, without a length.
pub(crate) fn header(key: i16, version: i16, header_version: i16) -> Vec<u8> {
    let header = RequestHeader {
        request_api_key: key,
        request_api_version: version,
        correlation_id: 1,
        client_id: None,
    };
    let mut out = BytesMut::new();
    header.encode(&mut out, header_version).unwrap();
    out.to_vec()
}

/// Reads a response without its length; panics if it is not the one awaited.
pub(crate) fn response<R: Message>(frame: Bytes, version: i16, correlation_id: i32) -> R {
    let key = key_of::<R>();
    let mut reader = Reader::new(frame);
    assert_eq!(reader.i32().unwrap(), correlation_id, "answers in order");
    if key.response_header_version(version) >= 1 {
        reader.skip_tags().unwrap();
    }
    let response = R::decode(&mut reader, version).unwrap();
    assert!(reader.is_empty(), "{} has bytes left", R::NAME);
    response
}

pub(crate) fn key_of<M: Message>() -> ApiKey {
    M::API_KEY
        .and_then(ApiKey::from_code)
        .expect("a request or response")
}
