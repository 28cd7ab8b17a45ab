//! `brimful`: fill the GPU to the brim, never over.

mod args;
mod catalogue;
mod completions;
mod deferred;
mod diff;
mod doctor;
#[cfg(test)]
mod examples;
mod explain;
mod export;
mod fit;
mod job_flags;
mod lock;
mod nvidia_smi;
mod open;
mod out;
mod output;
mod progress;
mod ranks;
mod rehearse;
mod replay;
mod top;
mod version;

use std::process::ExitCode;

use anyhow::Result;
use brimful_ask::Outcome;
use clap::error::ContextKind;
use clap::error::ErrorKind::MissingSubcommand;
use clap::{CommandFactory, Parser};

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refuse(&without_wrong_tip(error)));
    let outcome = match arguments.command {
        None if arguments.version => version::run(arguments.facts, arguments.json),
        None => Arguments::command().error(MissingSubcommand, "no command; brimful --help lists them").exit(),
        Some(command) => answer(command),
    };
    out::exit_code(outcome)
}

/// The error without clap's tip to write a misspelt flag behind `--`: there, `fit` takes a server's command.
fn without_wrong_tip(mut error: clap::Error) -> clap::Error {
    if std::env::args_os().nth(1).is_some_and(|command| command == "fit") {
        error.remove(ContextKind::Suggested);
    }
    error
}

/// Prints clap's message, or the help that was asked for. What was typed may hold what a terminal obeys.
fn refuse(error: &clap::Error) -> ! {
    let message = error.render().to_string();
    if error.use_stderr() && message.chars().any(|c| c.is_control() && c != '\n') {
        out::complain(message.trim_start_matches("error: ").trim_end());
        std::process::exit(2);
    }
    error.exit()
}

fn answer(command: Command) -> Result<Outcome> {
    match command {
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Open(arguments) => open::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Ranks(arguments) => ranks::run(&arguments),
        Command::Rehearse(arguments) => rehearse::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::NvidiaSmi { arguments } => nvidia_smi::run(&arguments),
        Command::Gpus(arguments) => catalogue::list_gpus(&arguments),
        Command::Models(arguments) => catalogue::list_models(&arguments),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { folder } => completions::write_man_pages(&folder),
    }
}
