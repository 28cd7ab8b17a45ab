//! The run itself, from the folder that it needs to what its processes handed over.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::environment::Environment;
use crate::error::at;
use crate::folder::Folder;
use crate::launch::{Program, Rules, launch};
use crate::record::records;
use crate::run_file::SCHEMA;
use crate::{
    Ended, Glimpse, HookOptions, ProcessRecord, Rehearsal, RehearsalError, RunRecord, counted, engine,
    glimpse, host, python, run_file, servers, values,
};

/// A run, with the snapshots that its processes handed over.
pub struct Rehearsed {
    /// What is known of it.
    pub run: RunRecord,
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

/// How often a run is looked at while it goes on.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs the command on the virtual GPU. `watch` sees the run while it goes on; without it nothing is looked at.
///
/// # Errors
/// [`RehearsalError`]: an environment without a torch that can be rehearsed, or a command that cannot be started. How the
/// command itself ends is no error: [`RunRecord::ended`] says it.
pub fn rehearse(
    rehearsal: &Rehearsal,
    watch: Option<&dyn Fn(&Glimpse)>,
) -> Result<Rehearsed, RehearsalError> {
    python::check(&rehearsal.command)?;
    let switches = engine(&rehearsal.command).map(servers::variables).unwrap_or_default();
    let folder = Folder::new()?;
    let settings = hook_settings(rehearsal, &folder.records())?;
    let mut environment = Environment::new(&folder, &rehearsal.device, settings, rehearsal.conf.as_deref());
    environment.set.extend(switches.iter().map(|(name, value)| (name.into(), value.into())));
    let next = Cell::new(LOOK_EVERY);
    let look = |elapsed| {
        if let Some(watch) = watch.filter(|_| elapsed >= next.get()) {
            next.set(elapsed + LOOK_EVERY);
            watch(&glimpse::look(elapsed, &folder.states(), &folder.records()));
        }
    };
    let rules = Rules {
        environment: &environment,
        talk_only: rehearsal.talk_only,
        time_limit: rehearsal.time_limit,
        watch: &look,
    };
    let programs = match &rehearsal.imagined {
        Some(ranks) => {
            ranks.programs(&rehearsal.command, rehearsal.device.count, |machine| folder.machine(machine))?
        }
        None => vec![Program { words: &rehearsal.command, own: Vec::new() }],
    };
    let killed = host::killed();
    let ended = launch(&programs, &rules)?;
    let mut run = gather(rehearsal, &folder, ended)?;
    run.notes.extend(host::note(killed, host::killed()).filter(|_| !run.ended.is_success()));
    run.notes.extend(servers::announced(&switches));
    Ok(Rehearsed { run, folder })
}

/// The options, with what a run adds to them: the hook reads this from one environment variable.
#[derive(Serialize)]
struct HookSettings<'a> {
    /// Where records go.
    folder: &'a Path,
    /// Whether the other ranks are imagined.
    imagined: bool,
    #[serde(flatten)]
    options: &'a HookOptions,
}

/// The settings of the hook, as JSON.
fn hook_settings(rehearsal: &Rehearsal, folder: &Path) -> Result<String, RehearsalError> {
    let imagined = rehearsal.imagined.is_some();
    let settings = HookSettings { folder, imagined, options: &rehearsal.options };
    // A path that is not UTF-8 has no JSON.
    serde_json::to_string(&settings).map_err(|error| at(folder)(error.into()))
}

/// What the command imported in place of torch, in words that end the sentence.
fn instead(folder: &Folder) -> String {
    let files = std::fs::read_dir(folder.records()).into_iter().flatten().flatten();
    let names = files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".beside")?.to_owned()));
    let names: BTreeSet<String> = names.collect();
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    if named.is_empty() {
        return "a Python that runs with -S, -I or -E cannot be rehearsed".to_owned();
    }
    format!("it imports {}; only memory of PyTorch is rehearsed", named.join(" and "))
}

/// Gathers the records that the processes handed over.
fn gather(rehearsal: &Rehearsal, folder: &Folder, ended: Ended) -> Result<RunRecord, RehearsalError> {
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
        return Err(RehearsalError::NothingSeen { ended: ended.to_string(), instead: instead(folder) });
    }
    let state = counted::read(&folder.states());
    counted::add_to(&mut processes, &state);
    let unseen = counted::unseen(&processes, &state);
    let mut notes = rehearsal.notes.clone();
    for note in processes.iter().flat_map(|process| &process.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    notes.extend(untested(&processes));
    notes.extend(without_steps(rehearsal.options.steps, &processes, &ended));
    let mut run = RunRecord {
        schema: SCHEMA.to_owned(),
        command: rehearsal.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        device: rehearsal.device.clone(),
        conf: rehearsal.conf.clone(),
        ended,
        processes,
        unseen,
        notes,
    };
    run.unseen.extend(values::unseen(&run));
    Ok(run)
}

/// That `--steps` had no effect, in a run that came to its own end.
fn without_steps(asked: Option<u64>, processes: &[ProcessRecord], ended: &Ended) -> Option<String> {
    let stepped = processes.iter().any(|process| process.steps > 0);
    let steps = asked.filter(|_| !stepped && ended.is_success())?;
    Some(format!(
        "--steps {steps} had no effect: no torch.optim optimizer stepped, so the command ran to its own end"
    ))
}

/// The releases of torch that rehearsals are tested with, the first and the last.
const TESTED: [(u32, u32); 2] = [(2, 4), (2, 15)];

fn untested(processes: &[ProcessRecord]) -> Option<String> {
    let version = processes.iter().find_map(|process| process.versions.get("torch"))?;
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    let release = (numbers.next()?, numbers.next()?);
    let [first, last] = TESTED;
    (release < first || release > last).then(|| {
        format!(
            "torch {version} is not among the releases that rehearsals are tested with ({}.{} to {}.{})",
            first.0, first.1, last.0, last.1
        )
    })
}
