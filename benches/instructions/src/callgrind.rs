//! Counts under callgrind, and the table they are held against.

use crate::loops::Loop;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Start and preparation are in both counts and fall out of their difference.
const FEW: u64 = 500;
const MANY: u64 = 2_500;
/// By how much a request may become dearer before the check fails.
const DEARER_MAX: f64 = 1.02;

/// Counts every loop; an error if one is dearer than the table allows, or is not in it.
pub(crate) fn check(table: &Path) -> Result<(), Box<dyn Error>> {
    let update = std::env::var_os("UPDATE").is_some();
    let known = read(&std::fs::read_to_string(table).unwrap_or_default())?;
    let mut counts = BTreeMap::new();
    let mut dearer = Vec::new();
    println!(
        "{:24} {:>14} {:>14}",
        "request", "instructions", "in the table"
    );
    for which in Loop::ALL {
        let name = name(which);
        let each = (count(&name, MANY)? - count(&name, FEW)?) / (MANY - FEW);
        let before = known.get(&name).copied();
        let shown = before.map_or("-".to_owned(), |before| before.to_string());
        println!("{name:24} {each:>14} {shown:>14}");
        if before.is_none_or(|before| as_float(each) > as_float(before) * DEARER_MAX) {
            dearer.push(name.clone());
        }
        counts.insert(name, each);
    }
    if update {
        return Ok(std::fs::write(table, written(&counts))?);
    }
    if dearer.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} costs over 2 % more than {} says; make it cheaper, or say why it is worth it and run with UPDATE=1",
        dearer.join(", "),
        table.display()
    )
    .into())
}

/// Instructions of a whole run.
fn count(which: &str, requests: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["count", which, "--requests", &requests.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{which}: {said}").into());
    }
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.ok_or_else(|| format!("valgrind gave no count: {said}"))?;
    Ok(count.trim().parse()?)
}

fn name(which: Loop) -> String {
    let value = which.to_possible_value().expect("no loop is hidden");
    value.get_name().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// A table of lines `NAME COUNT`; lines that begin with # are for people.
fn read(text: &str) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, count) = line.split_once(' ').ok_or(format!("not a count: {line}"))?;
            Ok((name.to_owned(), count.trim().parse()?))
        })
        .collect()
}

fn written(counts: &BTreeMap<String, u64>) -> String {
    let mut text = "# Instructions a request, counted by callgrind (scripts/instructions.sh writes it with UPDATE=1).\n".to_owned();
    for (name, count) in counts {
        let _ = writeln!(text, "{name} {count}");
    }
    text
}
