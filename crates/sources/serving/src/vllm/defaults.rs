//! The settings that a start has, with the engine's own choice for each that the job leaves open.

use brimful_devices::Gpu;
use brimful_jobs::{Assumption, Length, VllmSettings};
use brimful_units::{Bytes, Dtype};

use super::VllmRules;
use crate::{Architecture, ServingError};

/// The settings of a start.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) rules: VllmRules,
    pub(super) utilization: f64,
    pub(super) max_model_len: u64,
    pub(super) max_num_seqs: u64,
    pub(super) max_num_batched_tokens: u64,
    /// Bytes of an element of keys and values.
    pub(super) kv_element: u64,
    pub(super) ranks: u64,
    pub(super) eager: bool,
    pub(super) prefix_caching: bool,
    pub(super) batches_in_flight: u64,
    pub(super) block_size: Option<u64>,
    /// Multiprocessors of the GPU.
    pub(super) multiprocessors: u64,
    /// What was taken for keys that the job does not have.
    pub(super) assumed: Vec<Assumption>,
}

/// `get_batch_defaults` in engine/arg_utils.py, 0.33: tokens of a batch in a program and in a server, and requests.
fn batch_defaults(gpu: &Gpu, rules: &VllmRules) -> (u64, u64, u64) {
    let is_a100 = gpu.name.to_ascii_lowercase().contains("a100");
    let is_gb10 = rules.newest_batches && gpu.compute_capability == (12, 1);
    match () {
        () if rules.newest_batches && gpu.total >= Bytes::gib(160) => (16384, 16384, 1024),
        () if gpu.total >= Bytes::gib(70) && !is_a100 && !is_gb10 => (16384, 8192, 1024),
        () => (8192, 2048, 256),
    }
}

impl Start {
    /// # Errors
    /// A version that is none, ranks that do not divide the heads, a context beyond the model's, a dtype that is not known.
    pub(super) fn of(
        settings: &VllmSettings,
        model: &Architecture,
        gpu: &Gpu,
    ) -> Result<Start, ServingError> {
        let Some((rules, _)) = VllmRules::of(&settings.version) else {
            let expected = "expected a version such as 0.33";
            return Err(ServingError::value("serve.version", format!("{:?}", settings.version), expected));
        };
        check_ranks(model, settings.tensor_parallel_size)?;
        let mut assumed = Vec::new();
        let max_model_len = longest(settings, model, &mut assumed)?;
        let (tokens, seqs) = batches(settings, gpu, &rules, max_model_len, &mut assumed);
        let prefix_caching = prefix_caching(settings, model, &mut assumed);
        let utilization = settings.gpu_memory_utilization.unwrap_or_else(|| {
            note(
                &mut assumed,
                "gpu_memory_utilization",
                rules.utilization,
                "the default of the version (config/cache.py)",
            );
            rules.utilization
        });
        let asynchronous = settings.async_scheduling.unwrap_or(rules.is_asynchronous());
        Ok(Start {
            utilization,
            max_model_len,
            max_num_seqs: seqs,
            max_num_batched_tokens: tokens,
            kv_element: kv_element(settings, model.dtype)?,
            ranks: settings.tensor_parallel_size,
            eager: settings.enforce_eager,
            prefix_caching,
            batches_in_flight: if asynchronous { 2 } else { 1 },
            block_size: settings.block_size,
            multiprocessors: gpu.multiprocessors,
            assumed,
            rules,
        })
    }

    /// Tokens of a block, unless the attention or a state asks for more (`DEFAULT_BLOCK_SIZE` in config/cache.py).
    pub(super) fn usual_block_size(&self) -> u64 {
        self.block_size.unwrap_or(16).max(1)
    }

    /// Tokens that are scheduled and not settled: their blocks are not freed yet.
    pub(super) fn tokens_in_flight(&self) -> u64 {
        self.max_num_batched_tokens.saturating_mul(self.batches_in_flight)
    }
}

fn note(assumed: &mut Vec<Assumption>, key: &str, value: impl ToString, why: &'static str) {
    assumed.push(Assumption { key: format!("serve.{key}"), value: value.to_string(), why });
}

