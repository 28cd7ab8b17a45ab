use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::environment::Environment;
use crate::folder::HookSettings;
use crate::launch::{Program, Rules, launch};
use crate::record::records;
use crate::run_file::SCHEMA;
use crate::{Device, Ended, Folder, RehearsalError, Run, counted, imagined, python, run_file};

/// Events that a history keeps where nothing else is said: about half a gigabyte of host memory.
pub const HISTORY: u64 = 300_000;

/// What is to be rehearsed, and how.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The GPUs that it is shown.
    pub device: Device,
    /// `PYTORCH_CUDA_ALLOC_CONF`.
    pub conf: Option<String>,
    /// Ends after so many optimizer steps.
    pub steps: Option<u64>,
    /// Ends after so long.
    pub time_limit: Option<Duration>,
    /// Ranks that run, among ranks that are imagined.
    pub imagined: Option<imagined::Ranks>,
    /// Whether missing weights are made up.
    pub dummy_weights: bool,
    /// Whether a server goes on once it listens; else the rehearsal ends then.
    pub keep_serving: bool,
    /// Rows that stand in for data sets.
    pub synthetic: Option<String>,
    /// Events that the history keeps.
    pub history: u64,
    /// What the user should know of the settings.
    pub notes: Vec<String>,
    /// Whether the command's standard output goes to the standard error.
    pub talk_only: bool,
}

/// A run, with the snapshots that its processes handed over.
pub struct Rehearsed {
    /// What is known of it.
    pub run: Run,
    folder: Folder,
}

impl Rehearsed {
    /// Writes the run file.
    ///
    /// # Errors
    /// As the system's, with the path.
    pub fn write(&mut self, path: &Path) -> Result<(), RehearsalError> {
        run_file::write(path, &mut self.run, &self.folder.records())
    }
}

/// Runs the command on the virtual GPU.
///
/// # Errors
/// [`RehearsalError`]: an environment without a torch that can be rehearsed, or a command that cannot be started. How the
/// command itself ends is no error: [`Run::ended`] says it.
pub fn rehearse(rehearsal: &Rehearsal) -> Result<Rehearsed, RehearsalError> {
    python::check(&rehearsal.command)?;
    let folder = Folder::new()?;
    let settings = folder.tell_hook(&HookSettings {
        folder: folder.records(),
        history: rehearsal.history,
        steps: rehearsal.steps,
        imagined: rehearsal.imagined.is_some(),
        dummy_weights: rehearsal.dummy_weights,
        keep_serving: rehearsal.keep_serving,
        synthetic: rehearsal.synthetic.as_deref(),
    })?;
    let environment = Environment::new(&folder, &rehearsal.device, &settings, rehearsal.conf.as_deref());
    let rules =
        Rules { environment: &environment, talk_only: rehearsal.talk_only, time_limit: rehearsal.time_limit };
    let programs = match &rehearsal.imagined {
        Some(ranks) => ranks.programs(&rehearsal.command, rehearsal.device.count),
        None => vec![Program { words: &rehearsal.command, own: Vec::new() }],
    };
    let ended = launch(&programs, &rules)?;
    let run = gather(rehearsal, &folder, ended)?;
    Ok(Rehearsed { run, folder })
}

/// What the processes handed over.
fn gather(rehearsal: &Rehearsal, folder: &Folder, ended: Ended) -> Result<Run, RehearsalError> {
    let mut processes = records(&folder.records())?;
    if let Some(process) = processes.iter().find(|process| process.torch_cuda.is_none()) {
        let interpreter = process.argv.first().cloned().unwrap_or_default();
        return Err(python::not_for_cuda(
            interpreter,
            process.versions.get("torch").cloned().unwrap_or_default(),
            process.torch_hip.is_some(),
        ));
    }
    if processes.is_empty() && ended.cut.is_none() {
        return Err(RehearsalError::NothingSeen { ended: ended.to_string() });
    }
    let state = counted::read(&folder.state());
    counted::add_to(&mut processes, &state);
    let unseen = counted::unseen(&processes, &state);
    let mut notes = rehearsal.notes.clone();
    for note in processes.iter().flat_map(|process| &process.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    Ok(Run {
        schema: SCHEMA.to_owned(),
        command: rehearsal.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        device: rehearsal.device.clone(),
        conf: rehearsal.conf.clone(),
        ended,
        processes,
        unseen,
        notes,
    })
}
