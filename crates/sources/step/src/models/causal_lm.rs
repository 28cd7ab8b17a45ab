//! A language model's head over any backbone (`…ForCausalLM`).

use super::cache::Cache;
use super::loss::causal_lm_loss;
use super::mask::slice_logits_to_keep;
use super::{CausalLm, Inputs, Mode, Outputs};
use crate::nn::{Builder, Linear, Module, Parameter};
use crate::tensor::Tensor;

/// A model that makes hidden states of tokens (`…Model`).
pub(super) trait Backbone {
    /// The hidden states after the last norm, `[B, S, width]`.
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Tensor;

    /// The attention window of each block, for the cache.
    fn windows(&self) -> Vec<Option<u64>>;

    /// The table of the input tokens, `[vocabulary, width]`.
    fn embeddings(&self) -> &Parameter;
}

/// A backbone and its language-model head.
pub(super) struct ForCausalLm<B> {
    module: Module,
    model: B,
    lm_head: Linear,
}

impl<B: Backbone> ForCausalLm<B> {
    /// Makes the head behind the backbone, as the constructor does: a tied head has a weight of its own for a moment.
    pub fn new(builder: &Builder, model: B, tied: bool) -> ForCausalLm<B> {
        let embeddings = model.embeddings().clone();
        let shape = embeddings.tensor().shape().clone();
        let mut lm_head = builder.linear("lm_head", shape[1], shape[0], false);
        if tied {
            lm_head.weight = embeddings;
        }
        ForCausalLm { module: builder.module(""), model, lm_head }
    }
}

impl<B: Backbone> CausalLm for ForCausalLm<B> {
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs {
        let _module = self.module.scope(inputs.input_ids.device());
        let mut implicit = (mode.use_cache && cache.is_none()).then(|| Cache::dynamic(&self.windows()));
        let hidden = self.model.forward(inputs, mode, cache.or(implicit.as_mut()));
        let last = slice_logits_to_keep(&hidden, inputs.logits_to_keep);
        let logits = self.lm_head.forward(&last);
        let loss = inputs.labels.map(|labels| causal_lm_loss(&logits, labels));
        // `hidden_states` is a name of the frame; the slice of it is a temporary of the call before.
        drop(last);
        drop(hidden);
        Outputs { loss, logits, cache: implicit }
    }

    fn windows(&self) -> Vec<Option<u64>> {
        self.model.windows()
    }
}
