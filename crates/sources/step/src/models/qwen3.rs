//! Qwen3 (models/qwen3/modeling_qwen3.py): Qwen2 without the biases, with a norm over each head
//! of the queries and keys.

use brimful_models::DecoderConfig;

use super::llama::{ForCausalLm, Masks, Variation};
use crate::nn::Builder;

pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> ForCausalLm {
    ForCausalLm::new(
        config,
        builder,
        Variation { qk_norm: true, masks: Masks::PerKind, position_ids_first: false },
    )
}
