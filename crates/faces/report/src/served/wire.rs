use brimful_serving::{Group, GroupKind, KvCache, Serving, Start};
use brimful_units::Bytes;
use serde::Serialize;

use super::{EngineAnswer, ServedAnswer};
use crate::fit::{Assumed, Basis, Device};
use crate::wire::{Verdict, line};

/// The schema `brimful.fit/1` of a job with `[serve]`: bytes are of one GPU, the tightest.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServedFitJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.fit/1")))]
    pub schema: &'static str,
    /// The job as it was named in the call.
    pub job: &'a str,
    /// Does the engine start, and hold one request of full length?
    pub verdict: Verdict,
    /// What is taken on the device.
    pub peak: ServedPeak,
    /// The GPU.
    pub device: Device<'a>,
    /// What fills it.
    pub serving: ServedFigures<'a>,
    /// Requests of full length that are held at once.
    pub max_concurrency: f64,
    /// The longest request for which the memory suffices; null if not even one token fits.
    pub longest_max_model_len: Option<u64>,
    /// What each figure rests on.
    pub basis: Vec<Basis<'a>>,
    /// What the job did not say.
    pub assumed: Vec<Assumed<'a>>,
    /// What else to know.
    pub notes: Vec<&'a str>,
}

/// What is taken on the device.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServedPeak {
    /// All of it, with the CUDA context.
    pub device: u64,
}

/// What fills a GPU at the end of a start.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServedFigures<'a> {
    /// The engine.
    pub engine: &'static str,
    /// The version whose rules were taken.
    pub version: &'a str,
    /// The model's weights.
    pub weights: u64,
    /// What the profile run takes for a moment, beside the weights.
    pub activation_peak: u64,
    /// What is set aside for CUDA graphs.
    pub graphs: u64,
    /// What stays beside the weights in torch's memory: a block of logits, workspaces, buffers.
    pub kept: u64,
    /// What is taken beside torch's memory: NCCL.
    pub non_torch: u64,
    /// What the engine allows itself.
    pub budget: u64,
    /// The KV cache.
    pub kv_cache: ServedCache,
    /// The KV cache of a start with a filled cache of torch.compile, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_cache_warm: Option<ServedCache>,
    /// What it was asked to serve.
    pub load: ServedLoad,
}

/// A KV cache.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServedCache {
    /// The bytes that are available for it.
    pub bytes: u64,
    /// The least and the most that these can be.
    pub interval: [u64; 2],
    /// The tokens that it holds, as the engine counts them.
    pub tokens: u64,
    /// Its blocks.
    pub blocks: u64,
    /// Tokens of a block of attention.
    pub block_size: u64,
    /// Bytes for each token as the engine counts tokens; null without tokens.
    pub bytes_per_token: Option<u64>,
    /// Its groups of layers.
    pub groups: Vec<ServedGroup>,
}

/// Layers that share blocks.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServedGroup {
    /// What they keep, in the engine's words.
    pub kind: &'static str,
    /// Layers of each such group.
    pub layers: u64,
    /// How many such groups there are.
    pub count: u64,
    /// Tokens of a block.
    pub block_size: u64,
    /// Bytes of a block in one layer.
    pub page_size_bytes: u64,
    /// Tokens of the window or chunk, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
}

/// What an engine was asked to serve.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServedLoad {
    /// The longest request.
    pub max_model_len: u64,
    /// The most requests at once.
    pub max_num_seqs: u64,
    /// The most tokens in a batch.
    pub max_num_batched_tokens: u64,
    /// The share of the GPU.
    pub gpu_memory_utilization: f64,
    /// GPUs over which each layer is split.
    pub tensor_parallel_size: u64,
}

/// The answer as one line of JSON.
pub fn served_json(answer: &ServedAnswer<'_>) -> String {
    line(&ServedFitJson::from(answer))
}

impl<'a> From<&'a ServedAnswer<'a>> for ServedFitJson<'a> {
    fn from(answer: &'a ServedAnswer<'a>) -> ServedFitJson<'a> {
        let found = answer.serving;
        ServedFitJson {
            schema: "brimful.fit/1",
            job: answer.job,
            verdict: answer.verdict(),
            peak: ServedPeak { device: answer.peak().get() },
            device: device(answer),
            serving: figures(found),
            max_concurrency: found.max_concurrency,
            longest_max_model_len: found.longest,
            basis: basis(found),
            assumed: assumed(answer),
            notes: answer.notes().map(String::as_str).collect(),
        }
    }
}

fn device<'a>(answer: &'a ServedAnswer<'a>) -> Device<'a> {
    let gpu = answer.gpu;
    let signed = |bytes: Bytes| i64::try_from(bytes.get()).unwrap_or(i64::MAX);
    let missing = answer.missing();
    let headroom = match missing {
        Bytes::ZERO => signed(gpu.total.saturating_sub(answer.peak())),
        missing => -signed(missing),
    };
    Device {
        name: &gpu.name,
        usable: gpu.total.get(),
        headroom,
        limit: Some((answer.serving.budget + gpu.context).get()),
        overhead: gpu.context.get(),
    }
}

/// What each figure of an engine's start rests on.
pub(super) fn basis(found: &impl Start) -> Vec<Basis<'_>> {
    found
        .basis()
        .iter()
        .map(|(what, basis)| Basis {
            what,
            basis: basis.kind.name(),
            source: &basis.source,
            margin: basis.margin.map(Bytes::get),
        })
        .collect()
}

/// What the job of an engine did not say.
pub(super) fn assumed<'a, Job, Prediction: Start>(
    answer: &'a EngineAnswer<'a, Job, Prediction>,
) -> Vec<Assumed<'a>> {
    answer.assumed().map(|one| Assumed { key: &one.key, value: &one.value, why: one.why }).collect()
}

fn figures(found: &Serving) -> ServedFigures<'_> {
    ServedFigures {
        engine: "vllm",
        version: found.version,
        weights: found.weights.get(),
        activation_peak: found.activation_peak.get(),
        graphs: found.graphs.get(),
        kept: found.kept.get(),
        non_torch: found.non_torch.get(),
        budget: found.budget.get(),
        kv_cache: cache(&found.kv_cache, found.margin),
        kv_cache_warm: found.warm.as_ref().map(|warm| cache(warm, found.margin)),
        load: ServedLoad {
            max_model_len: found.max_model_len,
            max_num_seqs: found.max_num_seqs,
            max_num_batched_tokens: found.max_num_batched_tokens,
            gpu_memory_utilization: found.utilization,
            tensor_parallel_size: found.ranks,
        },
    }
}

fn cache(cache: &KvCache, margin: Bytes) -> ServedCache {
    let bytes = cache.bytes.get();
    ServedCache {
        bytes,
        interval: [bytes.saturating_sub(margin.get()), bytes.saturating_add(margin.get())],
        tokens: cache.tokens,
        blocks: cache.blocks,
        block_size: cache.block_size,
        bytes_per_token: bytes.checked_div(cache.tokens),
        groups: cache.groups.iter().map(group).collect(),
    }
}

fn group(group: &Group) -> ServedGroup {
    ServedGroup {
        kind: group.kind.name(),
        layers: group.layers,
        count: group.count,
        block_size: group.block_size,
        page_size_bytes: group.page_size,
        window: match group.kind {
            GroupKind::Sliding(window) | GroupKind::Chunked(window) => Some(window),
            _ => None,
        },
    }
}
