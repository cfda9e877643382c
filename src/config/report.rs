//! What a user should be told about a configuration when the broker starts.

use std::fmt;

/// Everything worth a line, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub lines: Vec<Line>,
}

/// One key that does not simply do what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub key: String,
    /// As written by the user; `[hidden]` for secrets and for keys that nobody knows.
    pub value: String,
    pub what: What,
}

/// What happens with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Known, kept, and not acted upon yet.
    NotEnforced,
    /// Tunes something that Ottla does not have.
    NotApplicable,
    /// Not a key of Apache Kafka 4.3.1; the text says more where there is more to say.
    Unknown { hint: Option<String> },
    /// Ottla deliberately does something else than Apache Kafka would; the text says what.
    Differs { how: String },
}

impl Report {
    pub(crate) fn add(&mut self, key: &str, value: &str, what: What) {
        let hidden = super::keys::is_sensitive(key) && !matches!(what, What::Differs { .. });
        let value = if hidden {
            "[hidden]".to_owned()
        } else {
            value.to_owned()
        };
        self.lines.push(Line {
            key: key.to_owned(),
            value,
            what,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// One line for each kind of remark, as the start report prints them.
    pub fn summary(&self) -> Vec<String> {
        let names = |keep: fn(&What) -> bool| {
            let kept: Vec<String> = self
                .lines
                .iter()
                .filter(|line| keep(&line.what))
                .map(|line| match &line.what {
                    What::Unknown { hint: Some(hint) } => format!("{} ({hint})", line.key),
                    _ => line.key.clone(),
                })
                .collect();
            kept.join(", ")
        };
        let mut summary = Vec::new();
        for (title, keys) in [
            ("not enforced yet", names(|what| *what == What::NotEnforced)),
            (
                "without effect here",
                names(|what| *what == What::NotApplicable),
            ),
            (
                "unknown and ignored",
                names(|what| matches!(what, What::Unknown { .. })),
            ),
        ] {
            if !keys.is_empty() {
                summary.push(format!("{title}: {keys}"));
            }
        }
        for line in &self.lines {
            if let What::Differs { how } = &line.what {
                summary.push(format!("{}: {how}", line.key));
            }
        }
        summary
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary()
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
