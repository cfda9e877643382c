//! What a client may send, and what becomes of it.

use super::control::{EndMarker, TransactionResult, end_transaction};
use super::*;
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::{BufMut, Bytes, BytesMut};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];

fn rules() -> ProduceRules {
    ProduceRules {
        now: NOW,
        bytes_max: 1_048_588,
        timestamps: TimestampRules {
            kind: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
        },
        keys: Keys::Optional,
        compression: TargetCompression::Producer,
        zstd: ZstdUse::Allowed,
        decode: DecodeLimits::default(),
    }
}

fn compacted() -> ProduceRules {
    ProduceRules {
        keys: Keys::Required,
        ..rules()
    }
}

fn with_codec(codec: Codec) -> BatchOptions {
    BatchOptions {
        compression: Compression::of(codec),
        ..BatchOptions::default()
    }
}

/// Records with a key, a millisecond apart.
fn batch(options: BatchOptions, count: i64) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for index in 0..count {
        builder.push(
            NOW.plus_ms(index),
            NewRecord {
                key: Some(b"key"),
                value: Some(format!("value {index}").as_bytes()),
                headers: &[(b"name", Some(b"value")), (b"none", None)],
            },
        );
    }
    builder.build().unwrap().to_bytes()
}

fn keyless(codec: Codec, keyless: &[usize]) -> Bytes {
    let mut builder = BatchBuilder::new(with_codec(codec));
    for index in 0..4 {
        builder.push(
            NOW,
            NewRecord {
                key: (!keyless.contains(&index)).then_some(&b"key"[..]),
                ..NewRecord::default()
            },
        );
    }
    builder.build().unwrap().to_bytes()
}

/// Changes the header and makes the CRC right again.
fn changed(bytes: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::decode(bytes.first_chunk().unwrap());
    change(&mut header);
    header.crc = header.crc_with(&bytes[BATCH_HEADER_LEN..]);
    let mut out = BytesMut::from(&header.encode()[..]);
    out.extend_from_slice(&bytes[BATCH_HEADER_LEN..]);
    out.freeze()
}

fn refused(bytes: &Bytes, rules: &ProduceRules) -> InvalidBatch {
    ValidBatch::parse(bytes, rules).expect_err("the batch should be refused")
}

#[test]
fn a_good_batch_is_kept_byte_for_byte_in_every_codec() {
    for codec in CODECS {
        let sent = batch(with_codec(codec), 20);
        for rules in [rules(), compacted()] {
            let valid = ValidBatch::parse(&sent, &rules).unwrap();
            assert_eq!(valid.to_bytes(), sent, "{codec:?}");
            assert_eq!(valid.size(), sent.len());
            assert_eq!(valid.origin(), Origin::Client);
            let records: Vec<Record> = valid
                .records(DecodeLimits::default())
                .map(Result::unwrap)
                .collect();
            assert_eq!(records.len(), 20);
            assert_eq!(records[7].offset, Offset(7));
            assert_eq!(records[7].timestamp, NOW.plus_ms(7));
            assert_eq!(records[7].value.as_deref(), Some(&b"value 7"[..]));
            assert_eq!(records[7].headers[0].key, &b"name"[..]);
            assert_eq!(records[7].headers[1].value, None);
        }
    }
}

#[test]
fn the_body_is_shared_with_the_frame_it_came_in() {
    let sent = batch(BatchOptions::default(), 3);
    let valid = ValidBatch::parse(&sent, &rules()).unwrap();
    assert_eq!(valid.body().as_ptr(), sent[BATCH_HEADER_LEN..].as_ptr());
}

#[test]
fn there_must_be_one_batch_and_only_one() {
    let one = batch(BatchOptions::default(), 1);
    assert!(matches!(
        refused(&Bytes::new(), &rules()),
        InvalidBatch::NoBatch
    ));
    let cut = one.slice(..one.len() - 1);
    assert!(matches!(refused(&cut, &rules()), InvalidBatch::NoBatch));
    let two: Bytes = [&one[..], &one[..]].concat().into();
    assert!(matches!(
        refused(&two, &rules()),
        InvalidBatch::MoreThanOneBatch
    ));
    // Kafka trims what is no whole batch.
    let trailing: Bytes = [&one[..], &one[..20]].concat().into();
    assert_eq!(
        ValidBatch::parse(&trailing, &rules()).unwrap().to_bytes(),
        one
    );
}

#[test]
fn old_formats_are_recognised_and_refused() {
    for magic in [0, 1] {
        let mut old = BytesMut::new();
        old.put_i64(0);
        old.put_i32(22);
        old.put_u32(0);
        old.put_i8(magic);
        old.put_bytes(0, 40);
        assert!(matches!(
            refused(&old.freeze(), &rules()),
            InvalidBatch::OldMagic(found) if found == magic
        ));
    }
}

