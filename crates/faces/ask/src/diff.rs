//! What changed between two runs?

use anyhow::Result;
use brimful_explain::{Diff, diff as differences};
use brimful_jobs::Overrides;
use brimful_report::{DiffAnswer, diff_json, diff_text};

use crate::run::open_run;
use crate::{Answer, Host, Outcome};

/// Two runs, and what is different between them.
pub struct DiffReply {
    before: String,
    after: String,
    diff: Diff,
    partial: [bool; 2],
    notes: Vec<String>,
}

/// Compares two snapshots, traces or jobs, each at its own peak.
///
/// # Errors
/// An input that cannot be read, with its name.
pub fn diff(
    host: Host<'_>,
    before: &str,
    after: &str,
    device: Option<usize>,
    changes: &Overrides,
) -> Result<DiffReply> {
    let first = open_run(host, before, device, changes)?;
    let second = open_run(host, after, device, changes)?;
    let diff = differences(first.run(), second.run());
    let partial = [first.partial, second.partial];
    let notes = first.notes.into_iter().chain(second.notes).collect();
    Ok(DiffReply { before: before.to_owned(), after: after.to_owned(), diff, partial, notes })
}

impl DiffReply {
    fn view(&self) -> DiffAnswer<'_> {
        DiffAnswer {
            before: &self.before,
            after: &self.after,
            diff: &self.diff,
            partial: self.partial,
            notes: &self.notes,
        }
    }
}

impl Answer for DiffReply {
    fn text(&self) -> String {
        diff_text(&self.view())
    }

    fn json(&self) -> String {
        diff_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        if self.diff.is_empty() { Outcome::Well } else { Outcome::Found }
    }
}
