//! A request: one byte of API key, one of version, then the body. What reads must be written, and
//! what was written must read to the same bytes again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::{Corpus, fuzz_target};
use ottla::protocol::{Reader, RequestHeader};
use ottla_protocol_tests::codec::{Codec, Failure};
use ottla_protocol_tests::generated::MESSAGES;
use std::sync::LazyLock;

static REQUESTS: LazyLock<Vec<&Codec>> = LazyLock::new(|| {
    MESSAGES
        .iter()
        .filter(|codec| codec.name.ends_with("Request"))
        .collect()
});

fuzz_target!(|data: &[u8]| -> Corpus {
    // The same bytes as a frame: the header is read before anything is known of its sender.
    let _ = RequestHeader::parse(&mut Reader::new(Bytes::copy_from_slice(data)));

    let [key, version, body @ ..] = data else {
        return Corpus::Reject;
    };
    let Some(codec) = REQUESTS
        .iter()
        .find(|codec| codec.key == Some(i16::from(*key)))
    else {
        return Corpus::Reject;
    };
    let version = i16::from(*version);
    if !codec.versions().contains(&version) {
        return Corpus::Reject;
    }
    match (codec.rewrite)(Bytes::copy_from_slice(body), version) {
        Err(Failure::Decode(_)) => {}
        Err(Failure::Encode(why)) => panic!("{} v{version}: {why}", codec.name),
        Ok(written) => {
            let again = (codec.rewrite)(written.clone().into(), version);
            assert_eq!(again.as_ref(), Ok(&written), "{} v{version}", codec.name);
        }
    }
    Corpus::Keep
});
