//! The model families, in the vocabulary and order of their reference implementations
//! (transformers 5.23, src/transformers/models).

mod gemma2;
mod gpt2;
mod llama;
mod mistral;
mod parts;
mod qwen2;
mod qwen3;

use std::rc::Rc;

use brimful_jobs::{AttentionKernel, AttentionMask, Precision};
use brimful_models::{Config, DecoderFamily};

use crate::device::Device;
use crate::nn::{Builder, Parameter, Techniques};
use crate::program::for_recorded;
use crate::rules::TransformersRules;
use crate::tensor::Tensor;

pub(crate) use parts::{AttentionCall, Cache, Mask, Sight, attend, causal_mask};

/// What a forward is given.
pub(crate) struct Inputs<'a> {
    /// Token ids `[B, S]`, int64.
    pub input_ids: &'a Tensor,
    /// 1 where a token is not padding, `[B, S]`, int64.
    pub attention_mask: Option<&'a Tensor>,
    /// The tokens to predict, `[B, S]`, int64; with them the model computes its loss.
    pub labels: Option<&'a Tensor>,
    /// How many of the last positions get logits; `None` or 0 for all.
    pub logits_to_keep: Option<u64>,
}

/// The tuple `router_logits` of a model's output.
#[derive(Default)]
pub(crate) struct RouterLogits(pub Vec<Tensor>);

impl Drop for RouterLogits {
    /// CPython drops a tuple's items from the last to the first (`tuple_dealloc` in Objects/tupleobject.c, 3.11).
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// What a forward gives back (`CausalLMOutputWithPast`). Its fields are dropped in this order.
pub(crate) struct Outputs {
    /// The mean loss over the batch, a scalar; `None` without labels.
    pub loss: Option<Tensor>,
    /// The loss that balances experts, a scalar; `None` if the model computes none.
    #[expect(dead_code, reason = "held for its drop")]
    pub aux_loss: Option<Tensor>,
    /// `[B, kept positions, vocabulary]`.
    #[expect(dead_code, reason = "held for its drop")]
    pub logits: Tensor,
    /// A cache that the model made by itself; it goes after the logits.
    #[expect(dead_code, reason = "held for its drop")]
    pub cache: Option<Cache>,
    /// The routers' logits of each layer; empty if the model returns none. A tuple is dropped from its end.
    #[expect(dead_code, reason = "held for its drop")]
    pub router_logits: RouterLogits,
}

/// How a model runs; the same for every forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    /// `attn_implementation`.
    pub attention: AttentionKernel,
    /// What the batches' masks hold.
    pub attention_mask: AttentionMask,
    /// `model.train()`.
    pub training: bool,
    /// What depends on the version of transformers.
    pub rules: TransformersRules,
    /// Whether the model makes a cache where the caller passes none.
    pub use_cache: bool,
}

/// A causal language model.
pub(crate) trait CausalLm {
    /// `model(**inputs)`.
    fn call(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs;

    /// The attention window of each block in tokens, for the cache; `None` if the block sees everything.
    fn windows(&self) -> Vec<Option<u64>>;
}

/// A model on the device.
pub(crate) struct Model {
    /// The module at the root.
    pub root: Box<dyn CausalLm>,
    /// Every parameter once, in the order of `model.parameters()`.
    pub parameters: Vec<Rc<Parameter>>,
}

impl Model {
    /// The parameters that an optimizer is given.
    pub fn trained(&self) -> Vec<Rc<Parameter>> {
        self.parameters.iter().filter(|parameter| parameter.requires_grad()).cloned().collect()
    }
}

/// Builds the model on the device, with what the job's techniques attach to its modules.
pub(crate) fn build(device: &Device, config: &Config, precision: Precision, techniques: Techniques) -> Model {
    let builder = &Builder::new(device, config, precision, techniques);
    let root = match config {
        Config::Gpt2(config) => gpt2::for_causal_lm(config, builder),
        Config::Recorded(config) => for_recorded(config, builder),
        Config::Decoder(config) => match config.family {
            DecoderFamily::Llama => llama::for_causal_lm(config, builder),
            DecoderFamily::Mistral => mistral::for_causal_lm(config, builder),
            DecoderFamily::Qwen2 => qwen2::for_causal_lm(config, builder),
            DecoderFamily::Qwen3 => qwen3::for_causal_lm(config, builder),
            DecoderFamily::Gemma2 => gemma2::for_causal_lm(config, builder),
        },
    };
    Model { parameters: builder.finish(), root }
}

#[cfg(test)]
mod tests;
