//! `brimful rehearse`: what will my own script use?

use anyhow::{Result, bail};
use brimful_devices::Gpu;
use brimful_explain::snapshot::{Explanation, describe_recording};
use brimful_rehearsal::imagined::Ranks;
use brimful_rehearsal::{Device, Judgement, Rehearsal, Run, Verdict, judge, rehearse};
use brimful_replay::AllocatorConfig;
use brimful_report::{RehearsalAnswer, SearchAnswer, rehearse_json, rehearse_text};

use crate::args::RehearseArguments;
use crate::out::{Outcome, complain, print};
use crate::recordings;

/// Sites and blocks that are named.
const MOST: usize = 20;

/// Runs the command, or searches by runs.
///
/// # Errors
/// A call that is wrong, or an environment that cannot be rehearsed.
pub fn run(arguments: &RehearseArguments) -> Result<Outcome> {
    let rehearsal = rehearsal(arguments)?;
    let output = arguments.output.display().to_string();
    let run = rehearse(&rehearsal, Some(&arguments.output))?;
    answer(arguments, &run, Some(&output), None)
}

fn rehearsal(arguments: &RehearseArguments) -> Result<Rehearsal> {
    if let Some(conf) = &arguments.conf {
        conf.parse::<AllocatorConfig>()?;
    }
    Ok(Rehearsal {
        command: arguments.command.clone(),
        device: device(arguments)?,
        conf: arguments.conf.clone(),
        steps: arguments.steps,
        time_limit: arguments.time_limit,
        imagined: imagined(arguments)?,
        dummy_weights: arguments.dummy_weights,
        synthetic: arguments.synthetic.clone(),
        history: arguments.history,
        talk_only: arguments.json,
    })
}

/// As `fit` and `replay` understand a GPU and a capacity.
fn device(arguments: &RehearseArguments) -> Result<Device> {
    let device = match (&arguments.gpu, arguments.capacity) {
        (Some(gpu), _) => of_gpu(&Gpu::find(gpu)?),
        (None, Some(capacity)) => Device::of_capacity(capacity),
        (None, None) => Device::without_end(),
    };
    Ok(Device { count: arguments.gpus, ..device })
}

fn of_gpu(gpu: &Gpu) -> Device {
    Device {
        count: 1,
        name: gpu.name.clone(),
        total: gpu.total,
        context: gpu.context,
        compute_capability: gpu.compute_capability,
        multiprocessors: gpu.multiprocessors,
        named: true,
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
fn answer(
    arguments: &RehearseArguments,
    run: &Run,
    file: Option<&str>,
    search: Option<&SearchAnswer>,
) -> Result<Outcome> {
    let judgement = judge(run);
    let mut notes = run.notes.clone();
    let explanation = file.and_then(|file| explain(file, run, &mut notes));
    let about = RehearsalAnswer {
        run,
        judgement: &judgement,
        explanation: explanation.as_ref(),
        file,
        notes: &notes,
        search,
    };
    print(&if arguments.json { rehearse_json(&about) + "\n" } else { rehearse_text(&about) })?;
    Ok(outcome(&judgement))
}

fn outcome(judgement: &Judgement) -> Outcome {
    if let Some(reason) = &judgement.reason {
        complain(reason);
    }
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
