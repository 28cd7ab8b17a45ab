//! State-space layers (`build_rs`, src/models/mamba-base.cpp).

use brimful_gguf::GgmlType;

use super::builder::{Builder, Norm};
use crate::Error;
use crate::ggml::{Id, Unary};

impl Builder<'_> {
    /// Rows of the states of the batch's sequences, and of the others.
    pub(super) fn state_ids(&mut self) -> (Id, Id) {
        if let Some(ids) = self.state_ids {
            return ids;
        }
        let (all, here) = (self.memory.states, self.run.sequences);
        let ids = self.graph.input(GgmlType::I32, [all, 1, 1, 1]);
        let main = self.graph.view_1d(ids, here, 0);
        let extra = self.graph.view_1d(ids, all.saturating_sub(here), here * 4);
        self.state_ids = Some((main, extra));
        (main, extra)
    }

    /// The states of the batch's sequences. `rows` makes their tensor from all states and the rows' ids.
    pub(super) fn states(&mut self, cache: Id, width: u64, rows: impl FnOnce(&mut Self, Id, Id) -> Id) -> Id {
        let (main, extra) = self.state_ids();
        let all = self.memory.states;
        let states = self.graph.reshape_2d(cache, width, all);
        let zero = self.graph.view_1d(states, width, 0);
        let cleared = self.graph.scale_in_place(zero);
        self.graph.expand(cleared);
        let here = rows(self, states, main);
        self.graph.expand(here);
        // States that the batch does not touch are moved behind those that it does.
        let others = self.graph.get_rows(states, extra);
        let sequences = self.run.sequences;
        let row = self.graph.get(cache).nb[1];
        let behind = self.graph.view_2d(cache, [width, all.saturating_sub(sequences)], row, sequences * row);
        let moved = self.graph.copy(others, behind);
        self.graph.expand(moved);
        here
    }

    /// The cache of convolution states of a layer.
    pub(super) fn conv_cache(&mut self, layer: usize) -> Id {
        let shape = [self.hparams.conv_state(), self.memory.states, 1, 1];
        self.cache(layer, "r", GgmlType::F32, shape)
    }

    /// The cache of states of a layer.
    pub(super) fn state_cache(&mut self, layer: usize) -> Id {
        let shape = [self.hparams.ssm_state(), self.memory.states, 1, 1];
        self.cache(layer, "s", GgmlType::F32, shape)
    }

    /// The convolution's input: the states of the tokens before, and the tokens; and writes the last ones back.
    pub(super) fn conv_input(&mut self, layer: usize, tokens: Id, channels: u64) -> Id {
        let sequences = self.run.sequences;
        let before = self.hparams.ssm.conv.saturating_sub(1);
        let cache = self.conv_cache(layer);
        let width = self.hparams.conv_state();
        let conv = self.states(cache, width, |builder, all, ids| builder.graph.get_rows(all, ids));
        let conv = self.graph.reshape_3d(conv, before, channels, sequences);
        let turned = self.graph.transpose(tokens);
        let input = self.graph.concat_rows(conv, turned);
        let of = *self.graph.get(input);
        let offset = self.run.tokens_of_sequence() * of.nb[0];
        let last = self.graph.view_3d(input, [before, channels, sequences], of.nb[1], of.nb[2], offset);
        let row = self.graph.get(cache).nb[1];
        let place = self.graph.view_2d(cache, [before * channels, sequences], row, 0);
        let stored = self.graph.copy(last, place);
        self.graph.expand(stored);
        input
    }

    /// A Mamba-2 layer.
    pub fn mamba2(&mut self, current: Id, layer: usize) -> Result<Id, Error> {
        let ssm = self.hparams.ssm;
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let (heads, head) = (ssm.rank, ssm.inner / ssm.rank.max(1));
        let mixed = ssm.inner + 2 * ssm.groups * ssm.state;
        let projected = self.linear(current, layer, "ssm_in")?;
        let width = self.graph.get(projected).ne[0];
        // The states of the convolution are read before the projection is.
        let projected = self.graph.reshape_3d(projected, width, tokens, sequences);
        let of = *self.graph.get(projected);
        let rows = [of.nb[1], of.nb[2]];
        let gate =
            self.graph.view(projected, [head, heads, tokens, sequences], [head * 4, rows[0], rows[1]], 0);
        let x = self.graph.view_3d(projected, [mixed, tokens, sequences], rows[0], rows[1], ssm.inner * 4);
        let dt = self.graph.view_3d(
            projected,
            [heads, tokens, sequences],
            rows[0],
            rows[1],
            (ssm.inner + mixed) * 4,
        );
        let input = self.conv_input(layer, x, mixed);
        let convolved = self.convolve(input, layer)?;
        let (scanned, x) = self.scan2(convolved, dt, layer)?;
        let y = self.with_skip(scanned, x, gate, layer)?;
        let y = match self.maybe_at(layer, "ssm_norm.weight") {
            Some(_) => {
                let each = ssm.inner / ssm.groups.max(1);
                let norm = self.reshaped_at(layer, "ssm_norm.weight", [each, ssm.groups, 1, 1])?;
                let y = self.graph.reshape(y, [each, ssm.groups, tokens, sequences]);
                self.norm(y, Some(norm), None, Norm::Rms, Some(layer))
            }
            None => y,
        };
        let y = self.graph.reshape_2d(y, ssm.inner, tokens * sequences);
        self.linear(y, layer, "ssm_out")
    }

    /// The convolution, its bias, and SiLU.
    fn convolve(&mut self, input: Id, layer: usize) -> Result<Id, Error> {
        let kernel = self.at(layer, "ssm_conv1d.weight")?;
        let mut result = self.graph.ssm_conv(input, kernel);
        if let Some(bias) = self.maybe_at(layer, "ssm_conv1d.bias") {
            result = self.graph.add2(result, bias);
        }
        Ok(self.graph.unary(Unary::Silu, result))
    }

    /// The scan of Mamba-2: outputs, and behind them the last states, which are written back; and the scan's
    /// input.
    fn scan2(&mut self, convolved: Id, dt: Id, layer: usize) -> Result<(Id, Id), Error> {
        let ssm = self.hparams.ssm;
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let (heads, head) = (ssm.rank, ssm.inner / ssm.rank.max(1));
        let of = *self.graph.get(convolved);
        let part = |builder: &mut Self, ne: [u64; 2], offset: u64| {
            builder.graph.view(
                convolved,
                [ne[0], ne[1], tokens, sequences],
                [ne[0] * 4, of.nb[1], of.nb[2]],
                offset * 4,
            )
        };
        let x = part(self, [head, heads], 0);
        let b = part(self, [ssm.state, ssm.groups], ssm.inner);
        let c = part(self, [ssm.state, ssm.groups], ssm.inner + ssm.groups * ssm.state);
        let dt = self.graph.cont(dt);
        let bias = self.at(layer, "ssm_dt.bias")?;
        let dt = self.graph.add2(dt, bias);
        let a = self.reshaped_at(layer, "ssm_a", [1, heads, 1, 1])?;
        let cache = self.state_cache(layer);
        let all = self.memory.states;
        let scanned = self.states(cache, self.hparams.ssm_state(), |builder, states, ids| {
            let states = builder.graph.reshape(states, [ssm.state, head, heads, all]);
            builder.graph.ssm_scan([states, x, dt, a, b, c, ids])
        });
        let width = ssm.state * ssm.inner;
        let last = self.graph.view_3d(
            scanned,
            [width, sequences, 1],
            width * 4,
            width * 4 * sequences,
            self.graph.get(x).elements() * 4,
        );
        let row = self.graph.get(cache).nb[1];
        let place = self.graph.view_3d(cache, [width, sequences, 1], row, all * width * 4, 0);
        let stored = self.graph.copy(last, place);
        self.graph.expand(stored);
        Ok((scanned, x))
    }

    /// The outputs of the scan, with the skipped input, times the gate.
    fn with_skip(&mut self, scanned: Id, x: Id, gate: Id, layer: usize) -> Result<Id, Error> {
        let of = *self.graph.get(x);
        let (row, heads, tokens) = (of.nb[1], of.ne[1], of.ne[2]);
        let y = self.graph.view(scanned, of.ne, [row, heads * row, tokens * heads * row], 0);
        let skip = self.reshaped_at(layer, "ssm_d", [1, heads, 1, 1])?;
        let skipped = self.graph.mul(x, skip);
        let y = self.graph.add2(y, skipped);
        let gate = self.graph.cont(gate);
        Ok(self.graph.glu_split(gate, y))
    }

    /// A Mamba-1 layer.
    pub fn mamba1(&mut self, current: Id, layer: usize) -> Result<Id, Error> {
        let ssm = self.hparams.ssm;
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let width = self.graph.get(current).ne[0];
        let current = self.graph.reshape_3d(current, width, tokens, sequences);
        let both = self.linear(current, layer, "ssm_in")?;
        let of = *self.graph.get(both);
        let shape = [ssm.inner, tokens, sequences];
        let x = self.graph.view_3d(both, shape, of.nb[1], of.nb[2], 0);
        let gate = self.graph.view_3d(both, shape, of.nb[1], of.nb[2], ssm.inner * 4);
        let input = self.conv_input(layer, x, ssm.inner);
        let x = self.convolve(input, layer)?;
        let y = self.scan1(x, gate, layer)?;
        let out = self.linear(y, layer, "ssm_out")?;
        let width = self.graph.get(out).ne[0];
        Ok(self.graph.reshape_2d(out, width, tokens * sequences))
    }

    /// The scan of Mamba-1, with the skipped input, times the gate.
    fn scan1(&mut self, x: Id, gate: Id, layer: usize) -> Result<Id, Error> {
        let ssm = self.hparams.ssm;
        let (sequences, tokens) = (self.run.sequences, self.run.tokens_of_sequence());
        let projected = self.linear(x, layer, "ssm_x")?;
        let of = *self.graph.get(projected);
        let dt = self.graph.view_3d(projected, [ssm.rank, tokens, sequences], of.nb[1], of.nb[2], 0);
        let shape = [ssm.state, 1, tokens, sequences];
        let nb = [ssm.state * 4, of.nb[1], of.nb[2]];
        let b = self.graph.view(projected, shape, nb, ssm.rank * 4);
        let c = self.graph.view(projected, shape, nb, (ssm.rank + ssm.state) * 4);
        let dt = self.graph.cont(dt);
        let dt = self.linear(dt, layer, "ssm_dt")?;
        let heads = self.graph.reshape(x, [1, ssm.inner, tokens, sequences]);
        let a = self.at(layer, "ssm_a")?;
        let cache = self.state_cache(layer);
        let all = self.memory.states;
        let scanned = self.states(cache, self.hparams.ssm_state(), |builder, states, ids| {
            let states = builder.graph.reshape(states, [ssm.state, 1, ssm.inner, all]);
            builder.graph.ssm_scan([states, heads, dt, a, b, c, ids])
        });
        let width = ssm.state * ssm.inner * sequences;
        let of = *self.graph.get(heads);
        let last = self.graph.view_1d(scanned, width, of.nb[3] * of.ne[3]);
        let place = self.graph.view_1d(cache, width, 0);
        let stored = self.graph.copy(last, place);
        self.graph.expand(stored);
        let y = self.graph.view_3d(scanned, [ssm.inner, tokens, sequences], of.nb[2], of.nb[3], 0);
        let skip = self.at(layer, "ssm_d")?;
        let skipped = self.graph.mul(x, skip);
        let y = self.graph.add2(y, skipped);
        let gate = self.graph.cont(gate);
        Ok(self.graph.glu_split(gate, y))
    }
}
