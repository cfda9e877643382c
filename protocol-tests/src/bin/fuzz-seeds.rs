//! `fuzz-seeds DIR`: writes what the fuzzer starts from, so that it need not find out by chance what
//! a message looks like: two values of every request and version, and Kafka's own record batches.
#![expect(
    clippy::disallowed_methods,
    reason = "a tool of the tests writes the fuzzer's folder"
)]

use ottla_codegen::schema::Kind;
use ottla_protocol_tests::sample::{Draw, sample, schemas};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: fuzz-seeds DIR");
        std::process::exit(2);
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder.join("requests"))?;
    std::fs::create_dir_all(folder.join("record_batch"))?;
    for message in schemas()
        .iter()
        .filter(|message| message.kind == Kind::Request)
    {
        for version in message.versions.iter() {
            for (name, draw) in [("defaults", Draw::Defaults), ("drawn", Draw::Seed(1))] {
                let key = message.key.unwrap_or_default().to_be_bytes()[1];
                let mut bytes = vec![key, version.to_be_bytes()[1]];
                bytes.extend(sample(message, version, draw).bytes);
                let file = format!("requests/{}-{version}-{name}", message.name);
                std::fs::write(folder.join(file), bytes)?;
            }
        }
    }
    // Two lines a batch: its name and meaning, then its bytes.
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/records/batches.txt");
    let text = std::fs::read_to_string(vectors)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for pair in lines.chunks_exact(2) {
        let name = pair[0].split(' ').next().unwrap_or_default();
        let digits = (0..pair[1].len())
            .step_by(2)
            .map(|at| pair[1].get(at..at + 2));
        let batch: Option<Vec<u8>> = digits
            .map(|digits| digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()))
            .collect();
        let mut batch =
            batch.ok_or_else(|| std::io::Error::other(format!("{name}: not hexadecimal")))?;
        // A producer's batch starts at offset 0.
        if let Some(base) = batch.first_chunk_mut::<8>() {
            *base = [0; 8];
        }
        std::fs::write(
            folder.join("record_batch").join(name),
            [&[0], &batch[..]].concat(),
        )?;
    }
    Ok(())
}
