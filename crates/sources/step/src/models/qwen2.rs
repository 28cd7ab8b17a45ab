//! Qwen2 and Qwen2.5 (models/qwen2/modeling_qwen2.py): Llama with biases on q, k and v (in the
//! config as `qkv_bias`), and a mask per kind of block.

use super::decoder::{Masks, Variation};

pub(super) const VARIATION: Variation =
    Variation { qk_norm: false, masks: Masks::PerKind, position_ids_first: false };
