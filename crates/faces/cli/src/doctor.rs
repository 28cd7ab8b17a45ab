//! `brimful doctor`: can the GPUs be read, and how?

use anyhow::Result;
use brimful_ask::{Outcome, doctor};

use crate::args::DoctorArguments;
use crate::out::show;

/// Looks for drivers, and calls them once.
///
/// # Errors
/// A closed stream.
pub fn run(arguments: &DoctorArguments) -> Result<Outcome> {
    show(&doctor(arguments.proc.clone()), arguments.json)
}
