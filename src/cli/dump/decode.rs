//! Records in words: what the broker keeps in its own topics is decoded, the rest shown as text.

use crate::metadata::MetadataRecord;
use crate::protocol::messages as schema;
use crate::protocol::{DecodeError, Message, Reader};
use bytes::Bytes;
use std::fmt::Debug;
use std::io::{self, Write};
use std::path::Path;

/// How the records of a file are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// Keys and values of users.
    Plain,
    /// `__cluster_metadata` and its snapshots.
    Metadata,
    /// `__consumer_offsets`.
    Groups,
    /// `__transaction_state`.
    Transactions,
    /// `__share_group_state`.
    ShareGroups,
    /// Control batches of any log.
    Control,
}

impl Decoder {
    /// Goes by the directory's name, as `<topic>-<partition>`, and by the file's for snapshots.
    pub(super) fn for_file(path: &Path) -> Decoder {
        if path
            .extension()
            .is_some_and(|extension| extension == "checkpoint")
        {
            return Decoder::Metadata;
        }
        // A file named alone belongs to the directory one stands in; its name does not say which.
        let dir = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        let topic = dir
            .and_then(|name| name.rsplit_once('-'))
            .map(|(topic, _)| topic);
        match topic {
            Some("__cluster_metadata") => Decoder::Metadata,
            Some("__consumer_offsets") => Decoder::Groups,
            Some("__transaction_state") => Decoder::Transactions,
            Some("__share_group_state") => Decoder::ShareGroups,
            _ => Decoder::Plain,
        }
    }

    /// Writes a record in words; as bytes, with the reason, where it is not what it should be.
    pub(super) fn write(
        self,
        key: Option<&Bytes>,
        value: Option<&Bytes>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let words = match self {
            Decoder::Plain => None,
            Decoder::Metadata => value.map(|value| {
                MetadataRecord::decode(value.clone())
                    .map(|record| format!("{record:?}"))
                    .map_err(|error| error.to_string())
            }),
            Decoder::Groups => key.map(|key| read(groups, key, value)),
            Decoder::Transactions => key.map(|key| read(transactions, key, value)),
            Decoder::ShareGroups => key.map(|key| read(share_groups, key, value)),
            Decoder::Control => key.map(|key| control(key, value)),
        };
        match words {
            Some(Ok(words)) => write!(out, "{words}"),
            Some(Err(reason)) => {
                plain(key, value, out)?;
                write!(out, " (not decoded: {reason})")
            }
            None => plain(key, value, out),
        }
    }
}

fn plain(key: Option<&Bytes>, value: Option<&Bytes>, out: &mut dyn Write) -> io::Result<()> {
    for (name, bytes) in [("key", key), (" value", value)] {
        match bytes {
            Some(bytes) => write!(out, "{name}={}", text(bytes))?,
            None => write!(out, "{name}=null")?,
        }
    }
    Ok(())
}

/// Bytes between quotes; what is no printable text is escaped, so that a terminal is safe.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

type Words = Result<String, String>;

/// A reader of one kind of topic: kind of the record, rest of the key, value behind its version.
type Kinds = fn(i16, &mut Reader, Option<(i16, Reader)>) -> Option<Result<String, DecodeError>>;

/// Key: the kind as int16, then its fields. Value: the version as int16, then its fields.
fn read(kinds: Kinds, key: &Bytes, value: Option<&Bytes>) -> Words {
    let mut key = Reader::new(key.clone());
    let split = |value: &Bytes| {
        let mut value = Reader::new(value.clone());
        value.i16().map(|version| (version, value))
    };
    let kind = key.i16().map_err(|error| error.to_string())?;
    let value = value
        .map(split)
        .transpose()
        .map_err(|error| error.to_string())?;
    match kinds(kind, &mut key, value) {
        Some(words) => words.map_err(|error| error.to_string()),
        None => Err(format!("kind {kind} is not known")),
    }
}

fn pair<K: Message + Debug, V: Message + Debug>(
    key: &mut Reader,
    value: Option<(i16, Reader)>,
) -> Result<String, DecodeError> {
    let key = K::decode(key, 0)?;
    Ok(match value {
        Some((version, mut value)) => {
            format!(
                "{key:?} => v{version} {:?}",
                V::decode(&mut value, version)?
            )
        }
        None => format!("{key:?} => null"),
    })
}

/// The kinds of record of one topic: number, key and value.
macro_rules! kinds {
    ($name:ident: $($kind:literal => $key:ident, $value:ident;)*) => {
        fn $name(
            kind: i16,
            key: &mut Reader,
            value: Option<(i16, Reader)>,
        ) -> Option<Result<String, DecodeError>> {
            Some(match kind {
                $($kind => pair::<schema::$key, schema::$value>(key, value),)*
                _ => return None,
            })
        }
    };
}

