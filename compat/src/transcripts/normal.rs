//! Takes out of a tool's output what differs from run to run: addresses, paths, ids, times.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// The address that a transcript names its broker by.
pub(super) const BROKER: &str = "localhost:9092";
/// The name of the broker's data directory in a transcript.
pub(super) const DATA: &str = "DATA";

/// Patterns and what stands for what they match, applied in this order.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        // Ids made by chance: of topics, clusters and directories in base64, of members in hex.
        (
            r#"(TopicId: |topicId":"|Cluster ID: |ClusterId: +|irectoryId": ")[\w-]{22}"#,
            "${1}ID",
        ),
        (r"(\t)[\w-]{22}(\t\d)", "${1}ID${2}"),
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "UUID",
        ),
        (r"console-consumer-\d+\b", "console-consumer-N"),
        // Times: of day, and in milliseconds since 2017.
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,:]\d{3}", "TIME"),
        (r"\b1[5-9]\d{11}\b", "MILLIS"),
        (r"crc: \d+", "crc: CRC"),
        // A stack trace is of the client, and of how this suite starts the tool.
        (r"(?m)^\t(at .*|\.\.\. \d+ more)\n", ""),
        (r"(?m)[ \t]+$", ""),
    ];
    rules
        .into_iter()
        .map(|(pattern, to)| (Regex::new(pattern).expect("the rules are tested"), to))
        .collect()
});

/// The output as it stands in a transcript.
pub(super) fn normal(output: &str, bootstrap: &str, data: &str) -> String {
    let mut text = output.replace(bootstrap, BROKER).replace(data, DATA);
    for (pattern, to) in RULES.iter() {
        if let Cow::Owned(changed) = pattern.replace_all(&text, *to) {
            text = changed;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_times_and_addresses_are_the_same_in_every_run() {
        let said = "at 127.0.0.1:40123 in /tmp/d/x\tTopicId: 3bX-_kVvQw2o3Zs4n1YzAQ\n\
                    [2026-01-02 03:04:05,678] console-consumer-17-01234567-89ab-cdef-0123-456789abcdef 1790000000000 \n\
                    \tat a.b.C.main(C.java:1)\n";
        let want = "at localhost:9092 in DATA/x\tTopicId: ID\n\
                    [TIME] console-consumer-N-UUID MILLIS\n";
        assert_eq!(normal(said, "127.0.0.1:40123", "/tmp/d"), want);
    }
}
