//! What will my own script use? A command, run on a virtual GPU; or the largest value of a flag of it that fits.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use brimful_devices::{Gpu, servers};

use brimful_explain::snapshot::{Explanation, describe_recording};
use brimful_plan::largest_fitting;
use brimful_rehearsal::imagined::Ranks;
use brimful_rehearsal::{
    Device, Glimpse, HookOptions, Judgement, PLACEHOLDER, Rehearsal, Rehearsed, RunRecord, RunVerdict,
    engine, judge, rehearse as run_command, with_value,
};
use brimful_replay::AllocatorConfig;
use brimful_report::{RehearsalAnswer, SearchAnswer, rehearse_json, rehearse_text};
use brimful_units::Bytes;

use crate::recording::{content, open};
use crate::{Answer, Host, LockedRun, Outcome, name_of};

/// Sites and blocks that an answer names.
const MOST: usize = 20;
/// The largest value that is searched for: nobody asks for a larger batch.
const MOST_SEARCHED: u64 = 1 << 20;

/// A command and the machine that it is shown.
#[derive(Clone, Debug)]
pub struct RehearseRequest {
    /// The command with its arguments.
    pub command: Vec<OsString>,
    /// A GPU by name or by size, whose CUDA context is set aside.
    pub gpu: Option<String>,
    /// Exactly what PyTorch's allocator may take, in place of a GPU.
    pub capacity: Option<Bytes>,
    /// The total that CUDA reports, if the driver differs from the catalogue.
    pub gpu_total: Option<Bytes>,
    /// How many such GPUs the machine has.
    pub gpus: u32,
    /// How many ranks the job has, if only some of them run.
    pub world_size: Option<u64>,
    /// The ranks that run; the first and the last if none is named.
    pub ranks: Vec<u64>,
    /// A `PYTORCH_CUDA_ALLOC_CONF`.
    pub conf: Option<String>,
    /// The version of cuDNN that PyTorch sees, as `cudnnGetVersion` gives it.
    pub cudnn: Option<u32>,
    /// Whether masks that the GPU made itself are taken as not all true.
    pub padded: bool,
    /// The number of launches after which work of another stream is done.
    pub delay: Option<u64>,
    /// The time after which the run ends.
    pub time_limit: Option<Duration>,
    /// The name of what `{}` in the command stands for, if its largest fitting value is searched.
    pub search: Option<String>,
    /// Words that a search appends to the command.
    pub with: Option<String>,
    /// What the hook in the command's Python does.
    pub options: HookOptions,
    /// The run file to write, which may lie elsewhere than its name until the run is over.
    pub output: PathBuf,
    /// The run file's name in the answer.
    pub name: String,
    /// Whether the standard output is kept for the answer: the command's then goes to the standard error.
    pub talk_only: bool,
}

/// What a run, or the last run of a search, means.
pub struct RehearsalReply {
    run: RunRecord,
    judgement: Judgement,
    explanation: Option<Explanation>,
    file: String,
    /// Where the run file lies.
    path: String,
    notes: Vec<String>,
    search: Option<SearchAnswer>,
}

/// Runs the command, or searches by runs, and writes the run file.
///
/// # Errors
/// A call that is wrong, an environment that cannot be rehearsed, or a run file that cannot be written.
pub fn rehearse(host: Host<'_>, request: &RehearseRequest) -> Result<RehearsalReply> {
    let rehearsal = rehearsal(request)?;
    if let Some(key) = &request.search {
        let (run, search) = search(host, request, &rehearsal, key)?;
        return Ok(reply(host, request, run, Some(search)));
    }
    let mut rehearsed = run(host, &rehearsal)?;
    rehearsed.write(&request.output)?;
    Ok(reply(host, request, rehearsed.run, None))
}

/// Runs the command, and shows where it is.
fn run(host: Host<'_>, rehearsal: &Rehearsal) -> Result<Rehearsed> {
    let watch = |glimpse: &Glimpse| host.progress.show(&glimpse.line());
    let rehearsed = run_command(rehearsal, host.progress.is_live().then_some(&watch as &dyn Fn(&Glimpse)));
    host.progress.show("");
    Ok(rehearsed?)
}

