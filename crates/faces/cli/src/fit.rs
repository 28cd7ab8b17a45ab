//! `brimful fit`: will it fit?

use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use brimful_ask::{
    ANY_GPU, FitReply, FitRequest, FleetReply, LockedRun, Outcome, ShowTechniques, fit, fit_command, fit_on,
    name_of,
};
use brimful_report::file_word;
use rayon::prelude::*;

use crate::args::FitArguments;
use crate::lock::Gatekeeper;
use crate::out::{HOST, To, show_all};
use crate::output::{Output, is_stdout};

/// Answers every job, in parallel; prints the answers in the order of the call.
///
/// # Errors
/// A call that is wrong as a whole, or a closed stream. A job that is wrong is reported, and the rest still answered.
pub fn run(arguments: &FitArguments) -> Result<Outcome> {
    if !arguments.command.is_empty() {
        return of_command(arguments);
    }
    ensure!(
        arguments.trace.is_none() || arguments.jobs.len() == 1,
        "--trace writes one file and takes one job, not {}",
        arguments.jobs.len()
    );
    let gpus = arguments.keys.gpus();
    if gpus.len() > 1 || gpus.iter().any(|gpu| gpu.eq_ignore_ascii_case(ANY_GPU)) {
        return on_several(arguments, &gpus);
    }
    let request = request(arguments);
    let answers: Vec<Result<FitReply>> =
        arguments.jobs.par_iter().map(|job| answer(job, arguments, &request)).collect();
    let gate = Gatekeeper::new(arguments.lock.as_deref(), arguments.check, arguments.allow);
    let held = gate.map(|gate| gate.judge(&to_lock(&answers)?)).transpose();
    let takes_stdout = arguments.trace.as_deref().is_some_and(is_stdout);
    let outcome = show_all(if takes_stdout { To::Stderr } else { To::Stdout }, answers, arguments.json)?;
    Ok(held?.map_or(outcome, |held| outcome.max(held)))
}

/// Answers the command that starts a server.
fn of_command(arguments: &FitArguments) -> Result<Outcome> {
    ensure!(
        arguments.trace.is_none() && arguments.lock.is_none() && !arguments.check,
        "--trace, --lock and --check are for jobs that have a trace; a server's command has none"
    );
    let answer = fit_command(HOST, &arguments.command, &arguments.keys.typed(), &request(arguments));
    show_all(To::Stdout, vec![answer], arguments.json)
}

/// Answers every job for each of the GPUs.
fn on_several(arguments: &FitArguments, gpus: &[String]) -> Result<Outcome> {
    ensure!(
        arguments.trace.is_none() && arguments.lock.is_none() && !arguments.check,
        "--trace, --lock and --check are for one GPU, and --gpu names several"
    );
    let keys = arguments.keys.without_gpu();
    let request = FitRequest { changes: keys.overrides(), ..request(arguments) };
    let answer = |job: &String| {
        let call = format!("{}{}", file_word(job), keys.typed());
        fit_on(HOST, job, &call, &request, gpus)
    };
    let answers: Vec<Result<FleetReply>> = arguments.jobs.par_iter().map(answer).collect();
    show_all(To::Stdout, answers, arguments.json)
}

/// The jobs that have an answer, also one that does not fit: what it asks for is known.
fn to_lock(answers: &[Result<FitReply>]) -> Result<Vec<LockedRun>> {
    answers.iter().flatten().map(FitReply::to_lock).collect()
}

fn request(arguments: &FitArguments) -> FitRequest {
    let techniques = match arguments {
        FitArguments { techniques: true, .. } => ShowTechniques::Always,
        FitArguments { json: true, .. } => ShowTechniques::Never,
        _ => ShowTechniques::WhereItDoesNotFit,
    };
    let max = arguments.max.map(Into::into);
    FitRequest {
        changes: arguments.keys.overrides(),
        max,
        techniques,
        why: arguments.why,
        strict: arguments.strict,
    }
}

fn answer(job: &str, arguments: &FitArguments, request: &FitRequest) -> Result<FitReply> {
    let call = format!("{}{}", file_word(job), arguments.keys.typed());
    let reply = fit(HOST, job, &call, request)?;
    if let Some(path) = &arguments.trace {
        write_trace(path, job, &reply)?;
    }
    Ok(reply)
}

fn write_trace(path: &Path, job: &str, reply: &FitReply) -> Result<()> {
    let mut output = Output::create("--trace", path, [job])?;
    let in_file = || format!("--trace {}", name_of(path.as_os_str()));
    reply.write_trace(BufWriter::new(&mut output)).with_context(in_file)?;
    output.finish()
}
