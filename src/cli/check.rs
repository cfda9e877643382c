//! `ottla check FILE`: what a broker would make of a configuration.

use super::args::CheckArgs;
use super::{Failure, file};
use crate::config::{BrokerConfig, Listeners, Report};
use crate::runtime::Disk;
use std::fmt::Write;

pub(super) fn check(args: &CheckArgs, disk: &dyn Disk) -> Result<(), Failure> {
    let mut properties = file::read(disk, &args.file)?;
    file::set(&mut properties, &args.set).map_err(Failure::input)?;
    let file = args.file.display();
    match BrokerConfig::from_properties(&properties) {
        Ok((config, report)) => {
            print!("{}", verdict(&config, &report));
            Ok(())
        }
        Err(_) => {
            // All that is wrong at once: whoever checks wants to mend it in one go.
            let wrong: Vec<String> = BrokerConfig::problems(&properties)
                .iter()
                .map(ToString::to_string)
                .collect();
            let s = if wrong.len() == 1 { "" } else { "s" };
            Err(Failure::input(format!(
                "{file}: a broker would not start, for {} reason{s}: {}",
                wrong.len(),
                wrong.join("; ")
            )))
        }
    }
}

fn verdict(config: &BrokerConfig, report: &Report) -> String {
    let mut text = format!(
        "A broker would start: node {}, {}, data in {}\n",
        config.node_id,
        shown(&config.listeners),
        config
            .directories
            .log_dirs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect::<Vec<_>>()
            .join(", ")
    );
    for line in report.summary() {
        writeln!(text, "- {line}").expect("a String takes any text");
    }
    text
}

/// Every listener, with what clients are told where that is something else.
pub(super) fn shown(listeners: &Listeners) -> String {
    let one = |bound: &crate::config::Listener| {
        let bound_at = bound.to_string();
        match listeners
            .advertised
            .iter()
            .find(|advertised| advertised.name == bound.name)
        {
            Some(advertised) if advertised.to_string() != bound_at => {
                format!("{bound_at} (advertised as {advertised})")
            }
            _ => bound_at,
        }
    };
    listeners
        .bound
        .iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(", ")
}
