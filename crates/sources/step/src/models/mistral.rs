//! Mistral (models/mistral/modeling_mistral.py): Llama with one mask for all blocks, windowed
//! where the config names a window.

use brimful_models::DecoderConfig;

use super::llama::{ForCausalLm, Masks, Variation};
use crate::nn::Builder;

pub(super) fn for_causal_lm(config: &DecoderConfig, builder: &Builder) -> ForCausalLm {
    ForCausalLm::new(
        config,
        builder,
        Variation { qk_norm: false, masks: Masks::One, position_ids_first: true },
    )
}
