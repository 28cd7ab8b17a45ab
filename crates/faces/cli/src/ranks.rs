//! `brimful ranks`: many snapshots of one job.

use anyhow::Result;
use brimful_ask::{Outcome, ranks};

use crate::args::RanksArguments;
use crate::out::{HOST, complain, show};

/// Compares every rank; a bad one is reported, and the rest still answered.
///
/// # Errors
/// A folder without snapshots, or a closed stream.
pub fn run(arguments: &RanksArguments) -> Result<Outcome> {
    let reply = ranks(HOST, &arguments.inputs, arguments.device)?;
    reply.errors.iter().for_each(|error| complain(&format!("{error:#}")));
    show(&reply, arguments.json)
}
