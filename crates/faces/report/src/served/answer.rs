use brimful_devices::Gpu;
use brimful_jobs::{Assumption, LlamaCppJob, Recipe, VllmJob};
use brimful_serving::{GpuBuffers, LlamaCppServing, ServedVerdict, Serving, Shortage, Start};
use brimful_units::Bytes;

use crate::wire::Verdict;

/// An answer about a job of a serving engine with what stands around it.
pub struct EngineAnswer<'a, Job, Prediction> {
    /// The job as it was named in the call.
    pub job: &'a str,
    /// The call's arguments that ask for this job again.
    pub call: &'a str,
    /// The command behind the flags, with ` -- ` before it; empty for a job.
    pub command: &'a str,
    /// The job.
    pub served: &'a Job,
    /// What the job's reader assumed and noted.
    pub recipe: &'a Recipe,
    /// The GPU of the job.
    pub gpu: &'a Gpu,
    /// The prediction.
    pub serving: &'a Prediction,
}

/// An answer about a job of vLLM.
pub type ServedAnswer<'a> = EngineAnswer<'a, VllmJob, Serving>;
/// An answer about a job of llama.cpp.
pub type LlamaCppAnswer<'a> = EngineAnswer<'a, LlamaCppJob, LlamaCppServing>;

impl<Job, Prediction: Start> EngineAnswer<'_, Job, Prediction> {
    /// What was taken for keys that the job does not have: by the job's reader, then by the engine's rules.
    pub(super) fn assumed(&self) -> impl Iterator<Item = &Assumption> {
        self.recipe.assumed.iter().chain(self.serving.assumed())
    }

    /// What else to know.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        self.recipe.notes.iter().chain(self.serving.notes())
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.serving.verdict() {
            ServedVerdict::Fits => Verdict::Fits,
            ServedVerdict::TooClose => Verdict::TooClose,
            ServedVerdict::DoesNotFit => Verdict::DoesNotFit,
        }
    }
}

impl LlamaCppAnswer<'_> {
    /// A kind of buffer on the GPU.
    pub(super) fn on_gpu(&self, of: impl Fn(&GpuBuffers) -> Bytes) -> Bytes {
        self.serving.buffers.gpus.first().map_or(Bytes::ZERO, of)
    }
}

impl ServedAnswer<'_> {
    /// What the engine takes beside its KV cache.
    pub(super) fn taken(&self) -> Bytes {
        let found = self.serving;
        found.weights + found.kept + found.non_torch + found.activation_peak + found.graphs
    }

    /// What the KV cache takes: its blocks, or what one request needs where it does not hold one.
    pub(super) fn cached(&self) -> Bytes {
        let cache = &self.serving.kv_cache;
        match self.serving.shortage {
            Some(Shortage::Request { needed, .. }) => needed,
            _ => cache.bytes_per_block.checked_mul(cache.blocks).unwrap_or(cache.bytes),
        }
    }

    /// All that is taken on the device, with the CUDA context.
    pub(super) fn peak(&self) -> Bytes {
        self.taken() + self.cached() + self.gpu.context
    }

    /// What is missing; 0 if nothing is.
    pub(super) fn missing(&self) -> Bytes {
        match self.serving.shortage {
            Some(
                Shortage::Budget { missing, .. }
                | Shortage::NoCache { missing }
                | Shortage::Request { missing, .. },
            ) => missing,
            None => Bytes::ZERO,
        }
    }
}
