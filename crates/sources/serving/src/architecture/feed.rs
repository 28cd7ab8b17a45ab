use crate::weights::{Loader, product};

/// What feeds forward.
#[derive(Clone, Debug)]
pub(crate) enum Feed {
    Mlp(Mlp),
    Experts(Experts),
}

/// A dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    /// Its width.
    pub(crate) width: u64,
    /// Whether a gate of the same width stands beside it.
    pub(crate) gated: bool,
    /// Whether its projections have a bias.
    pub(crate) bias: bool,
}

/// Experts, of which each token takes some.
#[derive(Clone, Debug)]
pub(crate) struct Experts {
    /// How many there are.
    pub(crate) count: u64,
    /// How many a token takes.
    pub(crate) taken: u64,
    /// The width of each.
    pub(crate) width: u64,
    /// Whether a gate of the same width stands beside it.
    pub(crate) gated: bool,
    /// Whether they and the router have a bias.
    pub(crate) bias: bool,
    /// Whether the router corrects its scores by a bias of fp32.
    pub(crate) corrected: bool,
    /// A dense layer that every token takes.
    pub(crate) shared: Option<Mlp>,
    /// Whether that layer's output goes through a gate.
    pub(crate) shared_gate: bool,
}

impl Mlp {
    fn halves(&self) -> u64 {
        if self.gated { 2 } else { 1 }
    }

    pub(crate) fn load(&self, name: &str, hidden: u64, loader: &mut Loader<'_>) {
        let width = loader.share(self.width);
        let (gate, up, down) =
            (format!("{name}.gate_proj"), format!("{name}.up_proj"), format!("{name}.down_proj"));
        let merged: &[&str] = if self.gated { &[&gate, &up] } else { &[&up] };
        loader.linear(merged, product([self.halves(), width]), hidden, self.bias);
        loader.linear(&[&down], hidden, width, self.bias);
    }

    /// Gate and up side by side, and their product.
    pub(crate) fn width_of_token(&self, ranks: u64) -> u64 {
        product([self.halves() + 1, self.width.div_ceil(ranks)])
    }
}

impl Experts {
    fn halves(&self) -> u64 {
        if self.gated { 2 } else { 1 }
    }

    pub(crate) fn load(&self, hidden: u64, loader: &mut Loader<'_>) {
        const NAME: &str = "mlp.experts";
        let (wide, width) = loader.expert_widths(NAME, hidden, loader.share(self.width));
        loader.experts(NAME, self.count, product([self.halves(), width]), wide, self.bias);
        loader.experts(NAME, self.count, wide, width, self.bias);
        loader.unquantized(self.count, hidden);
        if self.bias {
            loader.plain(self.count);
        }
        if self.corrected {
            loader.single(self.count);
        }
        if let Some(shared) = &self.shared {
            shared.load("mlp.shared_experts", hidden, loader);
        }
        if self.shared_gate {
            loader.unquantized(1, hidden);
        }
    }

    /// The dense layer beside the experts, whose own rows are in a workspace that stays.
    pub(crate) fn width_of_token(&self, ranks: u64) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.width_of_token(ranks))
    }

    /// Elements of the workspace that stays after the first run: the rows between the two matrices and behind them, for each
    /// token as often as it takes an expert (`workspace_shapes` in fused_moe/experts/triton_moe.py, 0.33).
    pub(crate) fn workspace(&self, tokens: u64, hidden: u64, ranks: u64) -> u64 {
        let width = self.width.div_ceil(ranks);
        let rows = product([tokens, self.taken]);
        let first = product([rows, product([self.halves(), width]).max(hidden)]);
        first.saturating_add(product([rows, width.max(hidden)]))
    }
}
