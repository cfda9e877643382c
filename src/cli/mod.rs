//! The command line: `ottla run`, `format`, `check`, `dump`, `random-uuid`.
//!
//! Wrong input is answered with one sentence on standard error and exit code 2, and nothing has been
//! written by then. A failure while doing what was asked is exit code 1.

mod args;
mod check;
mod container;
mod dump;
mod file;
mod format;
mod logging;
mod random_uuid;
mod run;
mod settings;

pub use args::{Args, Command};

use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

/// Runs the command that `words` (the program's name first) ask for, in the real world.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    if words.len() < 2 {
        // Asking nothing is asking what there is to ask.
        return match Args::command().print_long_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(asked) if !asked.use_stderr() => {
            // --help and --version, on standard output.
            return if asked.print().is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Err(error) => return report(&Failure::Input(one_sentence(&error.to_string()))),
    };
    let disk = crate::runtime::os::OsDisk::default();
    let result = match args.command {
        Command::Run(args) => run::run(&args, &disk),
        Command::Check(args) => check::check(&args, &disk),
        Command::Format(args) => format::format(&args, &disk),
        Command::Dump(args) => dump::dump(&args, &disk),
        Command::RandomUuid => random_uuid::random_uuid(),
        Command::Container(args) => container::container(&args, &disk),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
enum Failure {
    /// What was asked makes no sense, or cannot be used: exit code 2.
    Input(String),
    /// It was tried and went wrong: exit code 1.
    Work(String),
}

impl Failure {
    fn input(reason: impl Display) -> Failure {
        Failure::Input(reason.to_string())
    }

    fn work(reason: impl Display) -> Failure {
        Failure::Work(reason.to_string())
    }
}

fn report(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Input(reason) => {
            eprintln!("ottla: {reason}");
            ExitCode::from(2)
        }
        Failure::Work(reason) => {
            eprintln!("ottla: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// clap's message without usage and tips: its lines up to the first empty one.
fn one_sentence(message: &str) -> String {
    let lines: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let sentence = lines.join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    format!("{sentence} (see ottla --help)")
}
