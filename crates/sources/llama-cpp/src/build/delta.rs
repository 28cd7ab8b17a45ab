//! Gated delta nets (src/models/delta-net-base.cpp and qwen35.cpp) and short convolutions (src/models/lfm2.cpp).

use super::builder::{Builder, Norm};
use crate::Error;
use crate::ggml::{Id, Op, Unary};

impl Builder<'_> {
    /// A layer with a gated delta net.
    pub fn delta_net(&mut self, current: Id, layer: usize) -> Result<Id, Error> {
        let ssm = self.hparams.ssm;
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let (heads, head) = (ssm.rank, ssm.inner / ssm.rank.max(1));
        let channels = ssm.inner + 2 * ssm.groups * ssm.state;
        let mixed = self.linear(current, layer, "attn_qkv")?;
        let width = self.graph.get(mixed).ne[0];
        let mixed = self.graph.reshape_3d(mixed, width, tokens, sequences);
        let z = self.linear(current, layer, "attn_gate")?;
        let beta = self.linear(current, layer, "ssm_beta")?;
        let beta = self.graph.reshape(beta, [1, heads, tokens, sequences]);
        let beta = self.graph.unary(Unary::Sigmoid, beta);
        let gate = self.decay(current, layer, heads)?;
        let input = self.conv_input(layer, mixed, channels);
        let cache = self.state_cache(layer);
        let state = self
            .states(cache, self.hparams.ssm_state(), |builder, all, ids| builder.graph.get_rows(all, ids));
        let state = self.graph.reshape(state, [head, head, heads, sequences]);
        let kernel = self.at(layer, "ssm_conv1d.weight")?;
        let convolved = self.graph.ssm_conv(input, kernel);
        let convolved = self.graph.unary(Unary::Silu, convolved);
        let [q, k, v] = self.split_convolved(convolved, head, heads);
        let (q, k) = (self.unit_length(q), self.unit_length(k));
        let output = self.delta_rule([q, k, v, gate, beta, state], cache);
        let z = self.graph.reshape(z, [head, heads, tokens, sequences]);
        let norm = self.at(layer, "ssm_norm.weight")?;
        let normed = self.norm(output, Some(norm), None, Norm::Rms, Some(layer));
        let opened = self.graph.unary(Unary::Silu, z);
        let gated = self.graph.mul(normed, opened);
        let gated = self.graph.reshape_3d(gated, head * heads, tokens, sequences);
        let out = self.linear(gated, layer, "ssm_out")?;
        Ok(self.graph.reshape_2d(out, self.hparams.embedding, tokens * sequences))
    }

    /// The decay of the states: `softplus(alpha + bias) * a`.
    fn decay(&mut self, current: Id, layer: usize, heads: u64) -> Result<Id, Error> {
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let alpha = self.linear(current, layer, "ssm_alpha")?;
        let alpha = self.graph.reshape_3d(alpha, heads, tokens, sequences);
        let bias = self.at(layer, "ssm_dt.bias")?;
        let biased = self.graph.add2(alpha, bias);
        let soft = self.graph.unary(Unary::Softplus, biased);
        let a = self.at(layer, "ssm_a")?;
        let gate = self.graph.mul(soft, a);
        Ok(self.graph.reshape(gate, [1, heads, tokens, sequences]))
    }

    /// Queries, keys and values of the convolution's output.
    fn split_convolved(&mut self, convolved: Id, head: u64, heads: u64) -> [Id; 3] {
        let ssm = self.hparams.ssm;
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let keys = ssm.state * ssm.groups;
        let row = (2 * keys + head * heads) * 4;
        let mut part = |ne: [u64; 2], offset: u64| {
            let nb = [ne[0] * 4, row, row * tokens];
            self.graph.view(convolved, [ne[0], ne[1], tokens, sequences], nb, offset * 4)
        };
        [part([ssm.state, ssm.groups], 0), part([ssm.state, ssm.groups], keys), part([head, heads], 2 * keys)]
    }

    /// Rows of length 1, as a root mean square and a scale (`build_gdn_l2_norm`).
    fn unit_length(&mut self, rows: Id) -> Id {
        let normed = self.graph.same(Op::RmsNorm, rows);
        self.graph.scale(normed)
    }

    /// The delta rule: its outputs; the last states are written back.
    fn delta_rule(&mut self, src: [Id; 6], cache: Id) -> Id {
        let v = self.graph.get(src[2]).ne;
        let result = self.graph.gated_delta_net(src);
        let (row, plane) = (v[0] * 4, v[0] * v[1] * 4);
        let output = self.graph.view(result, v, [row, plane, plane * v[2]], 0);
        let state = [v[0], v[0], v[1], v[3]];
        let nb = [row, row * v[0], row * v[0] * v[1]];
        let last = self.graph.view(result, state, nb, plane * v[2] * v[3]);
        let width = self.hparams.ssm_state();
        let place = self.graph.view_2d(cache, [width, v[3]], width * 4, 0);
        let stored = self.graph.copy(last, place);
        self.graph.expand(stored);
        output
    }

    /// A short convolution, gated before and after (LFM2).
    pub fn short_convolution(&mut self, current: Id, layer: usize) -> Result<Id, Error> {
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let (width, before) = (self.hparams.embedding, self.hparams.shortconv.saturating_sub(1));
        let current = self.graph.reshape_3d(current, width, tokens, sequences);
        let all = self.linear(current, layer, "shortconv.in_proj")?;
        let of = *self.graph.get(all);
        let chunk = of.ne[0] / 3;
        let mut part = |index: u64| {
            let shape = [chunk, tokens, sequences];
            self.graph.view_3d(all, shape, of.nb[1], of.nb[2], index * chunk * 4)
        };
        let (b, c, x) = (part(0), part(1), part(2));
        let gated = self.graph.mul(b, x);
        let turned = self.graph.transpose(gated);
        let cache = self.conv_cache(layer);
        let state = self.hparams.conv_state();
        let conv = self.states(cache, state, |builder, all, ids| builder.graph.get_rows(all, ids));
        let conv = self.graph.reshape_3d(conv, before, width, sequences);
        let input = self.graph.concat_rows(conv, turned);
        let of = *self.graph.get(input);
        let offset = of.ne[0].saturating_sub(before) * 4;
        let last = self.graph.view_3d(input, [before, of.ne[1], of.ne[2]], of.nb[1], of.nb[2], offset);
        let row = self.graph.get(cache).nb[1];
        let place = self.graph.view_2d(cache, [before * width, sequences], row, 0);
        let stored = self.graph.copy(last, place);
        self.graph.expand(stored);
        let kernel = self.at(layer, "shortconv.conv.weight")?;
        let convolved = self.graph.ssm_conv(input, kernel);
        let y = self.graph.mul(c, convolved);
        let out = self.linear(y, layer, "shortconv.out_proj")?;
        let width = self.graph.get(out).ne[0];
        Ok(self.graph.reshape_2d(out, width, tokens * sequences))
    }
}
