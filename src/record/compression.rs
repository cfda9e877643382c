//! The five codecs, as Kafka uses them: gzip, snappy in the framing of Java's xerial library (raw blocks
//! are read too, other clients send them), lz4 frames, zstd frames.

use super::batch::Codec;
use std::io::{self, Read, Write};

/// How much a reader is ready to unpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most bytes that the records of one batch may have once decompressed.
    pub bytes_max: usize,
}

impl Default for DecodeLimits {
    /// 64 MiB: well above what a batch of the default `max.message.bytes` (1 MiB) unpacks to in earnest,
    /// and little enough to be held once per reader.
    fn default() -> DecodeLimits {
        DecodeLimits {
            bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the records have more than {bytes_max} bytes once decompressed")]
    TooLarge { bytes_max: usize },
    #[error("the {codec:?} data is broken: {source}")]
    Compressed { codec: Codec, source: io::Error },
    #[error("there is no codec with the number {0}")]
    UnknownCodec(i16),
    #[error(transparent)]
    Malformed(#[from] super::walk::Malformed),
}

/// A codec and how hard it tries; what `compression.type` and `compression.*.level` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    pub codec: Codec,
    /// In the codec's own scale; `None` is its default. Snappy has no levels.
    pub level: Option<i32>,
}

impl Compression {
    pub const NONE: Compression = Compression::of(Codec::None);

    pub const fn of(codec: Codec) -> Compression {
        Compression { codec, level: None }
    }
}

/// Smallest zstd window that is accepted whatever the byte budget: encoders at the usual levels take up
/// to 8 MiB even for short inputs. A frame may ask for 2 GiB, which is refused.
const ZSTD_WINDOW_LOG_MIN: u32 = 23;

/// First bytes of a xerial snappy stream: a magic number, then version and lowest compatible version
/// (both 1), all big-endian.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_LEN: usize = 16;
/// Bytes that xerial compresses as one block.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// The level that Kafka takes for its fast compressor, which is not on the scale of the others.
const LZ4_LEVEL_FAST: i32 = 9;

/// Unpacks all of `bytes`, or stops at the budget. Memory grows with what really comes out, not with
/// what the data claims.
pub fn decompress(
    codec: Codec,
    bytes: &[u8],
    limits: DecodeLimits,
) -> Result<Vec<u8>, DecodeError> {
    let bytes_max = limits.bytes_max;
    let broken = |source| DecodeError::Compressed { codec, source };
    match codec {
        Codec::None => {
            if bytes.len() > bytes_max {
                return Err(DecodeError::TooLarge { bytes_max });
            }
            Ok(bytes.to_vec())
        }
        Codec::Gzip => read_within(flate2::bufread::MultiGzDecoder::new(bytes), codec, limits),
        Codec::Snappy => snappy_decompress(bytes, limits),
        Codec::Lz4 => read_within(lz4_flex::frame::FrameDecoder::new(bytes), codec, limits),
        Codec::Zstd => {
            let window_log = (usize::BITS - bytes_max.leading_zeros()).max(ZSTD_WINDOW_LOG_MIN);
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?;
            decoder.window_log_max(window_log.min(31)).map_err(broken)?;
            read_within(decoder, codec, limits)
        }
    }
}

fn read_within(
    reader: impl Read,
    codec: Codec,
    limits: DecodeLimits,
) -> Result<Vec<u8>, DecodeError> {
    let bytes_max = limits.bytes_max;
    let mut out = Vec::new();
    reader
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|source| DecodeError::Compressed { codec, source })?;
    if out.len() > bytes_max {
        return Err(DecodeError::TooLarge { bytes_max });
    }
    Ok(out)
}

fn snappy_decompress(bytes: &[u8], limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    if !bytes.starts_with(&XERIAL_MAGIC) {
        snappy_block(bytes, &mut out, limits)?;
        return Ok(out);
    }
    let mut rest = bytes
        .get(XERIAL_HEADER_LEN..)
        .ok_or_else(|| snappy_broken("the stream header is cut"))?;
    while !rest.is_empty() {
        let (len, after) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| snappy_broken("a block length is cut"))?;
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let (block, after) = after
            .split_at_checked(len)
            .ok_or_else(|| snappy_broken("a block is cut"))?;
        snappy_block(block, &mut out, limits)?;
        rest = after;
    }
    Ok(out)
}

/// Appends what one raw snappy block unpacks to.
fn snappy_block(block: &[u8], out: &mut Vec<u8>, limits: DecodeLimits) -> Result<(), DecodeError> {
    let bytes_max = limits.bytes_max;
    // The block's first bytes claim the length. Snappy shrinks by less than 22 times (a 3-byte copy
    // gives at most 64 bytes), so a claim beyond that is a lie and nothing is allocated for it.
    let claimed = snap::raw::decompress_len(block).map_err(snappy_broken)?;
    if claimed > block.len().saturating_mul(22) {
        return Err(snappy_broken("a block claims an impossible length"));
    }
    if claimed > bytes_max.saturating_sub(out.len()) {
        return Err(DecodeError::TooLarge { bytes_max });
    }
    let start = out.len();
    out.resize(start + claimed, 0);
    let written = snap::raw::Decoder::new()
        .decompress(block, out.get_mut(start..).unwrap_or_default())
        .map_err(snappy_broken)?;
    out.truncate(start + written);
    Ok(())
}

