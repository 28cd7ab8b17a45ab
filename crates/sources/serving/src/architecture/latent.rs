use crate::weights::{Loader, product};

/// Multi-head latent attention: one compressed row for all heads.
#[derive(Clone, Debug)]
pub(crate) struct Latent {
    /// Heads.
    pub(crate) heads: u64,
    /// Width of the queries' compressed row; `None` if queries are projected at once.
    pub(crate) query_rank: Option<u64>,
    /// Width of the compressed row of keys and values.
    pub(crate) kv_rank: u64,
    /// Width of a head's part without positions.
    pub(crate) plain_dim: u64,
    /// Width of the part with positions, which all heads share in the keys.
    pub(crate) rope_dim: u64,
    /// Width of a head's values.
    pub(crate) value_dim: u64,
}

impl Latent {
    /// The row that the cache keeps, on every rank.
    pub(crate) fn row(&self) -> u64 {
        self.kv_rank + self.rope_dim
    }

    pub(crate) fn load(&self, hidden: u64, loader: &mut Loader<'_>) {
        let heads = loader.share(self.heads);
        let queries = product([heads, self.plain_dim + self.rope_dim]);
        // The compressing projections are on every rank; with both, vLLM merges them (fused_qkv_a_proj).
        match self.query_rank {
            Some(rank) => {
                let merged = ["self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa"];
                loader.linear(&merged, rank + self.row(), hidden, false);
                loader.plain(rank);
                loader.linear(&["self_attn.q_b_proj"], queries, rank, false);
            }
            None => {
                loader.linear(&["self_attn.q_proj"], queries, hidden, false);
                loader.linear(&["self_attn.kv_a_proj_with_mqa"], self.row(), hidden, false);
            }
        }
        loader.plain(self.kv_rank);
        // Kept as W_UK and W_UV in the model's dtype, in place of kv_b_proj (layers/attention/mla_attention.py, 0.33).
        loader.unquantized(product([heads, self.plain_dim + self.value_dim]), self.kv_rank);
        loader.linear(&["self_attn.o_proj"], hidden, product([heads, self.value_dim]), false);
    }

    /// Queries, the row, and keys and values of the heads in a prompt.
    pub(crate) fn width_of_token(&self, ranks: u64) -> u64 {
        let heads = self.heads.div_ceil(ranks);
        let of_head = 2 * (self.plain_dim + self.rope_dim) + 2 * self.value_dim;
        product([heads, of_head]).saturating_add(self.row())
    }
}
