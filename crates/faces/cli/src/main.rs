//! `brimful`: fill the GPU to the brim, never over.

mod args;
mod diff;
mod explain;
mod export;
mod fit;
mod job_flags;
mod nvidia_smi;
mod open;
mod out;
mod progress;
mod ranks;
mod rehearse;
mod replay;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Open(arguments) => open::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Ranks(arguments) => ranks::run(&arguments),
        Command::Rehearse(arguments) => rehearse::run(&arguments),
        Command::NvidiaSmi { arguments } => nvidia_smi::run(&arguments),
    };
    out::exit_code(outcome)
}