kinds! { groups:
    0 => LegacyOffsetCommitKey, LegacyOffsetCommitValue;
    1 => OffsetCommitKey, OffsetCommitValue;
    2 => GroupMetadataKey, GroupMetadataValue;
    3 => ConsumerGroupMetadataKey, ConsumerGroupMetadataValue;
    4 => ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue;
    5 => ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue;
    6 => ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue;
    7 => ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue;
    8 => ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue;
    10 => ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue;
    11 => ShareGroupMetadataKey, ShareGroupMetadataValue;
    12 => ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue;
    13 => ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue;
    14 => ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue;
    15 => ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue;
    16 => ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue;
    17 => StreamsGroupMetadataKey, StreamsGroupMetadataValue;
    19 => StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue;
    20 => StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue;
    21 => StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue;
    22 => StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue;
    23 => StreamsGroupTopologyKey, StreamsGroupTopologyValue;
}

kinds! { transactions:
    0 => TransactionLogKey, TransactionLogValue;
}

kinds! { share_groups:
    0 => ShareSnapshotKey, ShareSnapshotValue;
    1 => ShareUpdateKey, ShareUpdateValue;
}

/// Key: a version, then the kind. Value: begins with its version, which the raft schemas count as a
/// field of the message, and transaction markers do not.
fn control(key: &Bytes, value: Option<&Bytes>) -> Words {
    fn words(key: &Bytes, value: Option<&Bytes>) -> Result<Option<String>, DecodeError> {
        let mut key = Reader::new(key.clone());
        let _version = key.i16()?;
        let kind = key.i16()?;
        let (mut all, mut rest) = match value {
            Some(value) => (Reader::new(value.clone()), Reader::new(value.clone())),
            None => return Ok(Some(format!("control {kind} => null"))),
        };
        let version = rest.i16()?;
        Ok(Some(match kind {
            0 => body::<schema::EndTxnMarker>("abort", version, &mut rest)?,
            1 => body::<schema::EndTxnMarker>("commit", version, &mut rest)?,
            2 => body::<schema::LeaderChangeMessage>("leader change", version, &mut all)?,
            3 => body::<schema::SnapshotHeaderRecord>("snapshot header", version, &mut all)?,
            4 => body::<schema::SnapshotFooterRecord>("snapshot footer", version, &mut all)?,
            5 => body::<schema::KRaftVersionRecord>("kraft version", version, &mut all)?,
            6 => body::<schema::VotersRecord>("voters", version, &mut all)?,
            _ => return Ok(None),
        }))
    }
    fn body<V: Message + Debug>(
        name: &str,
        version: i16,
        value: &mut Reader,
    ) -> Result<String, DecodeError> {
        Ok(format!(
            "{name} v{version} {:?}",
            V::decode(value, version)?
        ))
    }
    match words(key, value) {
        Ok(Some(words)) => Ok(words),
        Ok(None) => Err("a control record of a later release".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Text;
    use bytes::{BufMut, BytesMut};

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the tests make what they hand over"
    )]
    fn shown(decoder: Decoder, key: Option<Bytes>, value: Option<Bytes>) -> String {
        let mut out = Vec::new();
        decoder
            .write(key.as_ref(), value.as_ref(), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    fn numbered(number: i16, message: &impl Message, version: i16) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(number);
        message.encode(&mut out, version).unwrap();
        out.freeze()
    }

    #[test]
    fn the_directory_says_how_to_read() {
        for (path, decoder) in [
            ("/d/__consumer_offsets-12/0.log", Decoder::Groups),
            ("/d/__cluster_metadata-0/0.log", Decoder::Metadata),
            ("/d/bootstrap.checkpoint", Decoder::Metadata),
            ("/d/my-topic-0/0.log", Decoder::Plain),
            ("0.log", Decoder::Plain),
        ] {
            assert_eq!(Decoder::for_file(Path::new(path)), decoder, "{path}");
        }
    }

    #[test]
    fn users_records_are_text_that_cannot_harm_a_terminal() {
        let line = shown(
            Decoder::Plain,
            None,
            Some(Bytes::from_static(b"a\x1b[2J\"")),
        );
        assert_eq!(line, "key=null value=\"a\\u{1b}[2J\\\"\"");
        assert_eq!(text(b"\xff\x00"), "\"\\xff\\x00\"");
    }

    #[test]
    fn a_committed_offset_is_decoded() {
        let key = schema::OffsetCommitKey {
            group: Text::from("g"),
            topic: Text::from("t"),
            partition: 3,
        };
        let value = schema::OffsetCommitValue {
            offset: 42,
            ..Default::default()
        };
        let key = numbered(1, &key, 0);
        let line = shown(
            Decoder::Groups,
            Some(key.clone()),
            Some(numbered(4, &value, 4)),
        );
        assert!(
            line.contains("partition: 3") && line.contains("offset: 42"),
            "{line}"
        );
        assert!(shown(Decoder::Groups, Some(key), None).ends_with("=> null"));
    }

    #[test]
    fn what_is_not_as_expected_is_shown_as_it_is() {
        let line = shown(Decoder::Groups, Some(Bytes::from_static(&[0, 99])), None);
        assert_eq!(
            line,
            "key=\"\\0c\" value=null (not decoded: kind 99 is not known)"
        );
        let line = shown(Decoder::Metadata, None, Some(Bytes::from_static(b"x")));
        assert!(
            line.starts_with("key=null value=\"x\" (not decoded: "),
            "{line}"
        );
    }
}
