//! `brimful fit`: will it fit?

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use brimful_jobs::{LoadedJob, Overrides, open};
use brimful_plan::{Fit, FitVerdict, Largest, Row, fit, largest, simulate_and_replay, techniques};
use brimful_report::{FitAnswer, fit_json, fit_text, largest_text, techniques_text, why_text};
use rayon::prelude::*;

use crate::args::FitArguments;
use crate::disk::DiskFiles;
use crate::job_flags::shell_word;
use crate::out::{Outcome, complain, print};

/// Everything that was asked about one job.
struct Answer {
    loaded: LoadedJob,
    fit: Fit,
    largest: Option<Largest>,
    techniques: Vec<Row>,
}

/// Answers every job, in parallel; prints the answers in the order of the call.
///
/// # Errors
/// A call that is wrong as a whole, or a closed stream. A job that is wrong is reported, and the rest still answered.
pub fn run(arguments: &FitArguments) -> Result<Outcome> {
    ensure!(
        arguments.trace.is_none() || arguments.jobs.len() == 1,
        "--trace writes one file and takes one job, not {}",
        arguments.jobs.len()
    );
    let overrides = arguments.keys.overrides();
    let answers: Vec<Result<Answer>> =
        arguments.jobs.par_iter().map(|job| answer(job, arguments, &overrides)).collect();
    let mut worst = Outcome::Well;
    for (at, (job, answer)) in arguments.jobs.iter().zip(answers).enumerate() {
        worst = worst.max(match answer {
            Ok(answer) => {
                let between = if at > 0 && !arguments.json { "\n" } else { "" };
                print(&format!("{between}{}", shown(job, arguments, &answer)))?;
                outcome(&answer.fit)
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                Outcome::Wrong
            }
        });
    }
    Ok(worst)
}

fn answer(job: &str, arguments: &FitArguments, overrides: &Overrides) -> Result<Answer> {
    // Errors of `open` name the file themselves.
    let loaded = open(job, &DiskFiles, overrides)?;
    let answer = about(loaded, arguments).with_context(|| job.to_owned())?;
    if let Some(path) = &arguments.trace {
        write_trace(path, &answer.loaded)?;
    }
    Ok(answer)
}

fn about(loaded: LoadedJob, arguments: &FitArguments) -> Result<Answer> {
    let fit = fit(&loaded.job)?;
    let largest = match arguments.max {
        Some(_) if loaded.job.gpu.is_none() => {
            bail!(
                "`gpu` is missing; --max asks what fits one: name it with --gpu, such as --gpu h100-sxm-80gb"
            )
        }
        Some(of) => Some(largest(&loaded.job, of.into())?),
        None => None,
    };
    // A person whose job does not fit wants to know what helps; a program asks.
    let unasked = fit.verdict == FitVerdict::DoesNotFit && !arguments.json;
    let helpful = arguments.techniques || unasked;
    let techniques = if helpful { techniques(&loaded, &fit) } else { Vec::new() };
    Ok(Answer { loaded, fit, largest, techniques })
}

fn outcome(fit: &Fit) -> Outcome {
    if fit.verdict == FitVerdict::DoesNotFit { Outcome::Found } else { Outcome::Well }
}

fn shown(job: &str, arguments: &FitArguments, answer: &Answer) -> String {
    let call = format!("{}{}", shell_word(job), arguments.keys.typed());
    let Answer { loaded, fit, largest, techniques } = answer;
    let about = FitAnswer { job, call: &call, loaded, fit, largest: largest.as_ref(), techniques };
    if arguments.json {
        return fit_json(&about) + "\n";
    }
    let mut text = fit_text(&about);
    if arguments.why {
        text += &format!("\n{}", why_text(fit));
    }
    if arguments.techniques {
        text += &format!("\n{}", techniques_text(techniques));
    }
    if let Some(largest) = largest {
        text += &format!("\n{}", largest_text(job, largest));
    }
    text
}

fn write_trace(path: &Path, loaded: &LoadedJob) -> Result<()> {
    let (trace, _) = simulate_and_replay(&loaded.job)?;
    let in_file = || format!("--trace {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(in_file)?);
    trace.write_brim(&mut file).with_context(in_file)?;
    file.flush().with_context(in_file)
}
