use brimful_devices::Gpu;
use brimful_jobs::LlamaCppJob;
use brimful_serving::{LlamaCppServing, ServedVerdict};
use brimful_units::Bytes;

use crate::wire::Verdict;

/// An answer about a job of llama.cpp with what stands around it.
pub struct LlamaCppAnswer<'a> {
    /// The job as it was named in the call.
    pub job: &'a str,
    /// The call's arguments that ask for this job again.
    pub call: &'a str,
    /// The command behind the flags, with ` -- ` before it; empty for a job.
    pub command: &'a str,
    /// The job.
    pub served: &'a LlamaCppJob,
    /// The GPU of the job.
    pub gpu: &'a Gpu,
    /// The prediction.
    pub serving: &'a LlamaCppServing,
}

impl LlamaCppAnswer<'_> {
    /// A kind of buffer on the GPU.
    pub(super) fn on_gpu(&self, of: impl Fn(&brimful_serving::GpuBuffers) -> Bytes) -> Bytes {
        self.serving.buffers.gpus.first().map_or(Bytes::ZERO, of)
    }

    /// What was taken for settings that the job does not have: key, value, reason.
    pub(super) fn assumed(&self) -> Vec<(String, String, &'static str)> {
        let of_job = self.served.recipe.assumed.iter();
        let mut all: Vec<_> = of_job.map(|one| (one.key.clone(), one.value.clone(), one.why)).collect();
        let settings = &self.serving.settings;
        let is_absent = |flags: &[&str]| !self.served.words.iter().any(|word| flags.contains(&word.as_str()));
        let mut assume = |flags: &[&str], key: &str, value: String, why| {
            if is_absent(flags) {
                all.push((format!("serve.{key}"), value, why));
            }
        };
        let (context, layers) = (self.serving.context.to_string(), "all".to_owned());
        if settings.ctx_size == 0 {
            assume(&[], "ctx_size", context, "the context that the model was trained for");
        }
        assume(&["-ngl", "--gpu-layers", "--n-gpu-layers"], "n_gpu_layers", layers, "the server's default");
        let slots = "the server's default: 4 slots that share one cache";
        assume(&["-np", "--parallel"], "parallel", settings.parallel.to_string(), slots);
        let flash = if self.serving.buffers.flash_attention { "on" } else { "off" };
        let why = "the server's default: where the GPU of each layer runs it";
        assume(&["-fa", "--flash-attn"], "flash_attn", flash.to_owned(), why);
        all
    }

    /// What else to know.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        self.served.recipe.notes.iter().chain(&self.serving.notes)
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.serving.verdict {
            ServedVerdict::Fits => Verdict::Fits,
            ServedVerdict::TooClose => Verdict::TooClose,
            ServedVerdict::DoesNotFit => Verdict::DoesNotFit,
        }
    }
}
