//! A run by any name: a snapshot, a predicted trace, or a job that is simulated now.

use anyhow::{Context, Result, ensure};
use brimful_explain::TracedRun;
use brimful_jobs::{LoadedJob, Overrides};
use brimful_models::Kind;
use brimful_plan::{allocator_config, simulate_and_replay};
use brimful_replay::AllocatorConfig;
use brimful_trace::Trace;

use crate::fit::{open_job, runnable};
use crate::input::is_named_snapshot;
use crate::recording::{self, Recording, content, ensure_unpacked, head, names_a_rank};
use crate::{Content, Host, Input};

/// A run that was opened.
pub(crate) struct OpenedRun {
    /// Its trace.
    pub trace: Trace,
    /// What to know about it, each with the input's name.
    pub notes: Vec<String>,
    /// Whether its file was cut off.
    pub partial: bool,
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
    if let Some(content) = recorded_content(host, input)? {
        return of_recording(host, input, &content, device);
    }
    let loaded = runnable(open_job(host, input, changes)?)?;
    let (trace, config) = simulated(input, &loaded)?;
    Ok(OpenedRun { trace, config, notes: named(input, loaded.recipe.notes), partial: false })
}

/// The bytes of the recording that an input names; `None` where it names a job.
///
/// # Errors
/// As the system's, with the name.
pub(crate) fn recorded_content(host: Host<'_>, input: &str) -> Result<Option<Content>> {
    let files = host.files;
    // A missing file that is called a snapshot is reported as missing, and not as an unknown model.
    let called_a_recording = is_named_snapshot(input) || input.ends_with(".brim");
    let is_a_rank = names_a_rank(files, input);
    if !called_a_recording && !is_a_rank && files.kind(input) != Kind::File {
        return Ok(None);
    }
    let head = if is_a_rank { Vec::new() } else { head(files, input).with_context(|| input.to_owned())? };
    ensure_unpacked(input, &head)?;
    let is_recording = is_a_rank || Input::recognise_named(input, &head).is_recording();
    is_recording.then(|| content(files, input)).transpose()
}

/// A job's trace, and the allocator's settings.
///
/// # Errors
/// A job that cannot be simulated, with the name.
pub(crate) fn simulated(input: &str, loaded: &LoadedJob) -> Result<(Trace, AllocatorConfig)> {
    let (trace, _) = simulate_and_replay(&loaded.job).with_context(|| input.to_owned())?;
    let config = allocator_config(&loaded.job).with_context(|| input.to_owned())?;
    Ok((trace, config))
}

fn of_recording(host: Host<'_>, input: &str, content: &[u8], device: Option<usize>) -> Result<OpenedRun> {
    let opened = recording::open(host, input, content, device)?;
    need_events(input, &opened)?;
    let notes = named(input, opened.unread);
    let config = opened.trace.conf.parse().with_context(|| input.to_owned())?;
    Ok(OpenedRun { trace: opened.trace, config, notes, partial: opened.partial })
}

/// Whether a recording shows more than the end.
///
/// # Errors
/// Says how to record the history.
pub(crate) fn need_events(input: &str, recording: &Recording) -> Result<()> {
    ensure!(
        !recording.trace.is_empty(),
        "{input}: {} so its peak is not known; record one with torch.cuda.memory._record_memory_history()",
        if recording.partial {
            "the file is cut off, and no events that can be followed are in the part before,"
        } else {
            "the snapshot holds no history,"
        }
    );
    Ok(())
}

fn named(input: &str, notes: Vec<String>) -> Vec<String> {
    notes.into_iter().map(|note| format!("{input}: {note}")).collect()
}
