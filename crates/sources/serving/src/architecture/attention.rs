use crate::weights::{Loader, product};

/// Attention with keys and values.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    /// Query heads.
    pub(crate) heads: u64,
    /// Heads of keys and values.
    pub(crate) kv_heads: u64,
    /// Width of a head.
    pub(crate) head_dim: u64,
    /// What a token sees.
    pub(crate) window: Window,
    /// Whether queries, keys and values have a bias.
    pub(crate) qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub(crate) output_bias: bool,
    /// What is normed of queries and keys.
    pub(crate) normed: Normed,
    /// Whether the output goes through a gate that is projected with the queries.
    pub(crate) gated: bool,
    /// Whether each head has a sink.
    pub(crate) sinks: bool,
}

/// What a token sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// All tokens before it.
    Full,
    /// The last tokens, itself included.
    Sliding(u64),
    /// The tokens of its chunk.
    Chunked(u64),
}

/// What is normed of queries and keys before they meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Normed {
    Nothing,
    /// Each head, with the same weights.
    Head,
    /// All heads together.
    Whole,
    /// Each head, with weights of its own.
    EachHead,
}

impl Attention {
    /// Heads of keys and values on a rank: replicated where there are more ranks than heads.
    pub(crate) fn kv_heads_on_rank(&self, ranks: u64) -> u64 {
        (self.kv_heads / ranks.max(1)).max(1)
    }

    pub(crate) fn load(&self, hidden: u64, loader: &mut Loader<'_>) {
        let heads = loader.share(self.heads);
        let kv_heads = self.kv_heads_on_rank(loader.ranks);
        let (queries, keys) = (product([heads, self.head_dim]), product([kv_heads, self.head_dim]));
        let gates = if self.gated { queries } else { 0 };
        let merged = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
        loader.linear(&merged, queries + gates + 2 * keys, hidden, self.qkv_bias);
        loader.linear(&["self_attn.o_proj"], hidden, queries, self.output_bias);
        let normed = match self.normed {
            Normed::Nothing => None,
            Normed::Head => Some((self.head_dim, self.head_dim)),
            Normed::Whole | Normed::EachHead => Some((queries, keys)),
        };
        if let Some((of_queries, of_keys)) = normed {
            loader.plain(of_queries);
            loader.plain(of_keys);
        }
        if self.sinks {
            loader.plain(heads);
        }
    }

    /// Queries, keys and values, and the output of the heads.
    pub(crate) fn width_of_token(&self, ranks: u64) -> u64 {
        let heads = self.heads.div_ceil(ranks) * if self.gated { 3 } else { 2 };
        product([heads + 2 * self.kv_heads_on_rank(ranks), self.head_dim])
    }
}
