//! `brimful diff`: what changed between two runs?

use anyhow::Result;
use brimful_explain::diff;
use brimful_report::{DiffAnswer, diff_json, diff_text};

use crate::args::DiffArguments;
use crate::out::{Outcome, print};
use crate::runs::open_run;

/// Compares two snapshots, traces or jobs.
///
/// # Errors
/// An input that cannot be read, or a closed stream.
pub fn run(arguments: &DiffArguments) -> Result<Outcome> {
    let changes = arguments.keys.overrides();
    let before = open_run(&arguments.before, arguments.device, &changes)?;
    let after = open_run(&arguments.after, arguments.device, &changes)?;
    let difference = diff(before.run(), after.run());
    let notes: Vec<String> = before.notes.iter().chain(&after.notes).cloned().collect();
    let answer =
        DiffAnswer { before: &arguments.before, after: &arguments.after, diff: &difference, notes: &notes };
    print(&if arguments.json { diff_json(&answer) + "\n" } else { diff_text(&answer) })?;
    Ok(if difference.is_empty() { Outcome::Well } else { Outcome::Found })
}
