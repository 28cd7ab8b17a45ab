//! A model under its language-model head (`…ForCausalLM`).

use super::attention::soft_capped;
use super::cache::Cache;
use super::loss::causal_lm_loss;
use super::mask;
use crate::models::{CausalLm, Inputs, Mode, Outputs, RouterLogits};
use crate::nn::{Builder, Embedding, Forward, Linear, Module};
use crate::tensor::Tensor;

/// The arguments of a model's call.
pub(in crate::models) struct ModelInput<'a> {
    /// The batch.
    pub inputs: &'a Inputs<'a>,
    /// How the model runs.
    pub mode: &'a Mode,
    /// `past_key_values`.
    pub cache: Option<&'a mut Cache>,
}

/// A model without its head: token ids in, normed hidden states `[B, S, width]` out.
pub(in crate::models) trait Backbone:
    for<'a> Forward<Input<'a> = ModelInput<'a>, Output = Tensor>
{
    /// `get_input_embeddings()`: what the head's weight is tied to.
    fn token_embedding(&self) -> &Module<Embedding>;

    /// The attention window of each block in tokens; `None` if the block sees everything.
    fn windows(&self) -> Vec<Option<u64>>;

    /// Whether the head's logits go through a scaled tanh.
    fn final_logit_softcapping(&self) -> bool {
        false
    }
}

/// A model and its head.
pub(in crate::models) struct ForCausalLm<M: Backbone> {
    model: Module<M>,
    lm_head: Module<Linear>,
}

impl<M: Backbone> ForCausalLm<M> {
    /// Builds the model as the module `name`, then the head, which is tied where the config says so.
    pub fn module(
        builder: &Builder,
        name: &str,
        build: impl FnOnce(&Builder) -> M,
    ) -> Module<ForCausalLm<M>> {
        builder.module("", |it| {
            let model = it.module(name, build);
            let lm_head = it.lm_head("lm_head", model.get().token_embedding());
            ForCausalLm { model, lm_head }
        })
    }
}

impl<M: Backbone> Forward for ForCausalLm<M> {
    type Input<'a> = ModelInput<'a>;
    type Output = Outputs;

    fn forward(&self, input: ModelInput<'_>) -> Outputs {
        let ModelInput { inputs, mode, cache } = input;
        let windows = || self.model.get().windows();
        let mut implicit = (mode.use_cache && cache.is_none()).then(|| Cache::dynamic(&windows()));
        let cache = cache.or(implicit.as_mut());
        let hidden = self.model.call(ModelInput { inputs, mode, cache });
        let last = mask::slice_logits_to_keep(&hidden, inputs.logits_to_keep);
        let logits = self.lm_head.call(&last);
        let logits = if self.model.get().final_logit_softcapping() { soft_capped(logits) } else { logits };
        let loss = inputs.labels().map(|labels| causal_lm_loss(&logits, labels, &mode.rules));
        // The function returns after the loss is made: until then its locals hold the hidden states, of which `last` is
        // a view.
        drop(last);
        drop(hidden);
        let router_logits = RouterLogits::default();
        Outputs {
            loss,
            aux_loss: None,
            logits,
            end_logits: None,
            others: Vec::new(),
            cache: implicit,
            cross_cache: None,
            encoder_last_hidden_state: None,
            router_logits,
        }
    }
}

impl<M: Backbone> CausalLm for Module<ForCausalLm<M>> {
    fn call(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs {
        Module::call(self, ModelInput { inputs, mode, cache })
    }

    fn windows(&self) -> Vec<Option<u64>> {
        self.get().model.get().windows()
    }
}
