//! Qwen2 and Qwen2.5 (models/qwen2/modeling_qwen2.py): Llama with biases on q, k and v (in the
//! config as `qkv_bias`), and a mask per kind of block.

use brimful_models::DecoderConfig;

use super::llama::{ForCausalLm, Masks, Variation};
use crate::nn::Builder;

pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> ForCausalLm {
    ForCausalLm::new(
        config,
        builder,
        Variation { qk_norm: false, masks: Masks::PerKind, position_ids_first: false },
    )
}
