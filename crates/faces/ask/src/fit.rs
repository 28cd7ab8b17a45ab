//! Will it fit?

use std::io::Write;

use anyhow::{Context, Result, bail};
use brimful_explain::TracedRun;
use brimful_jobs::{LoadedJob, Overrides, open, open_served, served_command};
use brimful_models::Kind;
use brimful_plan::{
    Dimension, Fit, FitVerdict, Largest, Row, fit as fit_job, largest, simulate_and_replay, techniques,
};
use brimful_report::{FitAnswer, file_word, fit_json, fit_text, shell_word, techniques_text, why_text};

use crate::explain::files_of;
use crate::input::belongs_elsewhere;
use crate::recording::{ensure_unpacked, head};
use crate::served::ServedReply;
use crate::{Answer, Host, LockedRun, Outcome};

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
    /// Whether a job that is too close to call counts as one that does not fit.
    pub strict: bool,
}

/// Everything that was asked about one job.
pub enum FitReply {
    /// About a training step, or generation with plain transformers.
    Step(Box<StepReply>),
    /// About a serving engine.
    Served(Box<ServedReply>),
}

/// What was asked about a step.
pub struct StepReply {
    job: String,
    call: String,
    loaded: LoadedJob,
    fit: Fit,
    largest: Option<Largest>,
    techniques: Vec<Row>,
    why: bool,
    strict: bool,
    list_techniques: bool,
}

/// Answers a question about one job. `call` is how it can be asked for again on a command line: its name, and the keys
/// that flags changed.
///
/// # Errors
/// A job that is wrong, with the file, the key, the value, what was expected, and the cure.
pub fn fit(host: Host<'_>, job: &str, call: &str, request: &FitRequest) -> Result<FitReply> {
    check_kind(host, job)?;
    if let Some(served) = open_served(job, host.files, &request.changes)? {
        return ServedReply::of(host, job, call, served, request)
            .map(|reply| FitReply::Served(Box::new(reply)));
    }
    let loaded = runnable(open_job(host, job, &request.changes)?)?;
    let reply = about(job, call, loaded, request).with_context(|| job.to_owned())?;
    Ok(FitReply::Step(Box::new(reply)))
}

/// Answers a question about the command that starts a server. `flags` are those of the call, each after a blank.
///
/// # Errors
/// As [`fit`]; also a command of another program, and a flag whose effect is not predicted.
pub fn fit_command(
    host: Host<'_>,
    command: &[String],
    flags: &str,
    request: &FitRequest,
) -> Result<FitReply> {
    let served = served_command(command, host.files, &request.changes)?;
    let words: Vec<String> = command.iter().map(|word| shell_word(word)).collect();
    let job = words.join(" ");
    let reply = ServedReply::of(host, &job, flags.trim_start(), served, request)?;
    Ok(FitReply::Served(Box::new(reply.of_command(&job))))
}

/// Opens a job.
///
/// # Errors
/// As [`open`]; a file that is no job is refused with the command that it belongs to.
pub(crate) fn open_job(host: Host<'_>, job: &str, changes: &Overrides) -> Result<LoadedJob> {
    check_kind(host, job)?;
    // Errors of `open` name the file themselves.
    Ok(open(job, host.files, changes)?)
}

/// Refuses a file or folder that belongs to another command.
fn check_kind(host: Host<'_>, job: &str) -> Result<()> {
    if host.files.kind(job) == Kind::File {
        let head = head(host.files, job).with_context(|| job.to_owned())?;
        ensure_unpacked(job, &head)?;
        if let Some(what) = belongs_elsewhere(job, &head) {
            bail!("{job}: {what}");
        }
    }
    if let Some(one) = snapshots_of(host, job).first() {
        let (folder, file) = (file_word(job), file_word(one));
        bail!(
            "{job}: holds .pickle files and no config.json; expected a job; if they are snapshots, brimful ranks {folder} \
             compares them, and brimful explain {file} says what fills one"
        );
    }
    Ok(())
}

