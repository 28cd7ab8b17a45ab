//! The command line of a serving engine as a job: `vllm serve MODEL --max-model-len 32768`, `llama-server -m MODEL.gguf`.

mod llama_cpp;
mod vllm;

use brimful_models::Files;
use serde_json::Value;

use crate::serve::served;
use crate::{JobError, JobFault, Overrides, ServedJob};

/// Reads the command that starts a server. `changes` are made to its job; the GPU comes through them.
///
/// ```
/// use brimful_jobs::{Length, Overrides, ServedJob, served_command};
/// let words = ["vllm", "serve", "llama-3.1-8b", "--max-model-len", "32k", "-tp", "2"].map(str::to_owned);
/// let changes = Overrides::default().set("gpu", "h100");
/// let job = served_command(&words, &brimful_models::NoFiles, &changes).unwrap();
/// let ServedJob::Vllm(job) = job else { panic!("vLLM's command") };
/// assert_eq!(job.settings.max_model_len, Length::Tokens(32_000));
/// assert_eq!(job.settings.tensor_parallel_size, 2);
/// ```
///
/// # Errors
/// A command of another program, a flag that is not known or whose effect is not predicted, a value that cannot be.
pub fn served_command(
    words: &[String],
    files: &dyn Files,
    changes: &Overrides,
) -> Result<ServedJob, JobError> {
    let origin = "the command line";
    let at = |fault: JobFault| JobError { origin: origin.to_owned(), line: None, fault };
    let typed = llama_cpp::arguments(words);
    let mut tree: Value = match &typed {
        Some(typed) => llama_cpp::job(typed).map_err(at)?,
        None => vllm::job(words).map_err(at)?,
    };
    let typed = typed.unwrap_or_default();
    changes.apply(&mut tree);
    served(origin, &tree, &typed, files).map_err(at)
}
