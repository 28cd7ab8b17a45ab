//! Will it fit?

use std::io::Write;

use anyhow::{Context, Result, bail};
use brimful_explain::TracedRun;
use brimful_jobs::{LoadedJob, Overrides, open};
use brimful_models::Kind;
use brimful_plan::{
    Dimension, Fit, FitVerdict, Largest, Row, fit as fit_job, largest, simulate_and_replay, techniques,
};
use brimful_report::{FitAnswer, fit_json, fit_text, largest_text, shell_word, techniques_text, why_text};

use crate::recording::{ensure_unpacked, head};
use crate::{Answer, Host, Input, LockedRun, Outcome};

/// When an answer lists what each memory technique would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowTechniques {
    /// In every answer.
    Always,
    /// Where the job does not fit: a person then wants to know what helps.
    WhereItDoesNotFit,
    /// Never: a program asks for them.
    Never,
}

/// What is asked about jobs.
#[derive(Clone, Debug)]
pub struct FitRequest {
    /// Changes to the keys of each job.
    pub changes: Overrides,
    /// The dimension whose largest fitting value is looked for.
    pub max: Option<Dimension>,
    /// When techniques are listed.
    pub techniques: ShowTechniques,
    /// Whether the text says what each number rests on.
    pub why: bool,
}

/// Everything that was asked about one job.
pub struct FitReply {
    job: String,
    call: String,
    loaded: LoadedJob,
    fit: Fit,
    largest: Option<Largest>,
    techniques: Vec<Row>,
    why: bool,
    list_techniques: bool,
}

/// Answers a question about one job. `call` is how it can be asked for again on a command line: its name, and the keys
/// that flags changed.
///
/// # Errors
/// A job that is wrong, with the file, the key, the value, what was expected, and the cure.
pub fn fit(host: Host<'_>, job: &str, call: &str, request: &FitRequest) -> Result<FitReply> {
    ensure_no_recording(host, job)?;
    // Errors of `open` name the file themselves.
    let loaded = open(job, host.files, &request.changes)?;
    about(job, call, loaded, request).with_context(|| job.to_owned())
}

/// A recording says what was used, and no job is in it.
fn ensure_no_recording(host: Host<'_>, job: &str) -> Result<()> {
    if host.files.kind(job) != Kind::File {
        return Ok(());
    }
    let head = head(host.files, job).with_context(|| job.to_owned())?;
    ensure_unpacked(job, &head)?;
    let (what, command) = match Input::recognise(&head) {
        Input::Snapshot if !head.trim_ascii_start().starts_with(b"{") => {
            ("a pickle or a packed file", "explain")
        }
        Input::RunFile => ("an archive, such as a run file of `brimful rehearse`", "explain"),
        Input::Trace => ("a trace of `brimful fit --trace`", "replay"),
        _ => return Ok(()),
    };
    let word = shell_word(job);
    bail!(
        "{job}: is {what}; expected a job file, a model folder or a config.json; try: brimful {command} {word}"
    )
}

fn about(job: &str, call: &str, loaded: LoadedJob, request: &FitRequest) -> Result<FitReply> {
    let fit = fit_job(&loaded.job)?;
    let largest = match request.max {
        Some(_) if loaded.job.gpu.is_none() => {
            bail!(
                "`gpu` is missing; --max asks what fits one: name it with --gpu, such as --gpu h100-sxm-80gb"
            )
        }
        Some(of) => Some(largest(&loaded.job, of)?),
        None => None,
    };
    let helpful = match request.techniques {
        ShowTechniques::Always => true,
        ShowTechniques::WhereItDoesNotFit => fit.verdict == FitVerdict::DoesNotFit,
        ShowTechniques::Never => false,
    };
    let techniques = if helpful { techniques(&loaded, &fit) } else { Vec::new() };
    Ok(FitReply {
        job: job.to_owned(),
        call: call.to_owned(),
        loaded,
        fit,
        largest,
        techniques,
        why: request.why,
        list_techniques: request.techniques == ShowTechniques::Always,
    })
}

impl FitReply {
    /// The peaks of the job's phases, for a lock file.
    ///
    /// # Errors
    /// As [`fit`].
    pub fn to_lock(&self) -> Result<LockedRun> {
        let (trace, _) = simulate_and_replay(&self.loaded.job)?;
        let config = self.loaded.job.allocator_conf.parse()?;
        Ok(LockedRun::of(&self.call, TracedRun { trace: &trace, config: &config }))
    }

    fn view(&self) -> FitAnswer<'_> {
        FitAnswer {
            job: &self.job,
            call: &self.call,
            loaded: &self.loaded,
            fit: &self.fit,
            largest: self.largest.as_ref(),
            techniques: &self.techniques,
            techniques_were_asked_for: self.list_techniques,
        }
    }

    /// Writes the simulated allocations as a `.brim` trace.
    ///
    /// # Errors
    /// As the stream's.
    pub fn write_trace(&self, mut to: impl Write) -> Result<()> {
        let (trace, _) = simulate_and_replay(&self.loaded.job)?;
        trace.write_brim(&mut to)?;
        Ok(to.flush()?)
    }
}

impl Answer for FitReply {
    fn text(&self) -> String {
        let mut text = fit_text(&self.view());
        if self.why {
            text += &format!("\n{}", why_text(&self.fit));
        }
        if self.list_techniques {
            text += &format!("\n{}", techniques_text(&self.techniques));
        }
        if let Some(largest) = &self.largest {
            text += &format!("\n{}", largest_text(&self.job, largest));
        }
        text
    }

    fn json(&self) -> String {
        fit_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        if self.fit.verdict == FitVerdict::DoesNotFit { Outcome::Found } else { Outcome::Well }
    }
}