#[test]
fn a_wrong_crc_or_length_is_corrupt() {
    let good = batch(BatchOptions::default(), 2);
    for position in [17, 21, 30, 60, good.len() - 1] {
        let mut bytes = good.to_vec();
        bytes[position] ^= 1;
        assert!(
            matches!(
                refused(&bytes.into(), &rules()),
                InvalidBatch::Corrupt(BatchError::Crc { .. })
            ),
            "byte {position}"
        );
    }
    for length in [-1, 0, 13, 20, 48] {
        let mut bytes = good.to_vec();
        bytes[8..12].copy_from_slice(&i32::to_be_bytes(length));
        assert!(
            matches!(
                refused(&bytes.into(), &rules()),
                InvalidBatch::Corrupt(BatchError::Length(_))
            ),
            "length {length}"
        );
    }
}

#[test]
fn offsets_counts_and_sequences_must_agree() {
    let good = batch(BatchOptions::default(), 3);
    let refusal = |change: fn(&mut BatchHeader)| refused(&changed(&good, change), &rules());
    assert!(matches!(
        refusal(|header| header.base_offset = Offset(1)),
        InvalidBatch::BaseOffset(1)
    ));
    for change in [
        (|header| header.last_offset_delta = 1) as fn(&mut BatchHeader),
        |header| header.last_offset_delta = -1,
        |header| header.records_count = 0,
        |header| header.records_count = -1,
        |header| (header.last_offset_delta, header.records_count) = (i32::MAX, i32::MIN),
    ] {
        assert!(matches!(refusal(change), InvalidBatch::OffsetRange { .. }));
    }
    for (delta, count) in [(1, 2), (3, 4)] {
        let lying = changed(&good, |header| {
            (header.last_offset_delta, header.records_count) = (delta, count);
        });
        assert!(matches!(
            refused(&lying, &rules()),
            InvalidBatch::Malformed(_)
        ));
    }
    assert!(matches!(
        refusal(|header| header.producer_id = ProducerId(5)),
        InvalidBatch::Sequence(-1)
    ));
}

#[test]
fn clients_may_not_write_control_batches_or_leader_timestamps() {
    let marker = end_transaction(
        ProducerId(1),
        ProducerEpoch(0),
        EndMarker {
            result: TransactionResult::Commit,
            coordinator_epoch: 0,
        },
        TransactionVersion::V1,
        NOW,
    );
    assert!(matches!(
        refused(&marker.to_bytes(), &rules()),
        InvalidBatch::Control
    ));
    let stamped = batch(
        BatchOptions {
            timestamp_type: TimestampType::LogAppendTime,
            ..BatchOptions::default()
        },
        1,
    );
    let mut stamping = rules();
    stamping.timestamps.kind = TimestampType::LogAppendTime;
    assert!(matches!(
        refused(&stamped, &stamping),
        InvalidBatch::LogAppendTimeType
    ));
    // A producer's mistake where its time counts anyway: taken, and put right.
    let taken = ValidBatch::parse(&stamped, &rules()).unwrap();
    assert_eq!(taken.log_append_time(), None);
}

#[test]
fn the_size_limit_is_that_of_the_bytes_on_disk() {
    let sent = batch(BatchOptions::default(), 50);
    let limit = |bytes_max| ProduceRules {
        bytes_max,
        ..rules()
    };
    assert!(ValidBatch::parse(&sent, &limit(sent.len())).is_ok());
    assert!(matches!(
        refused(&sent, &limit(sent.len() - 1)),
        InvalidBatch::TooLarge { .. }
    ));
    // Checked again when the topic wants another codec.
    let packed = batch(with_codec(Codec::Zstd), 50);
    let unpacked = ProduceRules {
        compression: TargetCompression::Always(Compression::NONE),
        ..limit(packed.len() + 100)
    };
    assert!(matches!(
        refused(&packed, &unpacked),
        InvalidBatch::TooLarge { .. }
    ));
}

#[test]
fn codecs_that_the_version_or_nobody_knows_are_refused() {
    let zstd = batch(with_codec(Codec::Zstd), 1);
    let old_version = ProduceRules {
        zstd: ZstdUse::Refused,
        ..rules()
    };
    assert!(matches!(
        refused(&zstd, &old_version),
        InvalidBatch::ZstdNotAllowed
    ));
    let unknown = changed(&zstd, |header| header.attributes = Attributes(6));
    assert!(matches!(
        refused(&unknown, &rules()),
        InvalidBatch::UnknownCodec(6)
    ));
}

