//! `brimful rehearse`: what will my own script use?

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use brimful_ask::{Outcome, RehearseRequest, name_of, rehearse};
use brimful_rehearsal::{HookOptions, Synthetic};

use crate::args::RehearseArguments;
use crate::lock::Gatekeeper;
use crate::out::{HOST, To, complain, show_to};
use crate::output::{Output, free_name, is_stdout};

/// The run file where none is named.
const RUN_FILE: &str = "rehearsal.zip";

/// Runs the command, or searches by runs.
///
/// # Errors
/// A call that is wrong, or an environment that cannot be rehearsed.
pub fn run(arguments: &RehearseArguments) -> Result<Outcome> {
    let gate = Gatekeeper::new(arguments.lock.as_deref(), false, arguments.allow);
    let named = arguments.output.clone().unwrap_or_else(|| free_name(Path::new(RUN_FILE)));
    // A run of an hour shall not end with nowhere to put it, and shall not replace its own script.
    let words: Vec<String> = arguments.command.iter().map(|word| name_of(word)).collect();
    let output = Output::create("--output", &named, words.iter().map(String::as_str))?;
    let Some(path) = output.path() else {
        bail!(
            "--output {}: is a device or a pipe; a run file is written in pieces; name a file, or -",
            named.display()
        )
    };
    let request = request(arguments.clone(), path, &named)?;
    let reply = rehearse(HOST, &request)?;
    let locked = gate.as_ref().map(|_| reply.to_lock(HOST));
    output.finish()?;
    let to = if is_stdout(&named) { To::Stderr } else { To::Stdout };
    let outcome = show_to(to, &reply, arguments.json)?;
    // People have read it in the answer.
    if let Some(reason) = reply.reason().filter(|_| arguments.json) {
        complain(reason);
    }
    // A run that failed, or had less memory than it asked for, shows no peak to hold against another.
    match gate.zip(locked).filter(|_| outcome == Outcome::Well) {
        Some((gate, locked)) => Ok(outcome.max(gate.judge(&[locked?])?)),
        None => Ok(outcome),
    }
}

fn request(typed: RehearseArguments, path: &Path, named: &Path) -> Result<RehearseRequest> {
    let synthetic = Synthetic::list(typed.synthetic.iter().map(String::as_str));
    let synthetic = synthetic.map_err(|error| anyhow!("--synthetic {error}"))?;
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
        output: path.to_owned(),
        name: name_of(named.as_os_str()),
        talk_only: typed.json || is_stdout(named),
    })
}
