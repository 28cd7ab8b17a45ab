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
use rustc_hash::FxHashMap;

use crate::device::Device;
use crate::nn::{Builder, Parameter, Techniques};
use crate::program::for_recorded;
use crate::rules::TransformersRules;
use crate::tensor::Tensor;

pub(crate) use parts::{AttentionCall, Cache, Mask, Sight, attend, bidirectional_mask, causal_mask};

/// What a model reads.
#[derive(Clone, Copy)]
pub(crate) enum Sample<'a> {
    /// `input_ids`: token ids `[B, S]`, int64.
    Tokens(&'a Tensor),
    /// `pixel_values`: images `[B, channels, side, side]` in the dtype of the weights.
    Images(&'a Tensor),
    /// `input_features`: spectrograms `[B, mel bins, steps]` in the dtype of the weights.
    Features(&'a Tensor),
    /// Both: token ids first.
    TokensAndImages(&'a Tensor, &'a Tensor),
    /// Images to take the noise from.
    Noisy(&'a Noisy),
}

/// What a model that takes noise away reads. It is dropped in this order.
pub(crate) struct Noisy {
    /// Images in the space of the autoencoder `[B, channels, side, side]`, in the dtype of the weights.
    pub sample: Tensor,
    /// How much noise each image has `[B]`, int64.
    pub timestep: Tensor,
    /// What the images shall show.
    pub condition: Condition,
}

/// What images shall show.
pub(crate) enum Condition {
    /// `encoder_hidden_states`: a text that was encoded `[B, S, width]`, in the dtype of the weights.
    Text(Tensor),
    /// `class_labels`: a class for each image `[B]`, int64.
    Classes(Tensor),
}

impl<'a> Sample<'a> {
    /// What the model reads first.
    pub(crate) fn tensor(self) -> &'a Tensor {
        match self {
            Sample::Tokens(tensor)
            | Sample::Images(tensor)
            | Sample::Features(tensor)
            | Sample::TokensAndImages(tensor, _) => tensor,
            Sample::Noisy(noisy) => &noisy.sample,
        }
    }

    /// `input_ids`.
    pub(crate) fn tokens(self) -> Option<&'a Tensor> {
        match self {
            Sample::Tokens(tokens) | Sample::TokensAndImages(tokens, _) => Some(tokens),
            Sample::Images(_) | Sample::Features(_) | Sample::Noisy(_) => None,
        }
    }

    /// `pixel_values`.
    pub(crate) fn images(self) -> Option<&'a Tensor> {
        match self {
            Sample::Images(images) | Sample::TokensAndImages(_, images) => Some(images),
            Sample::Tokens(_) | Sample::Features(_) | Sample::Noisy(_) => None,
        }
    }

    /// The sample with these images or spectrograms.
    pub(crate) fn with_numbers(self, numbers: &'a Tensor) -> Sample<'a> {
        match self {
            Sample::Images(_) => Sample::Images(numbers),
            Sample::Features(_) => Sample::Features(numbers),
            Sample::TokensAndImages(tokens, _) => Sample::TokensAndImages(tokens, numbers),
            Sample::Tokens(_) | Sample::Noisy(_) => self,
        }
    }

    /// Images to take the noise from.
    pub(crate) fn noisy(self) -> Option<&'a Noisy> {
        match self {
            Sample::Noisy(noisy) => Some(noisy),
            Sample::Tokens(_) | Sample::Images(_) | Sample::Features(_) | Sample::TokensAndImages(..) => None,
        }
    }

    /// `input_features`.
    pub(crate) fn features(self) -> Option<&'a Tensor> {
        match self {
            Sample::Features(features) => Some(features),
            Sample::Tokens(_) | Sample::Images(_) | Sample::TokensAndImages(..) | Sample::Noisy(_) => None,
        }
    }
}

/// What a forward is given.
pub(crate) struct Inputs<'a> {
    /// What the model reads.
    pub sample: Sample<'a>,
    /// The decoder's token ids `[B, T]`, int64, of a model that has an encoder as well and is given no targets.
    pub decoder_input_ids: Option<&'a Tensor>,
    /// 1 where a token is not padding, `[B, S]`, int64.
    pub attention_mask: Option<&'a Tensor>,
    /// What the model shall answer, int64; with it the model computes its loss.
    pub targets: Option<&'a Targets>,
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

