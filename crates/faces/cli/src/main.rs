//! `brimful`: fill the GPU to the brim, never over.

mod args;
mod disk;
mod explain_text;
mod fit;
mod job_flags;
mod out;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Explain(arguments) => explain_text::run(&arguments),
    };
    out::exit_code(outcome)
}
