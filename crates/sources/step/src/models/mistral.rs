//! Mistral (models/mistral/modeling_mistral.py): Llama with one mask for all blocks, windowed
//! where the config names a window.

use super::decoder::{Masks, Variation};

pub(super) const VARIATION: Variation =
    Variation { qk_norm: false, masks: Masks::One, position_ids_first: true };
