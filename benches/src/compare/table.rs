//! Medians, ratios, and the table in the documentation.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::measures::Figures;
use super::workloads::{WORKLOADS, Workload};
use crate::wire::Fail;

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// Every single figure: workload, figure, broker, one value a round.
pub(super) struct Results {
    brokers: Vec<String>,
    values: BTreeMap<(String, String, String), Vec<f64>>,
}

impl Results {
    pub(super) fn new(brokers: Vec<String>) -> Results {
        Results {
            brokers,
            values: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, workload: &str, broker: &str, figures: Figures) {
        for (figure, value) in figures {
            let key = (workload.to_owned(), figure.to_owned(), broker.to_owned());
            self.values.entry(key).or_default().push(value);
        }
    }

    fn get(&self, workload: &str, figure: &str, broker: &str) -> Option<&[f64]> {
        let key = (workload.to_owned(), figure.to_owned(), broker.to_owned());
        self.values.get(&key).map(Vec::as_slice)
    }

    /// One line per figure, for the terminal.
    pub(super) fn lines(&self, workload: &Workload) -> String {
        let mut out = String::new();
        for figure in workload.figures {
            let _ = write!(out, "{:18} {:22}", workload.name, figure.name);
            let reference = self.get(workload.name, figure.name, &self.brokers[0]);
            for (nth, broker) in self.brokers.iter().enumerate() {
                let Some(values) = self.get(workload.name, figure.name, broker) else {
                    continue;
                };
                let _ = write!(out, "  {broker} {}", spread(values));
                if let (true, Some(reference)) = (nth > 0, reference) {
                    let _ = write!(out, " ×{}", ratio(values, reference));
                }
            }
            let _ = writeln!(out, "  {}", figure.target);
        }
        out
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let mut out = serde_json::json!({});
        for ((workload, figure, broker), values) in &self.values {
            out[workload][figure][broker] = values.clone().into();
        }
        out
    }

    /// The table of the documentation: the reference, the others, their ratios, the target.
    pub(super) fn markdown(&self, rounds: usize) -> String {
        let values = match rounds {
            1 => "one run of each".to_owned(),
            _ => format!("medians of {rounds} runs of each [lowest … highest]"),
        };
        let mut out = format!("{}, {values}.\n\n", machine());
        out += "| workload | what is measured | figure |";
        for (nth, broker) in self.brokers.iter().enumerate() {
            let _ = write!(out, " {broker} |");
            if nth > 0 {
                out += " ratio |";
            }
        }
        out += " target |\n|---|---|---|";
        out += &"--:|".repeat(2 * self.brokers.len() - 1);
        out += "---|\n";
        for workload in WORKLOADS {
            for (line, figure) in workload.figures.iter().enumerate() {
                let known = self
                    .brokers
                    .iter()
                    .any(|broker| self.get(workload.name, figure.name, broker).is_some());
                if !known {
                    continue;
                }
                let (name, title) = if line == 0 {
                    (format!("`{}`", workload.name), workload.title)
                } else {
                    (String::new(), "")
                };
                let _ = write!(out, "| {name} | {title} | {} |", figure.name);
                let reference = self.get(workload.name, figure.name, &self.brokers[0]);
                for (nth, broker) in self.brokers.iter().enumerate() {
                    let values = self.get(workload.name, figure.name, broker);
                    let _ = write!(out, " {} |", values.map_or("–".to_owned(), spread));
                    if nth > 0 {
                        let known = values.zip(reference);
                        let ratio = known.map_or("–".to_owned(), |(values, reference)| {
                            format!("{}×", ratio(values, reference))
                        });
                        let _ = write!(out, " {ratio} |");
                    }
                }
                let _ = writeln!(out, " {} |", figure.target);
            }
        }
        out
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    if values.len() == 1 {
        return short(low);
    }
    format!(
        "{} [{} … {}]",
        short(median(values)),
        short(low),
        short(high)
    )
}

fn ratio(values: &[f64], reference: &[f64]) -> String {
    let base = median(reference);
    if base == 0.0 {
        "–".to_owned()
    } else {
        short(median(values) / base)
    }
}

/// Three significant digits, thousands apart.
fn short(value: f64) -> String {
    if value >= 1000.0 {
        let rounded = format!("{value:.0}");
        let head = rounded.len() % 3;
        let mut out = String::new();
        for (at, digit) in rounded.chars().enumerate() {
            if at > 0 && at % 3 == head {
                out.push(',');
            }
            out.push(digit);
        }
        return out;
    }
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    format!("{value:.digits$}")
}

/// The machine the figures are from.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown CPU", |(_, name)| name.trim());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel
        .trim()
        .split('-')
        .next()
        .unwrap_or_default()
        .to_owned();
    format!("{cpus} CPUs ({model}), Linux {kernel}")
}

/// Puts `table` between the marks of `document`.
pub(super) fn replace(document: &Path, table: &str) -> Result<(), Fail> {
    let text = std::fs::read_to_string(document)
        .map_err(|error| format!("{}: {error}", document.display()))?;
    let (before, rest) = text
        .split_once(BEGIN)
        .ok_or("the document has no mark for the figures")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("the document has no end mark for the figures")?;
    let text = format!("{before}{BEGIN}\n{table}{END}{after}");
    std::fs::write(document, text).map_err(|error| format!("{}: {error}", document.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(1_234_567.0), "1,234,567");
        assert_eq!(short(123_456.0), "123,456");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(short(0.0456), "0.046");
    }

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
