//! Will a serving engine start, and what does it then hold?

use anyhow::{Context, Result, anyhow, bail};
use brimful_devices::Gpu;
use brimful_jobs::ServedJob;
use brimful_report::{ServedAnswer, served_json, served_text, served_why_text};
use brimful_serving::{ServedVerdict, Serving, vllm};

use crate::fit::ShowTechniques;
use crate::{Answer, FitRequest, Outcome};

/// What was asked about a served job.
pub struct ServedReply {
    job: String,
    call: String,
    /// The command behind `--`; empty for a job.
    command: String,
    served: ServedJob,
    gpu: Gpu,
    serving: Serving,
    why: bool,
    strict: bool,
}

impl ServedReply {
    /// Answers a served job.
    ///
    /// # Errors
    /// No GPU, an architecture that is not known, a setting that the engine refuses, a question about steps.
    pub(crate) fn of(job: &str, call: &str, served: ServedJob, request: &FitRequest) -> Result<ServedReply> {
        if request.max.is_some() {
            bail!(
                "{job}: --max asks about a training step; --set serve.max_model_len=-1 asks for the longest request that fits"
            );
        }
        if request.techniques == ShowTechniques::Always {
            bail!(
                "{job}: --techniques lists what helps a training step; a serving engine has its own settings"
            );
        }
        let Some(gpu) = served.gpu.clone() else {
            bail!(
                "{job}: `gpu` is missing; an engine takes a share of one: write gpu = \"rtx-4090\" in the job, or name it in \
                 the call: brimful fit --gpu rtx-4090 -- vllm serve MODEL"
            );
        };
        let serving = vllm(&served.settings, &served.config, &gpu)
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| served.origin.clone())?;
        Ok(ServedReply {
            job: job.to_owned(),
            call: call.to_owned(),
            command: String::new(),
            served,
            gpu,
            serving,
            why: request.why,
            strict: request.strict,
        })
    }

    /// The same answer about a command.
    pub(crate) fn of_command(self, command: &str) -> ServedReply {
        ServedReply { command: format!(" -- {command}"), ..self }
    }

    /// The job as it was named.
    pub(crate) fn job(&self) -> &str {
        &self.job
    }

    fn view(&self) -> ServedAnswer<'_> {
        ServedAnswer {
            job: &self.job,
            call: &self.call,
            command: &self.command,
            served: &self.served,
            gpu: &self.gpu,
            serving: &self.serving,
        }
    }
}

impl Answer for ServedReply {
    fn text(&self) -> String {
        let view = self.view();
        let why = if self.why { format!("\n{}", served_why_text(&view)) } else { String::new() };
        served_text(&view) + &why
    }

    fn json(&self) -> String {
        served_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        match self.serving.verdict {
            ServedVerdict::DoesNotFit => Outcome::Found,
            ServedVerdict::TooClose if self.strict => Outcome::Found,
            ServedVerdict::TooClose | ServedVerdict::Fits => Outcome::Well,
        }
    }
}
