//! Mixtures of experts (`build_moe_ffn`).

use brimful_gguf::GgmlType;

use super::builder::Builder;
use super::feed_forward::Activation;
use crate::Error;
use crate::ggml::{Id, Op, Unary};
use crate::hparams::Gating;

/// How tokens choose their experts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Experts {
    pub gating: Gating,
    /// Do the weights of a token's experts add up to 1?
    pub norm: bool,
    pub activation: Activation,
}

impl Builder<'_> {
    /// The weighted sum of each token's experts.
    pub fn experts(&mut self, current: Id, layer: usize, choice: Experts) -> Result<Id, Error> {
        let (width, tokens) = (self.graph.get(current).ne[0], self.graph.get(current).ne[1]);
        let logits = self.linear(current, layer, "ffn_gate_inp")?;
        let (chosen, weights) = self.choose(logits, layer, choice, tokens);
        // The choice is computed first, so that CUDA can fuse it.
        self.graph.expand(weights);
        let current = self.graph.reshape_3d(current, width, 1, tokens);
        let hidden = self.expert_hidden(current, layer, chosen, choice)?;
        let outputs = self.expert_linear(hidden, layer, "ffn_down_exps", chosen)?;
        let outputs = self.graph.mul(outputs, weights);
        self.graph.expand(outputs);
        Ok(self.sum_experts(outputs, width, tokens))
    }

    /// The chosen experts and their weights.
    fn choose(&mut self, logits: Id, layer: usize, choice: Experts, tokens: u64) -> (Id, Id) {
        let (experts, used) = (self.hparams.experts, self.hparams.experts_used);
        let probabilities = match choice.gating {
            Gating::Softmax => self.graph.soft_max(logits, None, None),
            Gating::Sigmoid => self.graph.unary(Unary::Sigmoid, logits),
            Gating::SoftmaxWeight => logits,
            Gating::SqrtSoftplus => {
                let softplus = self.graph.unary(Unary::Softplus, logits);
                self.graph.same(Op::Sqrt, softplus)
            }
        };
        let mut selection = probabilities;
        if let Some(bias) = self.maybe_at(layer, "exp_probs_b.bias") {
            selection = self.graph.add2(probabilities, bias);
        }
        if self.hparams.expert_groups > 1 {
            selection = self.best_groups(selection, tokens);
        }
        let chosen = self.graph.top_k(selection, used);
        let rows = self.graph.reshape_3d(probabilities, 1, experts, tokens);
        let mut weights = self.graph.get_rows(rows, chosen);
        if choice.gating == Gating::SoftmaxWeight {
            weights = self.graph.reshape_2d(weights, used, tokens);
            weights = self.graph.soft_max(weights, None, None);
            weights = self.graph.reshape_3d(weights, 1, used, tokens);
        }
        if choice.norm {
            weights = self.graph.reshape_2d(weights, used, tokens);
            let sum = self.graph.sum_rows(weights);
            let sum = self.graph.clamp(sum);
            weights = self.graph.div(weights, sum);
            weights = self.graph.reshape_3d(weights, 1, used, tokens);
        }
        let scale = self.hparams.expert_weights_scale;
        if scale != 0.0 && scale != 1.0 {
            weights = self.graph.scale(weights);
        }
        (chosen, weights)
    }

    /// Leaves only the experts of the groups with the best two experts (DeepSeek-V3).
    fn best_groups(&mut self, selection: Id, tokens: u64) -> Id {
        let groups = self.hparams.expert_groups;
        let each = self.hparams.experts / groups.max(1);
        let grouped = self.graph.reshape_3d(selection, each, groups, tokens);
        let best = self.graph.top_k(grouped, 2);
        let single = self.graph.reshape(grouped, [1, each, groups, tokens]);
        let scores = self.graph.get_rows(single, best);
        let ne = self.graph.get(scores).ne;
        let scores = self.graph.reshape_3d(scores, ne[1], ne[2], ne[3]);
        let scores = self.graph.sum_rows(scores);
        let ne = self.graph.get(scores).ne;
        let scores = self.graph.reshape_2d(scores, ne[1], ne[2]);
        let kept = self.graph.top_k(scores, self.hparams.groups_used);
        let rows = self.graph.get_rows(grouped, kept);
        let masked = self.graph.same(Op::Fill, grouped);
        let masked = self.graph.set_rows(masked, rows, kept);
        self.graph.reshape_2d(masked, self.hparams.experts, tokens)
    }

    /// A product with the matrices of the chosen experts, and their biases.
    fn expert_linear(&mut self, current: Id, layer: usize, part: &str, chosen: Id) -> Result<Id, Error> {
        let matrices = self.at(layer, &format!("{part}.weight"))?;
        let mut result = self.graph.mul_mat_id(matrices, current, chosen);
        if let Some(scales) = self.maybe_at(layer, &format!("{part}.scale")) {
            let (experts, tokens) = (self.graph.get(scales).ne[0], self.graph.get(current).ne[2]);
            let scales = self.graph.reshape_3d(scales, 1, experts, 1);
            let scales = self.graph.repeat(scales, [1, experts, tokens, 1]);
            let scales = self.graph.get_rows(scales, chosen);
            result = self.graph.mul(result, scales);
        }
        if let Some(bias) = self.maybe_at(layer, &format!("{part}.bias")) {
            result = self.graph.add_id(result, bias, chosen);
        }
        Ok(result)
    }

    fn expert_hidden(&mut self, current: Id, layer: usize, chosen: Id, choice: Experts) -> Result<Id, Error> {
        if self.maybe_at(layer, "ffn_gate_up_exps.weight").is_some() {
            let both = self.expert_linear(current, layer, "ffn_gate_up_exps", chosen)?;
            let of = *self.graph.get(both);
            let half = of.ne[0] / 2;
            let part = |builder: &mut Self, offset| {
                builder.graph.view_3d(both, [half, of.ne[1], of.ne[2]], of.nb[1], of.nb[2], offset)
            };
            let (gate, up) = (part(self, 0), part(self, half * 4));
            return Ok(self.graph.glu_split(gate, up));
        }
        let up = self.expert_linear(current, layer, "ffn_up_exps", chosen)?;
        if self.maybe_at(layer, "ffn_gate_exps.weight").is_none() {
            return Ok(self.activation(up, choice.activation));
        }
        let gate = self.expert_linear(current, layer, "ffn_gate_exps", chosen)?;
        Ok(self.graph.glu_split(gate, up))
    }

    /// Adds up the experts, one view after the other.
    fn sum_experts(&mut self, outputs: Id, width: u64, tokens: u64) -> Id {
        let of = *self.graph.get(outputs);
        let mut views = Vec::new();
        for expert in 0..self.hparams.experts_used {
            let view = self.graph.view_2d(outputs, [width, tokens], of.nb[2], expert * of.nb[1]);
            self.graph.expand(view);
            views.push(view);
        }
        let mut views = views.into_iter();
        let mut sum = views.next().unwrap_or(outputs);
        let mut single = true;
        for view in views {
            sum = self.graph.add2(sum, view);
            self.graph.expand(sum);
            single = false;
        }
        debug_assert_eq!(self.graph.get(sum).ty, GgmlType::F32);
        if single { self.graph.cont(sum) } else { sum }
    }
}
