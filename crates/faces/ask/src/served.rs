//! Will a serving engine start, and what does it then hold?

use anyhow::{Context, Result, anyhow, bail};
use brimful_devices::Gpu;
use brimful_jobs::{LlamaCppJob, Recipe, ServedJob, VllmJob};
use brimful_report::{
    EngineAnswer, llama_cpp_json, llama_cpp_text, served_json, served_text, served_why_text,
};
use brimful_serving::{LlamaCppServing, ServedVerdict, Serving, llama_cpp, vllm};

use crate::fit::ShowTechniques;
use crate::{Answer, FitRequest, Host, Outcome, gguf};

/// What was asked about a served job.
pub struct ServedReply {
    job: String,
    call: String,
    /// The command behind `--`; empty for a job.
    command: String,
    gpu: Gpu,
    engine: Engine,
    why: bool,
    strict: bool,
}

/// The engine's job and its answer.
enum Engine {
    Vllm { served: Box<VllmJob>, serving: Box<Serving> },
    LlamaCpp { served: Box<LlamaCppJob>, serving: Box<LlamaCppServing> },
}

impl ServedReply {
    /// Answers a served job.
    ///
    /// # Errors
    /// No GPU, an architecture that is not known, a setting that the engine refuses, a file that is no model, a question about
    /// steps.
    pub(crate) fn of(
        host: Host<'_>,
        job: &str,
        call: &str,
        served: ServedJob,
        request: &FitRequest,
    ) -> Result<ServedReply> {
        check_request(job, &served, request)?;
        let (gpu, engine) = match served {
            ServedJob::Vllm(served) => {
                let gpu = named(job, served.gpu.as_ref(), "vllm serve MODEL")?;
                let serving = vllm(&served.settings, &served.config, &gpu)
                    .map_err(|error| anyhow!("{error}"))
                    .with_context(|| served.origin.clone())?;
                (gpu, Engine::Vllm { served, serving: Box::new(serving) })
            }
            ServedJob::LlamaCpp(mut served) => {
                let gpu = named(job, served.gpu.as_ref(), "llama-server -m MODEL.gguf")?;
                let (header, notes) = gguf::header(host, &served.file)?;
                served.recipe.notes.extend(notes);
                let serving = llama_cpp(&served, &header, &gpu)
                    .map_err(|error| anyhow!("{error}"))
                    .with_context(|| served.file.clone())?;
                (gpu, Engine::LlamaCpp { served, serving: Box::new(serving) })
            }
        };
        Ok(ServedReply {
            job: job.to_owned(),
            call: call.to_owned(),
            command: String::new(),
            gpu,
            engine,
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

    fn view<'a, Job, Prediction>(
        &'a self,
        served: &'a Job,
        recipe: &'a Recipe,
        serving: &'a Prediction,
    ) -> EngineAnswer<'a, Job, Prediction> {
        let ServedReply { job, call, command, gpu, .. } = self;
        EngineAnswer { job, call, command, served, recipe, gpu, serving }
    }
}

/// Refuses what is asked about steps only.
fn check_request(job: &str, served: &ServedJob, request: &FitRequest) -> Result<()> {
    if request.max.is_some() {
        match served {
            ServedJob::Vllm(_) => bail!(
                "{job}: --max asks about a training step; --set serve.max_model_len=-1 asks for the longest request that fits"
            ),
            ServedJob::LlamaCpp(_) => bail!(
                "{job}: --max asks about a training step; leave it out: the answer names the largest ctx_size that fits"
            ),
        }
    }
    if request.techniques == ShowTechniques::Always {
        bail!("{job}: --techniques lists what helps a training step; a serving engine has its own settings");
    }
    Ok(())
}

/// The job's GPU. `command` is one that could be asked about.
fn named(job: &str, gpu: Option<&Gpu>, command: &str) -> Result<Gpu> {
    match gpu {
        Some(gpu) => Ok(gpu.clone()),
        None => bail!(
            "{job}: `gpu` is missing; an engine runs on one: write gpu = \"rtx-4090\" in the job, or name it in the call: \
             --gpu rtx-4090, as in brimful fit --gpu rtx-4090 -- {command}"
        ),
    }
}

impl Answer for ServedReply {
    fn text(&self) -> String {
        let (text, why) = match &self.engine {
            Engine::Vllm { served, serving } => {
                let view = self.view(&**served, &served.recipe, &**serving);
                (served_text(&view), served_why_text(&view))
            }
            Engine::LlamaCpp { served, serving } => {
                let view = self.view(&**served, &served.recipe, &**serving);
                (llama_cpp_text(&view), served_why_text(&view))
            }
        };
        if self.why { format!("{text}\n{why}") } else { text }
    }

    fn json(&self) -> String {
        match &self.engine {
            Engine::Vllm { served, serving } => {
                served_json(&self.view(&**served, &served.recipe, &**serving))
            }
            Engine::LlamaCpp { served, serving } => {
                llama_cpp_json(&self.view(&**served, &served.recipe, &**serving))
            }
        }
    }

    fn outcome(&self) -> Outcome {
        let verdict = match &self.engine {
            Engine::Vllm { serving, .. } => serving.verdict,
            Engine::LlamaCpp { serving, .. } => serving.verdict,
        };
        match verdict {
            ServedVerdict::DoesNotFit => Outcome::Found,
            ServedVerdict::TooClose if self.strict => Outcome::Found,
            ServedVerdict::TooClose | ServedVerdict::Fits => Outcome::Well,
        }
    }
}