/// The longest request. More than the model's own length is refused unless VLLM_ALLOW_LONG_MAX_MODEL_LEN is set
/// (`_get_and_verify_max_len` in config/model.py, 0.33).
fn longest(
    settings: &VllmSettings,
    model: &Architecture,
    assumed: &mut Vec<Assumption>,
) -> Result<u64, ServingError> {
    let most = model.max_position_embeddings;
    // A model of states alone has no positions that could end.
    let is_bounded = model.has_rows();
    match settings.max_model_len {
        Length::Tokens(tokens) if tokens > most && is_bounded => {
            let expected = format!(
                "the model is made for {most} tokens (max_position_embeddings), and vLLM refuses more; write {most} or less, or \
                 give the config a rope_scaling"
            );
            Err(ServingError::value("serve.max_model_len", tokens, expected))
        }
        Length::Tokens(tokens) => Ok(tokens),
        Length::Fitting => Ok(most),
        Length::Model => {
            note(assumed, "max_model_len", most, "the longest context of the model's config");
            Ok(most)
        }
    }
}

/// Tokens of a batch and requests that run together. Each that the job leaves open is bounded by the other.
fn batches(
    settings: &VllmSettings,
    gpu: &Gpu,
    rules: &VllmRules,
    longest: u64,
    assumed: &mut Vec<Assumption>,
) -> (u64, u64) {
    let (in_program, in_server, usual_seqs) = batch_defaults(gpu, rules);
    let usual_tokens = if settings.in_program { in_program } else { in_server };
    let why = "the engine's default for a GPU of this memory (engine/arg_utils.py get_batch_defaults)";
    let seqs = settings.max_num_seqs.unwrap_or(usual_seqs);
    let tokens = settings.max_num_batched_tokens.unwrap_or_else(|| {
        let tokens = usual_tokens.min(seqs.saturating_mul(longest)).max(1);
        note(assumed, "max_num_batched_tokens", tokens, why);
        tokens
    });
    let seqs = settings.max_num_seqs.unwrap_or_else(|| {
        let seqs = seqs.min(tokens);
        note(assumed, "max_num_seqs", seqs, why);
        seqs
    });
    (tokens, seqs)
}

/// On by default but for models without attention (config/model.py `is_prefix_caching_supported`, 0.33).
fn prefix_caching(settings: &VllmSettings, model: &Architecture, assumed: &mut Vec<Assumption>) -> bool {
    let has_rows = model.has_rows();
    settings.enable_prefix_caching.unwrap_or_else(|| {
        if model.has_state() {
            note(
                assumed,
                "enable_prefix_caching",
                has_rows,
                "the engine's default; it decides how many states a request has",
            );
        }
        has_rows
    }) && has_rows
}

/// Bytes of an element of keys and values.
fn kv_element(settings: &VllmSettings, model: Dtype) -> Result<u64, ServingError> {
    let name = settings.kv_cache_dtype.as_str();
    match name {
        "auto" => Ok(model.size()),
        "bfloat16" | "float16" if name.parse() == Ok(model) => Ok(model.size()),
        "bfloat16" | "float16" => {
            let expected = format!(
                "vLLM takes a 16-bit cache of the model's own dtype only, which is {model}; write auto"
            );
            Err(ServingError::value("serve.kv_cache_dtype", format!("{name:?}"), expected))
        }
        "fp8" | "fp8_e4m3" | "fp8_e5m2" => Ok(1),
        _ => {
            let expected = "expected auto, bfloat16, float16, fp8, fp8_e4m3 or fp8_e5m2; other forms are not predicted yet";
            Err(ServingError::value("serve.kv_cache_dtype", format!("{name:?}"), expected))
        }
    }
}

/// Query heads must divide by the ranks; heads of keys and values divide, or are replicated a whole number of times.
fn check_ranks(model: &Architecture, ranks: u64) -> Result<(), ServingError> {
    const KEY: &str = "serve.tensor_parallel_size";
    let refuse = |what: &str, count: u64| {
        let fits: Vec<String> =
            (1..=8).filter(|ranks| count.is_multiple_of(*ranks)).map(|n| n.to_string()).collect();
        let expected = format!("the model's {count} {what} must divide by it; write {}", fits.join(", "));
        Err(ServingError::value(KEY, ranks, expected))
    };
    for attention in model.attentions() {
        if !attention.heads.is_multiple_of(ranks) {
            return refuse("attention heads", attention.heads);
        }
        let kv_heads = attention.kv_heads;
        if !kv_heads.is_multiple_of(ranks) && !ranks.is_multiple_of(kv_heads) {
            return refuse("heads of keys and values", kv_heads);
        }
    }
    for heads in model.other_heads() {
        if !heads.is_multiple_of(ranks) {
            return refuse("heads", heads);
        }
    }
    Ok(())
}