#[test]
fn a_compacted_topic_names_each_record_without_a_key() {
    for codec in CODECS {
        let sent = keyless(codec, &[1, 3]);
        assert!(ValidBatch::parse(&sent, &rules()).is_ok());
        match refused(&sent, &compacted()) {
            InvalidBatch::Records { fault, errors } => {
                assert_eq!(fault, RecordFault::Record);
                let indexes: Vec<i32> = errors.iter().map(|error| error.index).collect();
                assert_eq!(indexes, [1, 3], "{codec:?}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn timestamps_out_of_bounds_are_refused_with_their_records() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for ms in [0, 3_600_001, 3_600_000] {
        builder.push(NOW.plus_ms(ms), NewRecord::default());
    }
    let sent = builder.build().unwrap().to_bytes();
    match refused(&sent, &rules()) {
        InvalidBatch::Records { fault, errors } => {
            assert_eq!(fault, RecordFault::Timestamp);
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].index, 1);
        }
        other => panic!("{other}"),
    }
    let mut bounded = rules();
    bounded.timestamps.before_max_ms = 10;
    let old = |ms| {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.push(Timestamp(ms), NewRecord::default());
        builder.build().unwrap().to_bytes()
    };
    assert!(ValidBatch::parse(&old(NOW.0 - 10), &bounded).is_ok());
    assert!(ValidBatch::parse(&old(NOW.0 - 11), &bounded).is_err());
    // −1 says that the record has no time.
    assert!(ValidBatch::parse(&old(-1), &bounded).is_ok());
}

#[test]
fn a_compressed_batch_is_judged_by_its_header_where_nobody_looks_inside() {
    let sent = batch(with_codec(Codec::Lz4), 3);
    let late = changed(&sent, |header| {
        header.max_timestamp = NOW.plus_ms(3_600_001)
    });
    assert!(matches!(
        refused(&late, &rules()),
        InvalidBatch::Timestamp { .. }
    ));
    let mut broken = sent.to_vec();
    broken[BATCH_HEADER_LEN] ^= 0xff; // the first byte of the lz4 frame
    let broken = changed(&broken.into(), |_| {});
    assert!(ValidBatch::parse(&broken, &rules()).is_ok());
    assert!(matches!(
        refused(&broken, &compacted()),
        InvalidBatch::Undecodable(_) | InvalidBatch::Malformed(_)
    ));
}

#[test]
fn a_header_that_lies_about_the_largest_timestamp_is_put_right() {
    let sent = batch(BatchOptions::default(), 3);
    let lying = changed(&sent, |header| header.max_timestamp = Timestamp(5));
    assert_eq!(
        ValidBatch::parse(&lying, &rules()).unwrap().to_bytes(),
        sent
    );
}

#[test]
fn the_leaders_time_takes_the_place_of_the_producers() {
    for codec in [Codec::None, Codec::Gzip] {
        let mut stamped = rules();
        stamped.timestamps.kind = TimestampType::LogAppendTime;
        stamped.timestamps.after_max_ms = 0;
        stamped.now = Timestamp(77);
        let valid = ValidBatch::parse(&batch(with_codec(codec), 3), &stamped).unwrap();
        assert_eq!(valid.log_append_time(), Some(Timestamp(77)));
        let mut bytes = valid.to_bytes();
        let stored = Batch::split_off(&mut bytes).unwrap().unwrap();
        stored.check_crc().unwrap();
        for record in stored.records(DecodeLimits::default()) {
            assert_eq!(record.unwrap().timestamp, Timestamp(77));
        }
    }
}

#[test]
fn a_topic_with_a_codec_of_its_own_repacks_and_keeps_everything_else() {
    let options = |codec| BatchOptions {
        producer: ProducerStamp {
            id: ProducerId(3),
            epoch: ProducerEpoch(2),
            base_sequence: 9,
        },
        transactional: true,
        ..with_codec(codec)
    };
    for from in CODECS {
        for to in CODECS {
            let sent = batch(options(from), 30);
            let wanted = ProduceRules {
                compression: TargetCompression::Always(Compression::of(to)),
                ..rules()
            };
            let valid = ValidBatch::parse(&sent, &wanted).unwrap();
            let header = valid.header();
            assert_eq!(header.attributes.codec(), Some(to));
            assert!(header.attributes.is_transactional());
            assert_eq!(header.producer_id, ProducerId(3));
            assert_eq!(header.base_sequence, 9);
            assert_eq!(valid.origin(), Origin::Client);
            let mut bytes = valid.to_bytes();
            let stored = Batch::split_off(&mut bytes).unwrap().unwrap();
            stored.check_crc().unwrap();
            let kept: Vec<Record> = stored
                .records(DecodeLimits::default())
                .map(Result::unwrap)
                .collect();
            let mut sent = sent;
            let sent = Batch::split_off(&mut sent).unwrap().unwrap();
            let given: Vec<Record> = sent
                .records(DecodeLimits::default())
                .map(Result::unwrap)
                .collect();
            assert_eq!(kept, given, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn offset_deltas_that_do_not_count_up_are_put_right() {
    // Each of these records says that it is the first.
    let one = batch(BatchOptions::default(), 1);
    let record = &one[BATCH_HEADER_LEN..];
    let header = BatchHeader::decode(one.first_chunk().unwrap());
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&header.encode());
    for _ in 0..3 {
        bytes.extend_from_slice(record);
    }
    let odd = changed(&bytes.freeze(), |header| {
        header.length = i32::try_from(49 + record.len() * 3).unwrap();
        (header.last_offset_delta, header.records_count) = (2, 3);
    });
    let valid = ValidBatch::parse(&odd, &rules()).unwrap();
    let offsets: Vec<i64> = valid
        .records(DecodeLimits::default())
        .map(|record| record.unwrap().offset.0)
        .collect();
    assert_eq!(offsets, [0, 1, 2]);
}

#[test]
fn a_bomb_is_refused_within_its_budget() {
    let zeros = vec![0; 10_000_000];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new(with_codec(codec));
        builder.push(
            NOW,
            NewRecord {
                key: Some(b"key"),
                value: Some(&zeros),
                headers: &[],
            },
        );
        let sent = builder.build().unwrap().to_bytes();
        let bounded = ProduceRules {
            decode: DecodeLimits {
                bytes_max: 1_000_000,
            },
            ..compacted()
        };
        assert!(
            matches!(
                refused(&sent, &bounded),
                InvalidBatch::DecodedTooLarge { .. }
            ),
            "{codec:?}"
        );
    }
}

#[test]
fn if_any_record_breaks_the_time_bounds_that_is_the_answer_for_all() {
    let keyed = |key, ms| {
        let record = NewRecord {
            key,
            ..NewRecord::default()
        };
        (NOW.plus_ms(ms), record)
    };
    let (early, good) = (4_000_000, 0);
    let refusal = |records: &[(Timestamp, NewRecord<'_>)]| {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for (timestamp, record) in records {
            builder.push(*timestamp, *record);
        }
        match refused(&builder.build().unwrap().to_bytes(), &compacted()) {
            InvalidBatch::Records { fault, errors } => (fault, errors.len()),
            other => panic!("{other}"),
        }
    };
    let key = Some(&b"key"[..]);
    assert_eq!(
        refusal(&[keyed(None, good), keyed(key, early), keyed(key, good)]),
        (RecordFault::Timestamp, 2)
    );
    // Of one record only the first fault counts.
    assert_eq!(
        refusal(&[keyed(None, early), keyed(key, good)]),
        (RecordFault::Record, 1)
    );
}

#[test]
fn another_level_of_the_same_codec_repacks_nothing() {
    let sent = batch(with_codec(Codec::Gzip), 30);
    let other_level = ProduceRules {
        compression: TargetCompression::Always(Compression {
            codec: Codec::Gzip,
            level: Some(1),
        }),
        ..rules()
    };
    let valid = ValidBatch::parse(&sent, &other_level).unwrap();
    assert_eq!(valid.to_bytes(), sent);
}

#[test]
fn a_repacked_batch_has_the_leaders_time_where_the_topic_wants_it() {
    let mut stamped = ProduceRules {
        compression: TargetCompression::Always(Compression::of(Codec::Zstd)),
        ..rules()
    };
    stamped.timestamps.kind = TimestampType::LogAppendTime;
    let valid = ValidBatch::parse(&batch(with_codec(Codec::Gzip), 3), &stamped).unwrap();
    assert_eq!(valid.log_append_time(), Some(stamped.now));
    for record in valid.records(DecodeLimits::default()) {
        assert_eq!(record.unwrap().timestamp, stamped.now);
    }
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(bytes);
            let _ = ValidBatch::parse(&bytes, &compacted());
            for batch in Batches::of(bytes).flatten() {
                let _ = batch.records(DecodeLimits { bytes_max: 10_000 }).count();
            }
        }

        #[test]
        fn a_good_batch_with_any_byte_changed_gives_an_answer(
            codec in 0..5usize,
            position in 0..400usize,
            value in any::<u8>(),
        ) {
            let mut bytes = batch(with_codec(CODECS[codec]), 6).to_vec();
            let position = position % bytes.len();
            bytes[position] = value;
            // With the CRC made right again, so that what is behind it is reached too.
            if bytes.len() >= BATCH_HEADER_LEN {
                let crc = crc32c::crc32c(&bytes[BATCH_CRC_START..]);
                bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            }
            if let Ok(valid) = ValidBatch::parse(&Bytes::from(bytes), &compacted()) {
                let count = valid.records(DecodeLimits::default()).map(Result::unwrap).count();
                prop_assert_eq!(count, usize::try_from(valid.header().records_count).unwrap());
            }
        }
    }
}