/// Runs the command with one value after the other. The run file is that of the largest value that fits, and of the
/// smallest where none does.
fn search(
    host: Host<'_>,
    request: &RehearseRequest,
    rehearsal: &Rehearsal,
    key: &str,
) -> Result<(RunRecord, SearchAnswer)> {
    let mut words = rehearsal.command.clone();
    words.extend(request.with.iter().flat_map(|with| with.split_whitespace()).map(OsString::from));
    let mut tried = Vec::new();
    let mut last = None;
    let mut asked = BTreeMap::new();
    let largest = largest_fitting(MOST_SEARCHED, |value| {
        let command = with_value(&words, value).with_context(|| {
            format!("--search {key}: neither the command nor --with has a {PLACEHOLDER} for the value")
        })?;
        host.progress.say(&format!("{key} = {value}: {}", shown(&command)));
        let mut rehearsed = run(host, &Rehearsal { command, ..rehearsal.clone() })?;
        let judgement = judge(&rehearsed.run);
        if let Some(reason) = &judgement.reason {
            bail!("--search {key}: the run with {value} says nothing about memory: {reason}");
        }
        let fits = judgement.verdict == RunVerdict::Fits;
        if fits && let Some(same) = asked.insert(asked_by(&rehearsed.run), value) {
            bail!(
                "--search {key}: with {value} the command asks for exactly as much memory as with {same}, so it does not take \
                 its {key} from {PLACEHOLDER}, or has no data for more"
            );
        }
        let reserved = judgement.ranks.first().map_or(0, |rank| rank.peak.reserved.get());
        host.progress.say(&format!("{key} = {value}: {}", judgement.verdict.word()));
        tried.push((value, reserved, fits));
        if fits || last.is_none() {
            rehearsed.write(&request.output)?;
            last = Some(rehearsed.run);
        }
        Ok(fits)
    })?;
    let found = SearchAnswer { key: key.to_owned(), largest, tried };
    Ok((last.context("no run")?, found))
}

/// All bytes that were ever asked for: two runs that differ in anything differ in it.
fn asked_by(run: &RunRecord) -> Bytes {
    run.processes.iter().flat_map(|process| &process.devices).map(|device| device.asked).sum()
}

