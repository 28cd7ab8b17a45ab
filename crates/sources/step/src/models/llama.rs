//! Llama (models/llama/modeling_llama.py): the skeleton itself.

use super::decoder::{Masks, Variation};

pub(super) const VARIATION: Variation =
    Variation { qk_norm: false, masks: Masks::One, position_ids_first: false };
