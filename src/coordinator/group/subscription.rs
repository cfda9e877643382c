//! The topics named in a member's subscription.
//!
//! The bytes belong to the clients, and the coordinator carries them unread, with one exception: to
//! know which offsets a live group still needs, it reads the topics, which every version of the
//! consumer protocol has first (`ConsumerProtocolSubscription` v0).

use bytes::{Buf, Bytes};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The group protocol type of consumers; only their subscriptions are read.
pub const CONSUMER: &str = "consumer";

/// The subscribed topics, or `None` if the bytes are no subscription.
///
/// ```text
/// 0..2  version, ≥ 0
/// 2..6  number of topics, then per topic: length i16, UTF-8
/// then  user data: length i32 (−1: none), bytes; later versions have more, which is not read
/// ```
pub fn topics(metadata: &Bytes) -> Option<BTreeSet<Arc<str>>> {
    let mut bytes = metadata.clone();
    if bytes.try_get_i16().ok()? < 0 {
        return None;
    }
    let count = bytes.try_get_i32().ok()?;
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let len = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if bytes.remaining() < len {
            return None;
        }
        topics.insert(std::str::from_utf8(&bytes.split_to(len)).ok()?.into());
    }
    let user_data_len = bytes.try_get_i32().ok()?;
    match usize::try_from(user_data_len) {
        Ok(len) if bytes.remaining() < len => None,
        Err(_) if user_data_len != -1 => None,
        _ => Some(topics),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Option<Vec<String>> {
        topics(&Bytes::copy_from_slice(bytes))
            .map(|topics| topics.iter().map(|topic| topic.to_string()).collect())
    }

    #[test]
    fn the_topics_of_every_version_are_read() {
        let v0 = b"\0\0\0\0\0\x02\0\x01b\0\x01a\xff\xff\xff\xff";
        assert_eq!(parse(v0), Some(vec!["a".into(), "b".into()]));
        let v3 = b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x02ud\0\0\0\0\xff\xff\xff\xff\xff\xff";
        assert_eq!(parse(v3), Some(vec!["t".into()]));
    }

    #[test]
    fn bytes_that_are_no_subscription_are_not_taken_for_one() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"\0\0\0\0\0\x02\0\x01b"), None);
        assert_eq!(parse(b"\0\0\x7f\xff\xff\xff"), None);
        assert_eq!(parse(b"\xff\xff\0\0\0\0\xff\xff\xff\xff"), None);
        assert_eq!(parse(b"\0\0\0\0\0\x01\0\x01\xc3\xff\xff\xff\xff"), None);
        assert_eq!(parse(b"\0\0\0\0\0\0\0\0\0\x05ab"), None);
    }
}