fn shown(command: &[OsString]) -> String {
    command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn rehearsal(request: &RehearseRequest) -> Result<Rehearsal> {
    if let Some(conf) = &request.conf {
        conf.parse::<AllocatorConfig>()?;
    }
    let mut notes = Vec::new();
    Ok(Rehearsal {
        command: request.command.clone(),
        device: device(request, &mut notes)?,
        conf: request.conf.clone(),
        time_limit: request.time_limit,
        imagined: imagined(request)?,
        options: request.options.clone(),
        talk_only: request.talk_only,
        notes,
    })
}

/// The virtual GPU, as `fit` and `replay` understand a GPU and a capacity; with what servers take beside PyTorch, where
/// the command starts one.
fn device(request: &RehearseRequest, notes: &mut Vec<String>) -> Result<Device> {
    let device = match (&request.gpu, request.capacity) {
        (Some(gpu), _) => {
            let gpu = Gpu::find(gpu)?;
            let device = of_gpu(&gpu);
            let device = Device { total: request.gpu_total.unwrap_or(device.total), ..device };
            match engine(&request.command) {
                Some(_) => for_servers(device, &gpu, request.gpus, notes),
                None => device,
            }
        }
        (None, Some(capacity)) => Device::of_capacity(capacity),
        (None, None) => Device::without_end(),
    };
    Ok(Device {
        count: request.gpus,
        cudnn: request.cudnn,
        padded: request.padded,
        delay: request.delay,
        ..device
    })
}

/// Servers were measured: what their libraries and NCCL take is set aside when they take it.
fn for_servers(device: Device, gpu: &Gpu, ranks: u32, notes: &mut Vec<String>) -> Device {
    let libraries = servers::libraries(gpu);
    let nccl = servers::nccl(gpu, ranks);
    notes.push(calibrated("libraries' kernels", &libraries));
    if ranks > 1 {
        notes.push(calibrated("NCCL, at the first large collective", &nccl));
    }
    Device { libraries: libraries.bytes, nccl: nccl.bytes, ..device }
}

fn calibrated(what: &str, known: &servers::Known) -> String {
    let margin = known.basis.margin.map_or(String::new(), |margin| format!(" ± {margin}"));
    format!("{what}: {}{margin} per GPU, {} ({})", known.bytes, known.basis.kind.name(), known.basis.source)
}

fn of_gpu(gpu: &Gpu) -> Device {
    Device {
        name: gpu.name.clone(),
        total: gpu.total,
        context: gpu.context,
        libraries: Bytes::ZERO,
        nccl: Bytes::ZERO,
        compute_capability: gpu.compute_capability,
        multiprocessors: gpu.multiprocessors,
        named: true,
        ..Device::without_end()
    }
}

fn imagined(request: &RehearseRequest) -> Result<Option<Ranks>> {
    let Some(world_size) = request.world_size else { return Ok(None) };
    let mut run = request.ranks.clone();
    if run.is_empty() {
        run = vec![0, world_size - 1];
    }
    run.sort_unstable();
    run.dedup();
    if let Some(rank) = run.iter().find(|rank| **rank >= world_size) {
        bail!("--ranks {rank}: with --world-size {world_size} ranks are 0 to {}", world_size - 1);
    }
    Ok(Some(Ranks { world_size, run }))
}

fn reply(
    host: Host<'_>,
    request: &RehearseRequest,
    run: RunRecord,
    search: Option<SearchAnswer>,
) -> RehearsalReply {
    let path = name_of(request.output.as_os_str());
    let mut notes = run.notes.clone();
    let explanation = explanation(host, &path, &run, &mut notes);
    RehearsalReply {
        judgement: judge(&run),
        run,
        explanation,
        file: request.name.clone(),
        path,
        notes,
        search,
    }
}

/// The fullest rank's recording, explained.
fn explanation(host: Host<'_>, file: &str, run: &RunRecord, notes: &mut Vec<String>) -> Option<Explanation> {
    run.fullest()?.snapshot.as_ref()?;
    let opened = content(host.files, file)
        .and_then(|content| open(host, file, &content, None))
        .inspect_err(|error| notes.push(format!("the recording cannot be explained: {error:#}")))
        .ok()?;
    Some(describe_recording(&opened.trace, MOST))
}

impl RehearsalReply {
    /// Why the run says nothing about memory; `None` if it does.
    pub fn reason(&self) -> Option<&str> {
        self.judgement.reason.as_deref()
    }

    /// The peaks of the fullest rank's phases, for a lock file. The run file still lies where it was written.
    ///
    /// # Errors
    /// A run file that cannot be read, or a run whose history does not begin at its start.
    pub fn to_lock(&self, host: Host<'_>) -> Result<LockedRun> {
        let opened = open(host, &self.path, &content(host.files, &self.path)?, None)?;
        let late = self.explanation.as_ref().is_none_or(|found| found.begins_late);
        ensure!(
            !late && !opened.trace.is_empty(),
            "--lock: the recording of {} begins after the run did, so peaks before it are unknown; raise --history",
            self.file
        );
        let config = AllocatorConfig::default();
        Ok(LockedRun::of(
            &self.run.command.join(" "),
            brimful_explain::TracedRun { trace: &opened.trace, config: &config },
        ))
    }

    fn view(&self) -> RehearsalAnswer<'_> {
        RehearsalAnswer {
            run: &self.run,
            judgement: &self.judgement,
            explanation: self.explanation.as_ref(),
            file: &self.file,
            notes: &self.notes,
            search: self.search.as_ref(),
        }
    }
}

impl Answer for RehearsalReply {
    fn text(&self) -> String {
        rehearse_text(&self.view())
    }

    fn json(&self) -> String {
        rehearse_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        match self.judgement.verdict {
            RunVerdict::Fits | RunVerdict::NoDevice => Outcome::Well,
            RunVerdict::DoesNotFit => Outcome::Found,
            RunVerdict::Failed | RunVerdict::Unfinished | RunVerdict::NoGpuMemory => Outcome::Wrong,
        }
    }
}
