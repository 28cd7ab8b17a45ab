//! The one entry of the crate: a job in, a trace out.

use brimful_jobs::{Job, Workload};
use brimful_trace::Trace;

use crate::categories::categorize;
use crate::device::{DEFAULT_STREAM, Device};
use crate::rules::{TorchRules, TransformersRules};
use crate::run::{infer, train};

/// The step could not be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A tensor of the job would have more than 2^64 bytes.
    #[error(
        "a tensor of this job exceeds 2^64 bytes; lower train.batch, train.sequence or the model's sizes"
    )]
    TooLarge,
    /// The job would make more allocations than can be held.
    #[error(
        "the run makes more than 16 million allocations; lower train.steps, train.accumulation, infer.decode_steps or \
         the model's layers: two steps show the steady state"
    )]
    TooLong,
    /// The recorded program of the model cannot be run for this job.
    #[error(
        "the recorded program of {class} does not cover this job: {message}; brimful rehearse -- python train.py measures \
         your own script with any model"
    )]
    Program {
        /// The class that was recorded.
        class: String,
        /// What is lacking.
        message: String,
    },
    /// The job asks for something that is not simulated. The message names the key, not the file: a [`Job`] no longer
    /// knows where it was read from, and so the caller adds that.
    #[error("{key} = {value} is not simulated; {cure}")]
    Unsupported {
        /// The key of the job.
        key: &'static str,
        /// Its value.
        value: String,
        /// What can be asked for instead.
        cure: &'static str,
    },
}

/// Executes the job on tensors without data and returns every allocation and free.
///
/// Sizes are in bytes as asked of the allocator (the ledger *requested*); replay computes what the
/// allocator makes of them.
///
/// # Errors
/// [`StepError`] where the job is too large for 64 bits or asks for what is not known.
pub fn simulate(job: &Job) -> Result<Trace, StepError> {
    let rules = TorchRules::of(job.versions.torch_rules(), job.versions.cudnn_rules());
    let device = Device::new(job.processor(), rules);
    let transformers = TransformersRules::of(job.versions.transformers_rules());
    // Without a technique that opens others, all of the program runs on the default stream.
    let default_stream = device.stream(DEFAULT_STREAM);
    match &job.workload {
        Workload::Train(run) => train(&device, &job.model, run, job.parallel.as_ref(), transformers),
        Workload::Infer(run) => infer(&device, &job.model, run, transformers),
    }
    drop(default_stream);
    let mut trace = device.finish()?;
    categorize(&mut trace, &job.model);
    Ok(trace)
}