/// The targets of a batch; labels and positions are int64. They are dropped in the order of the task's arguments.
pub(crate) enum Targets {
    /// `labels`: the tokens to predict or the labels of tokens `[B, S]`, or a label for each sequence `[B]`.
    Labels(Tensor),
    /// `start_positions` and `end_positions`, each `[B]`.
    Positions(Tensor, Tensor),
    /// The noise that was added to images, in the shape and the dtype of the model's answer.
    Noise(Tensor),
}

impl Inputs<'_> {
    /// `labels`, if that is what the task calls its targets.
    pub(crate) fn labels(&self) -> Option<&Tensor> {
        match self.targets? {
            Targets::Labels(labels) => Some(labels),
            Targets::Positions(..) | Targets::Noise(_) => None,
        }
    }
}

/// What a forward gives back (`CausalLMOutputWithPast`, `MaskedLMOutput` and their relatives). Its fields are dropped in this order.
pub(crate) struct Outputs {
    /// The mean loss over the batch, a scalar; `None` without labels.
    pub loss: Option<Tensor>,
    /// The loss that balances experts, a scalar; `None` if the model computes none.
    #[expect(dead_code, reason = "held for its drop")]
    pub aux_loss: Option<Tensor>,
    /// `[B, kept positions, vocabulary]`, `[B, S, labels]` or `[B, labels]`; for an answer in a text `start_logits`, `[B, S]`.
    pub logits: Tensor,
    /// `end_logits`, `[B, S]`.
    pub end_logits: Option<Tensor>,
    /// What else the model returns, such as embeddings of texts and images, in the order in which it is dropped.
    #[expect(dead_code, reason = "held for its drop")]
    pub others: Vec<Tensor>,
    /// A cache that the model made by itself; it goes after the logits.
    #[expect(dead_code, reason = "held for its drop")]
    pub cache: Option<Cache>,
    /// The second one, of the decoder's attention to the encoder's output.
    #[expect(dead_code, reason = "held for its drop")]
    pub cross_cache: Option<Cache>,
    /// What the encoder made, `[B, S, width]`.
    #[expect(dead_code, reason = "held for its drop")]
    pub encoder_last_hidden_state: Option<Tensor>,
    /// The routers' logits of each layer; empty if the model returns none. A tuple is dropped from its end.
    #[expect(dead_code, reason = "held for its drop")]
    pub router_logits: RouterLogits,
}

impl Outputs {
    /// The results from which a loss is made.
    pub(crate) fn results(&self) -> impl Iterator<Item = &Tensor> {
        self.loss.iter().chain([&self.logits]).chain(&self.end_logits)
    }
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
    /// The names of the layers that gradient checkpointing may wrap, with `{i}` where a list of them has a number.
    pub layers: Vec<String>,
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
    let parameters = builder.finish();
    let by_module = matches!(config, Config::Recorded(_)) && builder.techniques.lora.is_none();
    let layers = builder.layers();
    Model { parameters: if by_module { in_order_of_modules(parameters) } else { parameters }, root, layers }
}

/// `model.parameters()` of parameters in the order of the constructor: those of a module before those of its children
/// (`named_members` in torch/nn/modules/module.py).
fn in_order_of_modules(parameters: Vec<Rc<Parameter>>) -> Vec<Rc<Parameter>> {
    // The place at which each module made its first parameter, by path.
    let mut first: FxHashMap<String, usize> = FxHashMap::default();
    for (at, parameter) in parameters.iter().enumerate() {
        for (dot, _) in parameter.path().match_indices('.') {
            first.entry(parameter.path()[..dot].to_owned()).or_insert(at);
        }
    }
    let place = |parameter: &Rc<Parameter>| {
        let path = parameter.path();
        // A module's own parameters come before its children, which begin at 1.
        let modules = path.match_indices('.').map(|(dot, _)| first.get(&path[..dot]).map_or(0, |at| at + 1));
        modules.chain([0]).collect::<Vec<usize>>()
    };
    let mut ordered = parameters.clone();
    // Stable: parameters of one module stay in their order.
    ordered.sort_by_cached_key(place);
    ordered
}

#[cfg(test)]
mod tests;
