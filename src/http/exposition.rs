//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

/// What a metric's value means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the broker's start on.
    Counter,
    Gauge,
}

/// A page of metrics that is being written.
#[derive(Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a metric; its samples follow.
    pub fn metric(&mut self, name: &'static str, kind: Kind, help: &str) -> Samples<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a String cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Samples {
            text: &mut self.text,
            name,
        }
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// The samples of one metric.
pub struct Samples<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Samples<'_> {
    /// One value; `labels` are names and values.
    pub fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.text.push_str(self.name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"{}\"", escaped(&text.to_string()));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_written_with_its_labels_escaped() {
        let mut page = Exposition::default();
        let mut size = page.metric("log_size", Kind::Gauge, "Bytes.");
        size.sample(&[("topic", &"a\"b\\"), ("partition", &3)], 17);
        size.sample(&[], 1);
        assert_eq!(
            page.finish(),
            "# HELP log_size Bytes.\n# TYPE log_size gauge\n\
             log_size{topic=\"a\\\"b\\\\\",partition=\"3\"} 17\nlog_size 1\n"
        );
    }
}