/// The snapshots of a folder that holds no model.
fn snapshots_of(host: Host<'_>, folder: &str) -> Vec<String> {
    let pickles = files_of(host.files, folder, &["pickle", "pkl"]);
    let config = format!("{}/config.json", folder.trim_end_matches('/'));
    if host.files.kind(&config) == Kind::File { Vec::new() } else { pickles }
}

/// The job, unless its real run ends in an error of another kind: a verdict about its memory would be misread.
///
/// # Errors
/// Why the run fails, with the job's name.
pub(crate) fn runnable(loaded: LoadedJob) -> Result<LoadedJob> {
    match &loaded.recipe.fails {
        Some(why) => bail!("{}: {why}", loaded.origin()),
        None => Ok(loaded),
    }
}

fn about(job: &str, call: &str, loaded: LoadedJob, request: &FitRequest) -> Result<StepReply> {
    let fit = fit_job(&loaded.job)?;
    let largest = match request.max {
        Some(_) if loaded.job.gpu.is_none() => {
            bail!(
                "`gpu` is missing; --max asks what fits one: name it with --gpu, such as --gpu h100-sxm-80gb"
            )
        }
        Some(Dimension::Sequence) if loaded.job.workload.image().is_some() => {
            bail!("--max sequence asks about tokens, and the job reads images; write --max batch")
        }
        Some(Dimension::Sequence) if loaded.job.workload.task().reads_speech() => {
            bail!("--max sequence asks about tokens, and the job reads speech; write --max batch")
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
    Ok(StepReply {
        job: job.to_owned(),
        call: call.to_owned(),
        loaded,
        fit,
        largest,
        techniques,
        why: request.why,
        strict: request.strict,
        list_techniques: request.techniques == ShowTechniques::Always,
    })
}

impl FitReply {
    /// The peaks of the job's phases, for a lock file.
    ///
    /// # Errors
    /// As [`fit`]; a served job has no phases.
    pub fn to_lock(&self) -> Result<LockedRun> {
        match self {
            FitReply::Step(step) => step.to_lock(),
            FitReply::Served(served) => bail!("{}: {NO_TRACE}", served.job()),
        }
    }

    /// Writes the simulated allocations as a `.brim` trace.
    ///
    /// # Errors
    /// As the stream's; a served job has no trace.
    pub fn write_trace(&self, to: impl Write) -> Result<()> {
        match self {
            FitReply::Step(step) => step.write_trace(to),
            FitReply::Served(served) => bail!("{}: {NO_TRACE}", served.job()),
        }
    }
}

/// Why a served job has no trace.
const NO_TRACE: &str = "a serving engine's memory is computed by its rules and has no trace; leave --trace, --lock and --check out, or \
     record the engine itself: brimful rehearse -- vllm serve MODEL";

impl Answer for FitReply {
    fn text(&self) -> String {
        match self {
            FitReply::Step(step) => step.text(),
            FitReply::Served(served) => served.text(),
        }
    }

    fn json(&self) -> String {
        match self {
            FitReply::Step(step) => step.json(),
            FitReply::Served(served) => served.json(),
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            FitReply::Step(step) => step.outcome(),
            FitReply::Served(served) => served.outcome(),
        }
    }
}

impl StepReply {
    fn to_lock(&self) -> Result<LockedRun> {
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

    fn write_trace(&self, mut to: impl Write) -> Result<()> {
        let (trace, _) = simulate_and_replay(&self.loaded.job)?;
        trace.write_brim(&mut to)?;
        Ok(to.flush()?)
    }
}

impl Answer for StepReply {
    fn text(&self) -> String {
        let mut text = fit_text(&self.view());
        if self.why {
            text += &format!("\n{}", why_text(&self.loaded, &self.fit));
        }
        if self.list_techniques {
            text += &format!("\n{}", techniques_text(&self.techniques));
        }
        text
    }

    fn json(&self) -> String {
        fit_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        match self.fit.verdict {
            FitVerdict::DoesNotFit => Outcome::Found,
            FitVerdict::TooClose if self.strict => Outcome::Found,
            FitVerdict::TooClose | FitVerdict::Fits | FitVerdict::NoDevice => Outcome::Well,
        }
    }
}
