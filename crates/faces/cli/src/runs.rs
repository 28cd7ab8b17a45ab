//! A run by any name: a snapshot, a predicted trace, or a job that is simulated now.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use brimful_explain::Run;
use brimful_jobs::{Overrides, open as open_job};
use brimful_plan::simulate_and_replay;
use brimful_replay::AllocatorConfig;
use brimful_trace::Trace;

use crate::disk::DiskFiles;
use crate::explain_recording::is_recording;
use crate::recordings::{content, open};

/// Bytes that tell what a file is.
const HEAD: usize = 4096;

/// A run that was opened.
pub struct Opened {
    /// Its trace.
    pub trace: Trace,
    /// What to know about it, each with the input's name.
    pub notes: Vec<String>,
    config: AllocatorConfig,
}

impl Opened {
    /// For analysis.
    pub fn run(&self) -> Run<'_> {
        Run { trace: &self.trace, config: &self.config }
    }
}

/// A snapshot or a trace where the file is one; else a job, or a model, which is then simulated.
///
/// # Errors
/// What the input is instead, or what it lacks, with its name.
pub fn open_run(input: &str, device: Option<usize>, changes: &Overrides) -> Result<Opened> {
    let named_so = [".pickle", ".pkl", ".brim"].iter().any(|ending| input.ends_with(ending));
    let of_rank = input.rsplit_once('#').is_some_and(|(path, _)| Path::new(path).is_file());
    if named_so || of_rank || Path::new(input).is_file() {
        let content = content(input)?;
        if named_so || is_recording(&content[..content.len().min(HEAD)]) {
            return recording(input, &content, device);
        }
    }
    let loaded = open_job(input, &DiskFiles, changes)?;
    let (trace, _) = simulate_and_replay(&loaded.job).with_context(|| input.to_owned())?;
    let config = loaded.job.allocator_conf.parse().with_context(|| input.to_owned())?;
    Ok(Opened { trace, config, notes: named(input, loaded.recipe.notes) })
}

fn recording(input: &str, content: &[u8], device: Option<usize>) -> Result<Opened> {
    let opened = open(input, content, device)?;
    ensure!(
        !opened.trace.is_empty(),
        "{input}: the snapshot holds no history, so its peak is not known; record one with \
         torch.cuda.memory._record_memory_history()"
    );
    Ok(Opened { trace: opened.trace, config: AllocatorConfig::default(), notes: named(input, opened.unread) })
}

fn named(input: &str, notes: Vec<String>) -> Vec<String> {
    notes.into_iter().map(|note| format!("{input}: {note}")).collect()
}
