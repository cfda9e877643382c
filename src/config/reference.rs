//! `docs/configuration.md`, written from the table of keys. Only a test needs it, which fails when
//! page and table differ and rewrites the page with `UPDATE=1`.

use super::Properties;
use super::keys::{self, Key, Scope, Status};
use std::fmt::Write;

const HEAD: &str = "\
# Configuration

<!-- Written from src/config/keys by the test `the_page_is_what_the_table_says`; to change it, change
the table and run: UPDATE=1 cargo test --lib config::reference -->

Ottla reads Apache Kafka's `server.properties` as it is. `ottla run` takes values from, each over the
one before:

1. the file it is given, or, without a file, its own defaults (below);
2. `KAFKA_*` variables, as the apache/kafka image maps them: `KAFKA_LOG_RETENTION_MS` is
   `log.retention.ms`, two underscores are an underscore, three are a dash;
3. `--listen` and `--data`;
4. `--set KEY=VALUE`, in the order of the command line.

A value of the wrong type or out of its range stops the start with a sentence that names key, value
and what is allowed. A key that nobody knows is reported and ignored. `ottla check FILE` reads a file
and says all this without starting anything.

Without a file the defaults are Apache Kafka's, and:

";

const STATUSES: &str = "
The last column says what Ottla does with a key:

- **yes**: it works as in Apache Kafka;
- **not yet**: it is checked and kept, nothing acts on it, and the start report names it;
- **no effect**: it tunes something that Ottla does not have, such as a thread pool or the JVM;
- **refused**: a value other than the default stops the start, since going on would be unsafe. TLS
  and SASL listeners, and more replicas than brokers, are refused too.

A key marked *at start* is read once. Every other can be changed while the broker runs, as with
`kafka-configs.sh`, and is in force at once: a key marked *cluster* for one broker or for all, one
marked *broker* for one broker only, the rest for the topic, the group or the subscription. A topic
has its own value, else this broker's, else that of all brokers, else the file's, else the default.

At run time a broker refuses a few changes that Apache Kafka would make: other `listeners`, a
`listener.security.protocol.map` that changes one of them, `metric.reporters`.
";

pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("```properties\n");
    for (key, value) in Properties::embedded().iter() {
        writeln!(page, "{key}={value}").expect("a String takes any text");
    }
    page.push_str("```\n");
    page.push_str(STATUSES);
    for section in keys::sections() {
        table(&mut page, section.title, section.keys.iter());
    }
    table(&mut page, "Topic configurations", keys::topic_keys());
    table(&mut page, "Group configurations", keys::group_keys());
    let subscription = keys::client_metrics_keys();
    table(&mut page, "Client-metrics subscriptions", subscription);
    page
}

fn table<'a>(page: &mut String, title: &str, keys: impl Iterator<Item = &'a Key>) {
    write!(
        page,
        "\n## {title}\n\n| key | what it is | type | default | may be | changes | works |\n\
         |---|---|---|---|---|---|---|\n"
    )
    .expect("a String takes any text");
    for key in keys {
        writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            key.name,
            key.doc,
            key.kind.name(),
            default(key),
            key.expected().replace('|', "\\|"),
            changes(key.scope),
            works(key.status),
        )
        .expect("a String takes any text");
    }
}

fn default(key: &Key) -> String {
    match key.default {
        Some("9223372036854775807") => "no limit".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{default}`"),
        None => "–".to_owned(),
    }
}

fn changes(scope: Scope) -> &'static str {
    match scope {
        Scope::ReadOnly => "at start",
        Scope::PerBroker => "broker",
        Scope::ClusterWide => "cluster",
        Scope::Topic => "topic",
        Scope::Group => "group",
        Scope::ClientMetrics => "subscription",
    }
}

fn works(status: Status) -> String {
    match status {
        Status::Enforced => "yes".to_owned(),
        Status::NotYet => "not yet".to_owned(),
        Status::NotApplicable => "no effect".to_owned(),
        Status::Refuse(reason) => format!("refused: {reason}"),
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "reads and rewrites a page of the repository"
)]
fn the_page_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/configuration.md is not what the table says; rewrite it with UPDATE=1"
    );
}
