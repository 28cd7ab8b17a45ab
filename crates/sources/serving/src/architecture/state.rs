//! Layers that keep a state of fixed size for each sequence.

use brimful_units::Dtype;

use crate::weights::{Loader, product};

/// A Mamba-2 layer.
#[derive(Clone, Debug)]
pub(crate) struct Mamba {
    /// Heads.
    pub(crate) heads: u64,
    /// Width of a head.
    pub(crate) head_dim: u64,
    /// Groups that share their input and output projections of the state.
    pub(crate) groups: u64,
    /// Elements of the state for each channel.
    pub(crate) state: u64,
    /// Tokens that the convolution sees.
    pub(crate) kernel: u64,
    /// Whether the convolution has a bias.
    pub(crate) convolution_bias: bool,
    /// Whether the projections have a bias.
    pub(crate) bias: bool,
    /// Whether the output is normed behind its gate.
    pub(crate) normed: bool,
    /// The dtype of the state; `None` for the model's.
    pub(crate) state_dtype: Option<Dtype>,
}

/// A gated delta net, as Qwen3-Next has it.
#[derive(Clone, Debug)]
pub(crate) struct DeltaNet {
    /// Heads of keys.
    pub(crate) key_heads: u64,
    /// Heads of values.
    pub(crate) value_heads: u64,
    /// Width of a head of keys.
    pub(crate) key_dim: u64,
    /// Width of a head of values.
    pub(crate) value_dim: u64,
    /// Tokens that the convolution sees.
    pub(crate) kernel: u64,
    /// The dtype of the state; `None` for the model's.
    pub(crate) state_dtype: Option<Dtype>,
}

/// A gated short convolution, as LFM2 has it.
#[derive(Clone, Debug)]
pub(crate) struct ShortConvolution {
    /// Channels.
    pub(crate) width: u64,
    /// Tokens that it sees.
    pub(crate) kernel: u64,
    /// Whether convolution and projections have a bias.
    pub(crate) bias: bool,
}

impl Mamba {
    fn inner(&self, ranks: u64) -> u64 {
        product([self.heads, self.head_dim]).div_ceil(ranks)
    }

    /// Channels of the convolution. Groups that do not divide are replicated
    /// (`extra_groups_for_head_shards` in layers/mamba/mamba_utils.py, 0.33).
    fn convolved(&self, ranks: u64) -> u64 {
        let groups = if self.groups.is_multiple_of(ranks) { self.groups } else { ranks };
        self.inner(ranks).saturating_add(product([2, groups, self.state]).div_ceil(ranks))
    }

    fn projected(&self, ranks: u64) -> u64 {
        self.inner(ranks) + self.convolved(ranks) + self.heads.div_ceil(ranks)
    }

    pub(crate) fn load(&self, hidden: u64, loader: &mut Loader<'_>) {
        let ranks = loader.ranks;
        let (inner, convolved, heads) = (self.inner(ranks), self.convolved(ranks), loader.share(self.heads));
        loader.linear(&["mamba.in_proj"], self.projected(ranks), hidden, self.bias);
        loader.unquantized(convolved, self.kernel);
        if self.convolution_bias {
            loader.plain(convolved);
        }
        // A is fp32, D and dt_bias are of the model's dtype.
        loader.single(heads);
        loader.plain(heads);
        loader.plain(heads);
        if self.normed {
            loader.plain(inner);
        }
        loader.linear(&["mamba.out_proj"], hidden, inner, self.bias);
    }

    /// Bytes of one sequence's state: the convolution's last inputs, and the state itself.
    pub(crate) fn bytes(&self, ranks: u64, model: Dtype) -> u64 {
        let convolution = product([self.kernel.saturating_sub(1), self.convolved(ranks), model.size()]);
        let state = self.state_dtype.unwrap_or(model).size();
        convolution + product([self.heads.div_ceil(ranks), self.head_dim, self.state, state])
    }

    /// The projection, two copies of the convolution's input, and the gated norm in fp32 (`forward_native` of Mixer2RMSNormGated
    /// in layers/mamba/mamba_mixer2.py, 0.33).
    pub(crate) fn width_of_token(&self, ranks: u64) -> u64 {
        let norm = if self.normed { 6 } else { 2 };
        self.projected(ranks) + 2 * self.convolved(ranks) + product([norm, self.inner(ranks)])
    }
}

impl DeltaNet {
    fn keys(&self) -> u64 {
        product([self.key_heads, self.key_dim])
    }

    fn values(&self) -> u64 {
        product([self.value_heads, self.value_dim])
    }

    fn convolved(&self, ranks: u64) -> u64 {
        (2 * self.keys() + self.values()).div_ceil(ranks)
    }

    pub(crate) fn load(&self, hidden: u64, loader: &mut Loader<'_>) {
        let ranks = loader.ranks;
        let (values, heads) = (loader.share(self.values()), loader.share(self.value_heads));
        let merged = ["linear_attn.in_proj_qkv", "linear_attn.in_proj_z"];
        loader.linear(&merged, self.convolved(ranks) + values, hidden, false);
        loader.linear(&["linear_attn.in_proj_ba"], 2 * heads, hidden, false);
        loader.unquantized(self.convolved(ranks), self.kernel);
        loader.single(heads);
        loader.plain(heads);
        loader.plain(self.value_dim);
        loader.linear(&["linear_attn.out_proj"], hidden, values, false);
    }

    /// Bytes of one sequence's state.
    pub(crate) fn bytes(&self, ranks: u64, model: Dtype) -> u64 {
        let convolution = product([self.kernel.saturating_sub(1), self.convolved(ranks), model.size()]);
        let state = self.state_dtype.unwrap_or(model).size();
        convolution + product([self.value_heads.div_ceil(ranks), self.value_dim, self.key_dim, state])
    }

    /// The projections, the convolution's output, and the output with its gate.
    pub(crate) fn width_of_token(&self, ranks: u64) -> u64 {
        2 * self.convolved(ranks) + 3 * self.values().div_ceil(ranks)
    }
}

impl ShortConvolution {
    pub(crate) fn load(&self, hidden: u64, loader: &mut Loader<'_>) {
        let width = loader.share(self.width);
        loader.linear(&["conv.in_proj"], 3 * width, hidden, self.bias);
        loader.unquantized(width, self.kernel);
        if self.bias {
            loader.plain(width);
        }
        loader.linear(&["conv.out_proj"], hidden, width, self.bias);
    }

    /// Bytes of one sequence's state.
    pub(crate) fn bytes(&self, ranks: u64, model: Dtype) -> u64 {
        product([self.kernel.saturating_sub(1), self.width.div_ceil(ranks), model.size()])
    }

    /// The projection, and what the convolution makes of it.
    pub(crate) fn width_of_token(&self, ranks: u64) -> u64 {
        5 * self.width.div_ceil(ranks)
    }
}
