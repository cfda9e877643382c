//! Every message of every version, with drawn values: a slow reading of the schemas writes the
//! bytes, the generated code reads them to the same value and writes the same bytes again.

use bytes::Bytes;
use ottla_protocol_tests::codec;
use ottla_protocol_tests::sample::{Draw, Form, sample, schemas, uvarint};

/// Values drawn per message and version.
const SEEDS: u64 = 24;

#[test]
fn what_the_schemas_say_is_what_the_generated_code_reads_and_writes() {
    let mut count = 0;
    for message in schemas() {
        let codec = codec::find(&message.name).expect("generated");
        for version in message.versions.iter() {
            let seeds =
                (0..SEEDS).map(|seed| Draw::Seed(seed * 7919 + version.unsigned_abs() as u64));
            for draw in std::iter::once(Draw::Defaults).chain(seeds) {
                let sample = sample(&message, version, draw);
                let at = format!("{} v{version} {draw:?}", message.name);
                let bytes = Bytes::from(sample.bytes);
                let (value, rest) = (codec.read)(bytes.clone(), version).expect(&at);
                assert_eq!(value, sample.value, "{at}");
                assert_eq!(rest, 0, "{at}");
                assert_eq!(
                    (codec.rewrite)(bytes.clone(), version).expect(&at),
                    bytes,
                    "{at}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 700 * SEEDS, "only {count} values");
}

#[test]
fn the_default_value_is_written_as_the_schemas_say() {
    let (mut same, mut refused) = (0, Vec::new());
    for message in schemas() {
        let codec = codec::find(&message.name).expect("generated");
        for version in message.versions.iter() {
            match (codec.write_default)(version) {
                Ok(bytes) => {
                    let sample = sample(&message, version, Draw::Defaults);
                    assert_eq!(bytes, sample.bytes, "{} v{version}", message.name);
                    same += 1;
                }
                Err(error) => refused.push(format!("{} v{version}: {error}", message.name)),
            }
        }
    }
    // A default may be null where an old version has none yet; Kafka refuses these, too.
    assert!(
        refused.iter().all(|why| why.contains("has no null")),
        "{refused:#?}"
    );
    assert!(same > 700, "only {same}; refused: {refused:#?}");
}

#[test]
fn a_field_of_a_later_release_is_passed_over_wherever_it_is() {
    let mut count = 0;
    for message in schemas() {
        let codec = codec::find(&message.name).expect("generated");
        for version in message
            .versions
            .iter()
            .filter(|v| message.flexible.contains(*v))
        {
            let sample = sample(&message, version, Draw::Seed(5));
            for length in sample
                .lengths
                .iter()
                .filter(|length| length.form == Form::TagCount)
            {
                // The new field stands in front of the others; readers must not mind the order.
                let mut bytes = sample.bytes.clone();
                let tags = usize::from(bytes[length.at]);
                let field = [&uvarint(tags + 1)[..], &uvarint(9001), &[3, 1, 2, 3]].concat();
                bytes.splice(length.at..length.at + length.len, field);
                let at = format!("{} v{version} at {}", message.name, length.at);
                let Ok((value, rest)) = (codec.read)(bytes.into(), version) else {
                    // Inside of a tagged field, the length around it is now wrong.
                    continue;
                };
                assert_eq!((value, rest), (sample.value.clone(), 0), "{at}");
                count += 1;
            }
        }
    }
    assert!(count > 1000, "only {count} places");
}