fn snappy_broken(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DecodeError {
    DecodeError::Compressed {
        codec: Codec::Snappy,
        source: io::Error::new(io::ErrorKind::InvalidData, reason),
    }
}

/// Packs all of `bytes`. Fails only if the codec refuses the level.
pub fn compress(with: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match with.codec {
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => {
            let level = match with.level.and_then(|level| u32::try_from(level).ok()) {
                Some(level) => flate2::Compression::new(level.min(9)),
                None => flate2::Compression::default(),
            };
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Codec::Snappy => snappy_compress(bytes),
        Codec::Lz4 => match with.level {
            None | Some(LZ4_LEVEL_FAST) => lz4_compress_fast(bytes),
            Some(level) => lz4_compress_tightly(bytes, level),
        },
        Codec::Zstd => zstd::bulk::compress(bytes, with.level.unwrap_or(3)),
    }
}

// Both with independent blocks: Kafka's own lz4 reader refuses linked ones.

fn lz4_compress_fast(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(lz4_flex::frame::BlockMode::Independent)
        .block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes)?;
    encoder.finish().map_err(io::Error::other)
}

fn lz4_compress_tightly(bytes: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut encoder = lz4::EncoderBuilder::new()
        .level(u32::try_from(level).map_err(io::Error::other)?)
        .block_mode(lz4::BlockMode::Independent)
        .block_size(lz4::BlockSize::Max64KB)
        .checksum(lz4::ContentChecksum::NoChecksum)
        .build(Vec::new())?;
    encoder.write_all(bytes)?;
    let (packed, finished) = encoder.finish();
    finished.map(|()| packed)
}

fn snappy_compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(XERIAL_HEADER_LEN + bytes.len() / 2);
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(XERIAL_BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        let len = u32::try_from(packed.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let text: Vec<u8> = (0..200_000u32)
            .flat_map(|n| (n / 7).to_be_bytes())
            .collect();
        for codec in CODECS {
            for input in [&text[..], &b""[..], &b"x"[..]] {
                let packed = compress(Compression::of(codec), input).unwrap();
                let unpacked = decompress(codec, &packed, DecodeLimits::default()).unwrap();
                assert!(unpacked == input, "{codec:?} with {} bytes", input.len());
            }
        }
    }

    /// `compression.lz4.level` was once accepted and ignored.
    #[test]
    fn a_level_that_tries_harder_packs_tighter() {
        let text: Vec<u8> = (0..20_000u32)
            .flat_map(|n| format!("{} of {};", n % 977, n * n % 1009).into_bytes())
            .collect();
        let levels = [
            (Codec::Gzip, 1, 9),
            (Codec::Lz4, 9, 12),
            (Codec::Zstd, 1, 19),
        ];
        for (codec, low, high) in levels {
            let packed = |level| {
                let level = Some(level);
                let packed = compress(Compression { codec, level }, &text).unwrap();
                assert!(decompress(codec, &packed, DecodeLimits::default()).unwrap() == text);
                packed.len()
            };
            let (loose, tight) = (packed(low), packed(high));
            assert!(
                tight < loose,
                "{codec:?}: {tight} at {high}, {loose} at {low}"
            );
        }
        for level in 1..=17 {
            let lz4 = Compression {
                codec: Codec::Lz4,
                level: Some(level),
            };
            let packed = compress(lz4, &text).unwrap();
            assert!(decompress(Codec::Lz4, &packed, DecodeLimits::default()).unwrap() == text);
        }
    }

    #[test]
    fn a_bomb_stops_at_the_budget() {
        let zeros = vec![0; 1_000_000];
        let limits = DecodeLimits { bytes_max: 10_000 };
        for codec in CODECS {
            let packed = compress(Compression::of(codec), &zeros).unwrap();
            assert!(
                matches!(
                    decompress(codec, &packed, limits),
                    Err(DecodeError::TooLarge { .. })
                ),
                "{codec:?}"
            );
        }
    }

    #[test]
    fn broken_bytes_give_an_error() {
        let packed_of = |codec| compress(Compression::of(codec), &[7; 5_000]).unwrap();
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let packed = packed_of(codec);
            for cut in 1..packed.len() {
                // A cut stream may still give its first part, but never panics or gives too much.
                if let Ok(out) = decompress(codec, &packed[..cut], DecodeLimits::default()) {
                    assert!(out.len() <= 5_000);
                }
            }
            assert!(decompress(codec, &[0xff; 64], DecodeLimits::default()).is_err());
        }
    }

    #[test]
    fn raw_snappy_blocks_are_read_too() {
        let packed = snap::raw::Encoder::new()
            .compress_vec(b"raw, not framed")
            .unwrap();
        let out = decompress(Codec::Snappy, &packed, DecodeLimits::default()).unwrap();
        assert_eq!(out, b"raw, not framed");
    }

    #[test]
    fn a_snappy_block_that_claims_much_allocates_nothing() {
        // A varint of 0xffffffff, then nothing.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(matches!(
            decompress(Codec::Snappy, &claim, DecodeLimits::default()),
            Err(DecodeError::Compressed { .. })
        ));
    }
}
