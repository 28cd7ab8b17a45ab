//! Qwen3 (models/qwen3/modeling_qwen3.py): Qwen2 without the biases, with a norm over each head
//! of the queries and keys.

use super::decoder::{Masks, Variation};

pub(super) const VARIATION: Variation =
    Variation { qk_norm: true, masks: Masks::PerKind, position_ids_first: false };
