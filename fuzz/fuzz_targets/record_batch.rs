//! A record batch: one byte of rules, then the batch as a producer would send it. Length, magic and
//! CRC are mended, unless the rules' highest bit says not to: chance alone does not get past them.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ottla::record::{
    BATCH_HEADER_LEN, Batches, Codec, Compression, DecodeLimits, Keys, ProduceRules,
    TargetCompression, TimestampRules, TimestampType, ValidBatch, ZstdUse,
};
use ottla::types::Timestamp;

/// Far less than the fuzzer's limit for one allocation.
const LIMITS: DecodeLimits = DecodeLimits { bytes_max: 4 << 20 };

fuzz_target!(|data: &[u8]| {
    let [rules, batch @ ..] = data else { return };
    let mut bytes = batch.to_vec();
    if rules & 0x80 == 0 && bytes.len() >= BATCH_HEADER_LEN {
        let length = u32::try_from(bytes.len() - 12).expect("a fuzzer's input is small");
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    let bytes = Bytes::from(bytes);

    for batch in Batches::of(bytes.clone()) {
        let Ok(batch) = batch else { break };
        let _ = batch.check_crc();
        batch
            .records(LIMITS)
            .take_while(Result::is_ok)
            .for_each(drop);
    }

    let pick = |bit: u8| rules & bit != 0;
    let rules = ProduceRules {
        now: Timestamp(1_760_000_000_000),
        bytes_max: 1 << 20,
        timestamps: TimestampRules {
            kind: if pick(1) {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
        },
        keys: if pick(2) {
            Keys::Required
        } else {
            Keys::Optional
        },
        compression: match rules >> 2 & 7 {
            1 => TargetCompression::Always(Compression::NONE),
            2 => TargetCompression::Always(Compression::of(Codec::Lz4)),
            3 => TargetCompression::Always(Compression::of(Codec::Snappy)),
            _ => TargetCompression::Producer,
        },
        zstd: if pick(0x20) {
            ZstdUse::Refused
        } else {
            ZstdUse::Allowed
        },
        decode: LIMITS,
    };
    if let Ok(valid) = ValidBatch::parse(&bytes, &rules) {
        // What was let in can be stepped over again by whoever reads the log.
        let stored = valid.to_bytes();
        assert_eq!(stored.len(), valid.size());
        let stepped: Vec<_> = Batches::of(stored).collect();
        assert!(
            matches!(stepped[..], [Ok(_)]),
            "a valid batch is not one batch"
        );
        valid
            .records(LIMITS)
            .take_while(Result::is_ok)
            .for_each(drop);
    }
});
