//! A run by any name: a snapshot, a predicted trace, or a job that is simulated now.

use anyhow::{Context, Result, ensure};
use brimful_explain::TracedRun;
use brimful_jobs::Overrides;
use brimful_models::Kind;
use brimful_plan::{allocator_config, simulate_and_replay};
use brimful_replay::AllocatorConfig;
use brimful_trace::Trace;

use crate::fit::open_job;
use crate::input::{HEAD, is_named_snapshot};
use crate::recording::{self, content, names_a_rank};
use crate::{Host, Input};

/// A run that was opened.
pub(crate) struct OpenedRun {
    /// Its trace.
    pub trace: Trace,
    /// What to know about it, each with the input's name.
    pub notes: Vec<String>,
    config: AllocatorConfig,
}

impl OpenedRun {
    /// The run for analysis.
    pub fn run(&self) -> TracedRun<'_> {
        TracedRun { trace: &self.trace, config: &self.config }
    }
}

/// A snapshot or a trace where the file is one; else a job, or a model, which is then simulated.
///
/// # Errors
/// What the input is instead, or what it lacks, with its name.
pub(crate) fn open_run(
    host: Host<'_>,
    input: &str,
    device: Option<usize>,
    changes: &Overrides,
) -> Result<OpenedRun> {
    let files = host.files;
    // A missing file that is called a snapshot is reported as missing, and not as an unknown model.
    let called_a_recording = is_named_snapshot(input) || input.ends_with(".brim");
    if called_a_recording || names_a_rank(files, input) || files.kind(input) == Kind::File {
        let content = content(files, input)?;
        if Input::recognise_named(input, &content[..content.len().min(HEAD)]).is_recording() {
            return of_recording(host, input, &content, device);
        }
    }
    let loaded = open_job(host, input, changes)?;
    let (trace, _) = simulate_and_replay(&loaded.job).with_context(|| input.to_owned())?;
    let config = allocator_config(&loaded.job).with_context(|| input.to_owned())?;
    Ok(OpenedRun { trace, config, notes: named(input, loaded.recipe.notes) })
}

fn of_recording(host: Host<'_>, input: &str, content: &[u8], device: Option<usize>) -> Result<OpenedRun> {
    let opened = recording::open(host, input, content, device)?;
    ensure!(
        !opened.trace.is_empty(),
        "{input}: the snapshot holds no history, so its peak is not known; record one with \
         torch.cuda.memory._record_memory_history()"
    );
    let notes = named(input, opened.unread);
    Ok(OpenedRun { trace: opened.trace, config: AllocatorConfig::default(), notes })
}

fn named(input: &str, notes: Vec<String>) -> Vec<String> {
    notes.into_iter().map(|note| format!("{input}: {note}")).collect()
}
