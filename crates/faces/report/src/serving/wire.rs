use brimful_rehearsal::{RunRecord, Serving, ServingRecord, serving};
use brimful_units::Bytes;
use serde::Serialize;

/// A serving engine's start-up: the figures of its tightest rank, and of each.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServingJson<'a> {
    /// The engine: vllm or sglang.
    pub engine: &'a str,
    /// Its version; null where it has none.
    pub version: Option<&'a str>,
    /// The figures of the tightest rank.
    #[serde(flatten)]
    pub figures: ServingFigures,
    /// What it was asked to serve.
    pub load: Load<'a>,
    /// Each rank.
    pub ranks: Vec<ServingRank>,
}

/// A rank of an engine.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServingRank {
    /// Its number; null for a process without one.
    pub rank: Option<u64>,
    /// Its figures.
    #[serde(flatten)]
    pub figures: ServingFigures,
}

/// What fills a GPU, in bytes; null where the engine does not say.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServingFigures {
    /// The model's weights.
    pub weights: Option<u64>,
    /// What a forward of the largest batch takes beside the weights.
    pub activation_peak: Option<u64>,
    /// What the capture of CUDA graphs took.
    pub graphs: Option<u64>,
    /// What was set aside for CUDA graphs before.
    pub graphs_estimate: Option<u64>,
    /// What is taken beside PyTorch's memory, after the CUDA context.
    pub non_torch: Option<u64>,
    /// What the engine allows itself.
    pub budget: Option<u64>,
    /// The KV cache.
    pub kv_cache: KvCache,
    /// What stays beside weights, KV cache and graphs.
    pub buffers: RunnerBuffers,
}

/// A KV cache on one GPU.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KvCache {
    /// Its bytes; null where the engine does not say.
    pub bytes: Option<u64>,
    /// Its blocks; null where the engine does not say.
    pub blocks: Option<u64>,
    /// The tokens that it holds, as the engine counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Bytes on one GPU for each token; null where the bytes are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_token: Option<Option<u64>>,
}

/// Buffers of an engine.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunnerBuffers {
    /// The runner's; null where the engine does not say.
    pub runner: Option<u64>,
}

/// What an engine was asked to serve; null where it does not say.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Load<'a> {
    /// The longest context.
    pub max_model_len: Option<u64>,
    /// The most requests at once.
    pub max_num_seqs: Option<u64>,
    /// The most tokens in a batch.
    pub max_num_batched_tokens: Option<u64>,
    /// The share of the GPU that it may take.
    pub gpu_memory_utilization: Option<f64>,
    /// The type of the KV cache's elements, as it was asked for.
    pub kv_cache_dtype: Option<&'a str>,
    /// Tokens for each request, where as many as are allowed run at once.
    pub tokens_per_sequence: Option<u64>,
}

/// The start-up, and how many requests of full length it holds at once; `None` where there was no engine.
pub(crate) fn serving_json(run: &RunRecord) -> Option<(ServingJson<'_>, Option<f64>)> {
    let found = serving(run)?;
    let tightest = found.tightest()?;
    let json = ServingJson {
        engine: found.engine,
        version: found.version,
        figures: figures(tightest, found.kv_tokens),
        load: load(&found, tightest),
        ranks: found
            .ranks
            .iter()
            .map(|(process, record)| ServingRank { rank: process.rank, figures: figures(record, None) })
            .collect(),
    };
    Some((json, found.max_concurrency))
}

/// Bytes are of one GPU; tokens are the engine's.
fn figures(record: &ServingRecord, tokens: Option<u64>) -> ServingFigures {
    let bytes = |amount: Option<Bytes>| amount.map(Bytes::get);
    ServingFigures {
        weights: bytes(record.weights),
        activation_peak: bytes(record.activation_peak),
        graphs: bytes(record.graphs),
        graphs_estimate: bytes(record.graphs_estimate),
        non_torch: bytes(record.non_torch),
        budget: bytes(record.budget),
        kv_cache: KvCache {
            bytes: bytes(record.kv_bytes),
            blocks: record.kv_blocks,
            tokens,
            bytes_per_token: tokens.map(|tokens| per_token(record, tokens)),
        },
        buffers: RunnerBuffers { runner: bytes(record.other()) },
    }
}

/// Bytes on one GPU for each token.
pub(super) fn per_token(record: &ServingRecord, tokens: u64) -> Option<u64> {
    record.kv_bytes?.get().checked_div(tokens)
}

fn load<'a>(found: &Serving<'_>, record: &'a ServingRecord) -> Load<'a> {
    Load {
        max_model_len: record.max_model_len,
        max_num_seqs: record.max_num_seqs,
        max_num_batched_tokens: record.max_num_batched_tokens,
        gpu_memory_utilization: record.gpu_memory_utilization,
        kv_cache_dtype: record.kv_cache_dtype.as_deref(),
        tokens_per_sequence: each(found, record),
    }
}

/// Tokens for each request, where as many as are allowed run at once.
pub(super) fn each(found: &Serving<'_>, record: &ServingRecord) -> Option<u64> {
    found.kv_tokens?.checked_div(record.max_num_seqs?)
}
