//! `brimful rehearse`: what will my own script use?

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use brimful_devices::{Gpu, servers};
use brimful_explain::snapshot::{Explanation, describe_recording};
use brimful_plan::largest_fitting;
use brimful_rehearsal::imagined::Ranks;
use brimful_rehearsal::{
    Device, HOLE, Judgement, Rehearsal, Run, Synthetic, SyntheticError, Verdict, engine, judge, rehearse,
    with_value,
};
use brimful_replay::AllocatorConfig;
use brimful_report::{RehearsalAnswer, SearchAnswer, rehearse_json, rehearse_text};
use brimful_units::Bytes;

use crate::args::RehearseArguments;
use crate::out::{Outcome, complain, print, tell};
use crate::recordings;

/// Sites and blocks that are named.
const MOST: usize = 20;
/// Nobody asks for a larger batch.
const MOST_SEARCHED: u64 = 1 << 20;

/// Runs the command, or searches by runs.
///
/// # Errors
/// A call that is wrong, or an environment that cannot be rehearsed.
pub fn run(arguments: &RehearseArguments) -> Result<Outcome> {
    let rehearsal = rehearsal(arguments)?;
    can_be_written(&arguments.output)?;
    if let Some(key) = &arguments.search {
        return search(arguments, &rehearsal, key);
    }
    let mut rehearsed = rehearse(&rehearsal)?;
    rehearsed.write(&arguments.output)?;
    answer(arguments, &rehearsed.run, None)
}

/// Runs the command with one value after the other. The run file is that of the largest value that fits, and of the
/// smallest where none does.
fn search(arguments: &RehearseArguments, rehearsal: &Rehearsal, key: &str) -> Result<Outcome> {
    let mut words = rehearsal.command.clone();
    words.extend(arguments.with.iter().flat_map(|with| with.split_whitespace()).map(OsString::from));
    let mut tried = Vec::new();
    let mut last = None;
    let mut asked = BTreeMap::new();
    let largest = largest_fitting(MOST_SEARCHED, |value| {
        let command = with_value(&words, value).with_context(|| {
            format!("--search {key}: neither the command nor --with has a {HOLE} for the value")
        })?;
        tell(&format!("{key} = {value}: {}", shown(&command)));
        let mut rehearsed = rehearse(&Rehearsal { command, ..rehearsal.clone() })?;
        let judgement = judge(&rehearsed.run);
        if let Some(reason) = &judgement.reason {
            bail!("--search {key}: the run with {value} says nothing about memory: {reason}");
        }
        let fits = judgement.verdict == Verdict::Fits;
        if fits && let Some(same) = asked.insert(asked_by(&rehearsed.run), value) {
            bail!(
                "--search {key}: with {value} the command asks for exactly as much memory as with {same}, so it does not take \
                 its {key} from {HOLE}, or has no data for more"
            );
        }
        let reserved = judgement.ranks.first().map_or(0, |rank| rank.peak.reserved.get());
        tell(&format!("{key} = {value}: {}", judgement.verdict.word()));
        tried.push((value, reserved, fits));
        if fits || last.is_none() {
            rehearsed.write(&arguments.output)?;
            last = Some(rehearsed.run);
        }
        Ok(fits)
    })?;
    let found = SearchAnswer { key: key.to_owned(), largest, tried };
    let run = last.context("no run")?;
    answer(arguments, &run, Some(&found))
}

/// All that was ever asked for: two runs that differ in anything differ in it.
fn asked_by(run: &Run) -> Bytes {
    run.processes.iter().flat_map(|process| &process.devices).map(|device| device.asked).sum()
}

fn shown(command: &[OsString]) -> String {
    command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn rehearsal(arguments: &RehearseArguments) -> Result<Rehearsal> {
    if let Some(conf) = &arguments.conf {
        conf.parse::<AllocatorConfig>()?;
    }
    let mut notes = Vec::new();
    Ok(Rehearsal {
        command: arguments.command.clone(),
        device: device(arguments, &mut notes)?,
        conf: arguments.conf.clone(),
        steps: arguments.steps,
        time_limit: arguments.time_limit,
        imagined: imagined(arguments)?,
        dummy_weights: arguments.dummy_weights,
        keep_serving: arguments.keep_serving,
        synthetic: synthetic(arguments)?,
        history: arguments.history,
        talk_only: arguments.json,
        notes,
    })
}

fn synthetic(arguments: &RehearseArguments) -> Result<Option<Synthetic>> {
    let parsed = arguments.synthetic.as_ref().map(|text| text.parse());
    parsed.transpose().map_err(|error: SyntheticError| anyhow!("--synthetic {error}"))
}

/// A run of an hour shall not end with nowhere to put it.
fn can_be_written(path: &Path) -> Result<()> {
    let is_new = !path.exists();
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.with_context(|| format!("--output {}", path.display()))?;
    if is_new {
        fs::remove_file(path).with_context(|| format!("--output {}", path.display()))?;
    }
    Ok(())
}

/// As `fit` and `replay` understand a GPU and a capacity; with what servers take beside PyTorch, where one is started.
fn device(arguments: &RehearseArguments, notes: &mut Vec<String>) -> Result<Device> {
    let device = match (&arguments.gpu, arguments.capacity) {
        (Some(gpu), _) => {
            let gpu = Gpu::find(gpu)?;
            let device = of_gpu(&gpu);
            let device = Device { total: arguments.gpu_total.unwrap_or(device.total), ..device };
            match engine(&arguments.command) {
                Some(_) => for_servers(device, &gpu, arguments.gpus, notes),
                None => device,
            }
        }
        (None, Some(capacity)) => Device::of_capacity(capacity),
        (None, None) => Device::without_end(),
    };
    Ok(Device {
        count: arguments.gpus,
        cudnn: arguments.cudnn,
        padded: arguments.padded,
        delay: arguments.delay,
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

fn imagined(arguments: &RehearseArguments) -> Result<Option<Ranks>> {
    let Some(world_size) = arguments.world_size else { return Ok(None) };
    let mut run = arguments.ranks.clone();
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

/// Prints what a run means.
fn answer(arguments: &RehearseArguments, run: &Run, search: Option<&SearchAnswer>) -> Result<Outcome> {
    let judgement = judge(run);
    let mut notes = run.notes.clone();
    let file = arguments.output.display().to_string();
    let explanation = explain(&file, run, &mut notes);
    let about = RehearsalAnswer {
        run,
        judgement: &judgement,
        explanation: explanation.as_ref(),
        file: &file,
        notes: &notes,
        search,
    };
    print(&if arguments.json { rehearse_json(&about) + "\n" } else { rehearse_text(&about) })?;
    // People have read it in the answer.
    if let Some(reason) = judgement.reason.as_ref().filter(|_| arguments.json) {
        complain(reason);
    }
    Ok(outcome(&judgement))
}

fn outcome(judgement: &Judgement) -> Outcome {
    match judgement.verdict {
        Verdict::Fits | Verdict::NoDevice => Outcome::Well,
        Verdict::DoesNotFit => Outcome::Found,
        Verdict::Failed | Verdict::Unfinished => Outcome::Wrong,
    }
}

/// The fullest rank's recording, explained.
fn explain(file: &str, run: &Run, notes: &mut Vec<String>) -> Option<Explanation> {
    run.fullest()?.snapshot.as_ref()?;
    let opened = recordings::content(file)
        .and_then(|content| recordings::open(file, &content, None))
        .inspect_err(|error| notes.push(format!("the recording cannot be explained: {error:#}")))
        .ok()?;
    Some(describe_recording(&opened.trace, MOST))
}
