use std::collections::BTreeMap;

use brimful_serving::LlamaCppServing;
use brimful_units::Bytes;
use serde::Serialize;

use crate::fit::{Assumed, Basis, Device};
use crate::served::wire::{assumed, basis};
use crate::served::{LlamaCppAnswer, ServedPeak};
use crate::wire::{Verdict, line};

/// The schema `brimful.fit/1` of a job of llama.cpp.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LlamaCppFitJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.fit/1")))]
    pub schema: &'static str,
    /// The job as it was named in the call.
    pub job: &'a str,
    /// Does the server start?
    pub verdict: Verdict,
    /// What is taken on the device.
    pub peak: ServedPeak,
    /// The GPU.
    pub device: Device<'a>,
    /// What fills it.
    pub serving: LlamaCppFigures,
    /// Requests that are served at once: the slots.
    pub max_concurrency: f64,
    /// The largest context that fits, over all slots; null if none does.
    pub largest_ctx_size: Option<u64>,
    /// The most layers on the GPU with which the context fits, where no context fits as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_gpu_layers: Option<u32>,
    /// What each figure rests on.
    pub basis: Vec<Basis<'a>>,
    /// What the job did not say.
    pub assumed: Vec<Assumed<'a>>,
    /// What else to know.
    pub notes: Vec<&'a str>,
}

/// What llama.cpp allocates.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LlamaCppFigures {
    /// The engine.
    pub engine: &'static str,
    /// The version whose rules were taken.
    pub version: &'static str,
    /// Its buffers.
    pub buffers: LlamaCppBuffers,
    /// What it was asked to serve.
    pub load: LlamaCppLoad,
}

/// Bytes by device: `CUDA0` and `host`.
type Devices = BTreeMap<&'static str, u64>;

/// The buffers that llama.cpp prints, in bytes by device: `CUDA0`, and `host` for all host memory of that kind.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LlamaCppBuffers {
    /// Weights.
    pub model: Devices,
    /// Keys and values.
    pub kv: Devices,
    /// States of recurrent layers.
    pub recurrent: Devices,
    /// Tensors of the graph.
    pub compute: Devices,
    /// Logits and embeddings for the caller.
    pub output: Devices,
}

/// What llama.cpp was asked to serve.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LlamaCppLoad {
    /// Tokens of context over all slots, as llama.cpp rounds them.
    pub ctx_size: u64,
    /// Tokens of context of each slot.
    pub ctx_of_slot: u64,
    /// Slots.
    pub parallel: u32,
    /// Do the slots share one cache?
    pub kv_unified: bool,
    /// Tokens that are computed at once.
    pub ubatch_size: u32,
    /// Is flash attention used?
    pub flash_attn: bool,
}

/// The answer as one line of JSON.
pub fn llama_cpp_json(answer: &LlamaCppAnswer<'_>) -> String {
    line(&LlamaCppFitJson::from(answer))
}

impl<'a> From<&'a LlamaCppAnswer<'a>> for LlamaCppFitJson<'a> {
    fn from(answer: &'a LlamaCppAnswer<'a>) -> LlamaCppFitJson<'a> {
        let found = answer.serving;
        LlamaCppFitJson {
            schema: "brimful.fit/1",
            job: answer.job,
            verdict: answer.verdict(),
            peak: ServedPeak { device: found.needed.get() },
            device: device(answer),
            serving: LlamaCppFigures {
                engine: "llama.cpp",
                version: found.version,
                buffers: buffers(answer),
                load: load(found),
            },
            max_concurrency: f64::from(found.settings.parallel.max(1)),
            largest_ctx_size: found.largest_context,
            most_gpu_layers: found.most_layers,
            basis: basis(found),
            assumed: assumed(answer),
            notes: answer.notes().map(String::as_str).collect(),
        }
    }
}

fn device<'a>(answer: &'a LlamaCppAnswer<'a>) -> Device<'a> {
    let gpu = answer.gpu;
    let signed = |bytes: Bytes| i64::try_from(bytes.get()).unwrap_or(i64::MAX);
    Device {
        name: &gpu.name,
        usable: gpu.total.get(),
        headroom: signed(gpu.total).saturating_sub(signed(answer.serving.needed)),
        limit: None,
        overhead: gpu.context.get(),
    }
}

fn buffers(answer: &LlamaCppAnswer<'_>) -> LlamaCppBuffers {
    let host = &answer.serving.buffers.host;
    let both = |gpu: Bytes, host: Bytes| Devices::from([("CUDA0", gpu.get()), ("host", host.get())]);
    // A cache or a state lies in host memory only where the settings put it there.
    let cached = |gpu: Bytes, host: Bytes| {
        let mut devices = both(gpu, host);
        devices.retain(|device, bytes| *device == "CUDA0" || *bytes > 0);
        devices
    };
    LlamaCppBuffers {
        model: both(answer.on_gpu(|gpu| gpu.model), host.mapped),
        kv: cached(answer.on_gpu(|gpu| gpu.kv), host.kv),
        recurrent: cached(answer.on_gpu(|gpu| gpu.recurrent), host.recurrent),
        compute: both(answer.on_gpu(|gpu| gpu.compute), host.compute),
        output: Devices::from([("host", host.output.get())]),
    }
}

fn load(found: &LlamaCppServing) -> LlamaCppLoad {
    LlamaCppLoad {
        ctx_size: found.context,
        ctx_of_slot: found.buffers.context_of_slot,
        parallel: found.settings.parallel,
        kv_unified: found.settings.kv_unified,
        ubatch_size: found.settings.ubatch_size,
        flash_attn: found.buffers.flash_attention,
    }
}
