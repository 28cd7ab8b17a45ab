//! `brimful rehearse`: what will my own script use?

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use brimful_ask::{Outcome, RehearseRequest, rehearse};
use brimful_rehearsal::{HookOptions, SyntheticError};

use crate::args::RehearseArguments;
use crate::lock::Gatekeeper;
use crate::out::{HOST, complain, show};

/// Runs the command, or searches by runs.
///
/// # Errors
/// A call that is wrong, or an environment that cannot be rehearsed.
pub fn run(arguments: &RehearseArguments) -> Result<Outcome> {
    let gate = Gatekeeper::new(arguments.lock.as_deref(), false, arguments.allow);
    let request = request(arguments.clone())?;
    can_be_written(&request.output)?;
    let reply = rehearse(HOST, &request)?;
    let outcome = show(&reply, arguments.json)?;
    // People have read it in the answer.
    if let Some(reason) = reply.reason().filter(|_| arguments.json) {
        complain(reason);
    }
    // A run that failed, or had less memory than it asked for, shows no peak to hold against another.
    match gate.filter(|_| outcome == Outcome::Well) {
        Some(gate) => Ok(outcome.max(gate.judge(&[reply.to_lock(HOST)?])?)),
        None => Ok(outcome),
    }
}

fn request(typed: RehearseArguments) -> Result<RehearseRequest> {
    let synthetic = typed.synthetic.as_deref().map(str::parse).transpose();
    let synthetic = synthetic.map_err(|error: SyntheticError| anyhow!("--synthetic {error}"))?;
    Ok(RehearseRequest {
        command: typed.command,
        gpu: typed.gpu,
        capacity: typed.capacity,
        gpu_total: typed.gpu_total,
        gpus: typed.gpus,
        world_size: typed.world_size,
        ranks: typed.ranks,
        conf: typed.conf,
        cudnn: typed.cudnn,
        padded: typed.padded,
        delay: typed.delay,
        time_limit: typed.time_limit,
        search: typed.search,
        with: typed.with,
        options: HookOptions {
            steps: typed.steps,
            dummy_weights: typed.dummy_weights,
            keep_serving: typed.keep_serving,
            history: typed.history,
            synthetic,
        },
        output: typed.output,
        talk_only: typed.json,
    })
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
