//! librdkafka's own load program, as a client that is not ours.

use std::path::Path;
use std::process::Command;

use crate::wire::Fail;

/// What the program said it did.
pub(super) struct Told {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
}

/// Sends `records` to partition 0 with acks=1; every one must be delivered.
pub(super) fn produce(
    perf: &Path,
    port: u16,
    records: u64,
    size: u64,
    extra: &[&str],
) -> Result<Told, Fail> {
    let text = run(
        perf,
        port,
        records,
        &["-P", "-s", &size.to_string(), "-a", "1"],
        extra,
    )?;
    // N messages produced (N bytes), N delivered (offset N, N failed) in Nms: …
    let numbers = numbers(&text, "messages produced (")?;
    let [_, _, delivered, _, _, millis, ..] = numbers[..] else {
        return Err(format!("not understood: {}", tail(&text)));
    };
    if delivered != records {
        return Err(format!("void: {delivered} of {records} delivered"));
    }
    Ok(Told {
        records,
        bytes: records * size,
        seconds: seconds(millis),
    })
}

/// Reads `records` from the start of partition 0.
pub(super) fn consume(perf: &Path, port: u16, records: u64) -> Result<Told, Fail> {
    let options = ["-C", "-o", "beginning"];
    let text = run(
        perf,
        port,
        records,
        &options,
        &["-X", "fetch.message.max.bytes=4194304"],
    )?;
    // N messages (N bytes) consumed in Nms: …
    let numbers = numbers(&text, "consumed in")?;
    let [found, bytes, millis, ..] = numbers[..] else {
        return Err(format!("not understood: {}", tail(&text)));
    };
    if found < records {
        return Err(format!("void: {found} of {records} consumed"));
    }
    Ok(Told {
        records: found,
        bytes,
        seconds: seconds(millis),
    })
}

fn run(
    perf: &Path,
    port: u16,
    records: u64,
    mode: &[&str],
    extra: &[&str],
) -> Result<String, Fail> {
    let output = Command::new("timeout")
        .arg("120")
        .arg(perf)
        .args(mode)
        .args(["-t", "bench", "-p", "0", "-q", "-c", &records.to_string()])
        .args(["-b", &format!("127.0.0.1:{port}")])
        .args(extra)
        .output()
        .map_err(|error| format!("{}: {error}", perf.display()))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    Ok(text)
}

/// All whole numbers of the last line that holds `mark`.
fn numbers(text: &str, mark: &str) -> Result<Vec<u64>, Fail> {
    let line = text.lines().rfind(|line| line.contains(mark));
    let line = line.ok_or_else(|| format!("no result: {}", tail(text)))?;
    let words = line.split(|letter: char| !letter.is_ascii_digit());
    Ok(words.filter_map(|word| word.parse().ok()).collect())
}

fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(300);
    text.get(start..).unwrap_or(text).trim()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a short run")]
fn seconds(millis: u64) -> f64 {
    millis.max(1) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_report_is_read() {
        let text = "% 5 messages produced (50 bytes), 4 delivered (offset 3, 0 failed) in 2ms: x\n\
                    % 10 messages produced (100 bytes), 10 delivered (offset 9, 0 failed) in 7ms: 1 msgs/s";
        assert_eq!(
            numbers(text, "messages produced (").unwrap()[..6],
            [10, 100, 10, 9, 0, 7]
        );
    }
}
