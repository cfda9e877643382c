//! Hostile bytes: whatever they say, the answer is a value or an error; never a panic, and never
//! memory out of proportion.

use bytes::Bytes;
use ottla::protocol::Reader;
use ottla_codegen::schema::Message;
use ottla_protocol_tests::codec::{self, Codec};
use ottla_protocol_tests::sample::{Draw, Form, Length, Sample, sample, schemas};
use peak_alloc::PeakAlloc;
use std::sync::Mutex;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time, for the peak is the whole process's.
static ALONE: Mutex<()> = Mutex::new(());

/// No frame of these tests may cost more, in bytes, however it lies.
const MEMORY_MAX: usize = 1 << 20;

/// Decodes, and checks what that took.
fn decode(codec: &Codec, version: i16, bytes: Vec<u8>, at: impl Fn() -> String) -> bool {
    let mut reader = Reader::new(Bytes::from(bytes));
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let read = (codec.check)(&mut reader, version).is_ok();
    let took = MEMORY.peak_usage().saturating_sub(before);
    assert!(took <= MEMORY_MAX, "{took} bytes of memory for {}", at());
    read
}

/// Calls `with` for every message and version, and two values of it.
fn every_sample(mut with: impl FnMut(&Message, &Codec, i16, &Sample)) {
    for message in schemas() {
        let codec = codec::find(&message.name).expect("generated");
        for version in message.versions.iter() {
            for draw in [Draw::Defaults, Draw::Seed(1)] {
                with(&message, codec, version, &sample(&message, version, draw));
            }
        }
    }
}

#[test]
fn a_message_that_is_cut_anywhere_is_an_error() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut cuts = 0;
    every_sample(|message, codec, version, sample| {
        for len in 0..sample.bytes.len() {
            let at = || format!("{} v{version} cut at {len}", message.name);
            let read = decode(codec, version, sample.bytes[..len].to_vec(), at);
            assert!(!read, "{}", at());
            cuts += 1;
        }
    });
    assert!(cuts > 50_000, "only {cuts} cuts");
}

#[test]
fn a_huge_length_or_count_is_an_error_wherever_it_is() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut lies = 0;
    every_sample(|message, codec, version, sample| {
        for &length in &sample.lengths {
            let huge: &[&[u8]] = match length.form {
                Form::Plain2 => &[b"\x7f\xff"],
                Form::Plain4 => &[
                    b"\x7f\xff\xff\xff",
                    b"\x00\xff\xff\xff",
                    b"\x00\x10\x00\x00",
                ],
                Form::Compact | Form::TagCount => &[
                    b"\xff\xff\xff\xff\x0f",
                    b"\xff\xff\xff\xff\x07",
                    b"\xff\xff\xff\x07",
                    b"\xff\xff\x7f",
                    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                ],
            };
            for lie in huge {
                let at = || format!("{} v{version}: {lie:?} for {length:?}", message.name);
                let read = decode(codec, version, replace(sample, length, lie), at);
                assert!(!read, "{}", at());
                lies += 1;
            }
        }
    });
    assert!(lies > 20_000, "only {lies} lies");
}

#[test]
fn a_length_or_count_that_is_a_little_wrong_never_panics() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    every_sample(|message, codec, version, sample| {
        for &length in &sample.lengths {
            for step in [-2i64, -1, 1, 2, 3] {
                let old = &sample.bytes[length.at..length.at + length.len];
                let lie = match length.form {
                    Form::Plain2 | Form::Plain4 => {
                        let value = old
                            .iter()
                            .fold(0i64, |sum, byte| sum << 8 | i64::from(*byte));
                        (value + step).to_be_bytes()[8 - length.len..].to_vec()
                    }
                    Form::Compact | Form::TagCount => {
                        let first = i64::from(old[0]) + step;
                        let mut bytes = old.to_vec();
                        bytes[0] = first.to_le_bytes()[0];
                        bytes
                    }
                };
                let at = || format!("{} v{version}: {step} on {length:?}", message.name);
                decode(codec, version, replace(sample, length, &lie), at);
            }
        }
    });
}

#[test]
fn any_byte_may_be_anything_without_a_panic() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    every_sample(|message, codec, version, sample| {
        for place in 0..sample.bytes.len() {
            for noise in [
                &[0xff; 5][..],
                &[0x7f, 0xff, 0xff, 0xff],
                &[0x80],
                &[0x00],
                &[0x0f],
            ] {
                let mut bytes = sample.bytes.clone();
                let end = bytes.len().min(place + noise.len());
                bytes[place..end].copy_from_slice(&noise[..end - place]);
                decode(codec, version, bytes, || {
                    format!("{} v{version}: {noise:x?} at {place}", message.name)
                });
            }
        }
    });
}

/// The smallest elements there can be, as many as a frame of 32 KiB holds, for every array there is.
#[test]
fn a_small_frame_of_the_smallest_elements_stays_small_in_memory() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    const FRAME: usize = 32 << 10;
    let mut accepted = 0;
    every_sample(|message, codec, version, sample| {
        for length in &sample.lengths {
            for fill in [0u8, 1] {
                for count in [FRAME - 1, FRAME / 3, FRAME / 20, 1500] {
                    let mut bytes = sample.bytes[..length.at].to_vec();
                    match length.form {
                        Form::Plain2 | Form::TagCount => continue,
                        Form::Plain4 => {
                            bytes.extend(u32::try_from(count).expect("small").to_be_bytes())
                        }
                        Form::Compact => {
                            bytes.extend(ottla_protocol_tests::sample::uvarint(count + 1))
                        }
                    }
                    bytes.resize(bytes.len() + FRAME, fill);
                    let at = || format!("{} v{version}: {count} at {length:?}", message.name);
                    accepted += u32::from(decode(codec, version, bytes, at));
                }
            }
        }
    });
    assert!(
        accepted > 1000,
        "only {accepted} were well-formed: the frames miss their aim"
    );
}

/// What made the public crate abort: 5 bytes that claim four billion topics; and its sibling.
#[test]
fn the_five_bytes_that_abort_other_codecs_are_an_error_here() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let metadata = codec::find("MetadataRequest").expect("generated");
    let produce = codec::find("ProduceRequest").expect("generated");
    for version in 9..=13 {
        assert!(!decode(
            metadata,
            version,
            vec![0xff, 0xff, 0xff, 0xff, 0x0f],
            || "metadata".into()
        ));
        let mut bytes = vec![0, 0, 1, 0, 0, 0x75, 0x30];
        bytes.extend([0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!decode(produce, version, bytes, || "produce".into()));
    }
}

#[test]
fn millions_of_unknown_tags_cost_nothing() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let heartbeat = codec::find("HeartbeatRequest").expect("generated");
    let mut bytes = vec![2, b'g', 0, 0, 0, 1, 2, b'm', 0];
    bytes.extend(ottla_protocol_tests::sample::uvarint(5_000_000));
    bytes.resize(10_000_000, 0);
    assert!(!decode(heartbeat, 4, bytes, || "heartbeat".into()));
}

fn replace(sample: &Sample, length: Length, with: &[u8]) -> Vec<u8> {
    let mut bytes = sample.bytes.clone();
    bytes.splice(length.at..length.at + length.len, with.iter().copied());
    bytes
}
