//! `brimful diff`: what changed between two runs?

use anyhow::Result;
use brimful_ask::{Outcome, diff};

use crate::args::DiffArguments;
use crate::out::{HOST, show};

/// Compares two snapshots, traces or jobs.
///
/// # Errors
/// An input that cannot be read, or a closed stream.
pub fn run(arguments: &DiffArguments) -> Result<Outcome> {
    let DiffArguments { before, after, device, json, keys } = arguments;
    show(&diff(HOST, before, after, *device, &keys.overrides())?, *json)
}
