//! The model families, in the vocabulary and order of their reference implementations
//! (transformers 5.23, src/transformers/models).

mod attention;
mod cache;
mod gpt2;
mod llama;
mod loss;
mod mask;
mod mistral;
mod qwen2;
mod qwen3;
mod rotary;

use brimful_jobs::{AttentionKernel, AttentionMask};
use brimful_models::{Config, DecoderFamily};

use crate::nn::Builder;
use crate::tensor::Tensor;

pub(crate) use cache::Cache;

/// What a forward is given.
pub(crate) struct Inputs<'a> {
    pub input_ids: &'a Tensor,
    pub attention_mask: Option<&'a Tensor>,
    pub labels: Option<&'a Tensor>,
    /// Positions that get logits; `None` for all.
    pub logits_to_keep: Option<u64>,
}

/// What a forward gives back (`CausalLMOutputWithPast`); it lets go in this order.
pub(crate) struct Outputs {
    pub loss: Option<Tensor>,
    #[expect(dead_code, reason = "held for its drop")]
    pub logits: Tensor,
    /// A cache that the model made by itself; it goes after the logits.
    #[expect(dead_code, reason = "held for its drop")]
    pub cache: Option<Cache>,
}

/// How a model runs; the same for every forward.
#[derive(Clone, Debug)]
pub(crate) struct Mode {
    pub attention: AttentionKernel,
    pub attention_mask: AttentionMask,
    pub training: bool,
    pub checkpointing: brimful_jobs::Checkpointing,
    pub use_cache: bool,
}

/// A causal language model.
pub(crate) trait CausalLm {
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs;

    /// Every parameter once, in the order of `model.parameters()`.
    fn parameters(&self) -> Vec<Tensor>;

    /// Key-value heads, head width and window of each block, for the cache.
    fn cache_layers(&self) -> Vec<Option<u64>>;
}

/// Builds the model on the device.
pub(crate) fn build(config: &Config, builder: &Builder) -> Box<dyn CausalLm> {
    match config {
        Config::Gpt2(config) => Box::new(gpt2::Gpt2LmHeadModel::new(config, builder)),
        Config::Decoder(config) => Box::new(match config.family {
            DecoderFamily::Llama => llama::for_causal_lm(config, builder),
            DecoderFamily::Mistral => mistral::for_causal_lm(config, builder),
            DecoderFamily::Qwen2 => qwen2::for_causal_lm(config, builder),
            DecoderFamily::Qwen3 => qwen3::for_causal_lm(config, builder),
        }),
    }
}
