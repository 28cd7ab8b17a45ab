//! Masks of encoders, which see both ways (transformers/masking_utils.py, 5.23).

use brimful_jobs::{AttentionKernel, AttentionMask};
use brimful_units::Dtype;

use super::mask::{bias_mask, shifted_range, with_padding};
use crate::models::{Inputs, Mask, Mode};
use crate::ops;
use crate::tensor::Tensor;

/// `create_bidirectional_mask`: no mask without padding, whatever the attention. `seen` is what is attended to: `embeds`
/// itself, or the encoder's output.
pub(crate) fn bidirectional_mask(inputs: &Inputs<'_>, mode: &Mode, embeds: &Tensor, seen: &Tensor) -> Mask {
    let Some(padding) = inputs.attention_mask.map(|mask| ops::to(mask, Dtype::Bool)) else {
        return Mask::None;
    };
    // `_ignore_bidirectional_mask_sdpa` reads `padding_mask.all()`.
    drop(ops::reduced_to_scalar(&padding, "all", Dtype::Bool));
    if mode.attention_mask != AttentionMask::Padded {
        return Mask::None;
    }
    let keep = keep_mask(embeds, seen.dim(1));
    match mode.attention {
        AttentionKernel::Eager => Mask::Bias(bias_mask(keep, seen.dtype())),
        AttentionKernel::Sdpa | AttentionKernel::Flash => Mask::Keep(keep),
    }
}

/// `sdpa_mask`'s broadcast of `and_masks(bidirectional_mask_function, padding_mask_function)`.
fn keep_mask(embeds: &Tensor, keys: u64) -> Tensor {
    let device = embeds.device();
    let (batch, tokens) = (embeds.dim(0), embeds.dim(1));
    let batch_range = ops::new_tensor(device, "arange", [batch], Dtype::I64);
    let head_range = ops::new_tensor(device, "arange", [1], Dtype::I64);
    let query_range = shifted_range(device, tokens);
    let key_range = shifted_range(device, keys);
    // `q_idx >= 0`, which is true of every query.
    let keep = with_padding(device, [batch, tokens, keys], || {
        ops::new_tensor(device, "ge", [1, 1, tokens, 1], Dtype::Bool)
    });
    // `sdpa_mask` holds the four ranges until it returns.
    drop((batch_range, head_range, query_range, key_range));
    keep
}
