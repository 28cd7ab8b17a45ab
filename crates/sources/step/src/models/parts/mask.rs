//! Position ids and attention masks (transformers/masking_utils.py).

use brimful_jobs::{AttentionKernel, AttentionMask};
use brimful_units::Dtype;

use super::cache::Cache;
use crate::device::Device;
use crate::models::{Inputs, Mode};
use crate::ops;
use crate::tensor::Tensor;

/// The mask that the blocks are given.
#[derive(Clone)]
pub(crate) enum Mask {
    /// The kernel masks by itself.
    None,
    /// True where a key may be seen, `[B, 1, queries, keys]`.
    Keep(Tensor),
    /// 0 where a key may be seen, the lowest number elsewhere.
    Bias(Tensor),
}

/// Makes a mask of a tensor.
type FromTensor = fn(Option<Tensor>) -> Mask;

impl Mask {
    /// The tensor, and what makes a mask of this kind of it.
    pub(crate) fn into_parts(self) -> (Option<Tensor>, FromTensor) {
        match self {
            Mask::None => (None, |_| Mask::None),
            Mask::Keep(mask) => (Some(mask), |mask| mask.map_or(Mask::None, Mask::Keep)),
            Mask::Bias(mask) => (Some(mask), |mask| mask.map_or(Mask::None, Mask::Bias)),
        }
    }
}

/// `torch.arange(S) + past_seen_tokens`, as `[1, S]`.
pub(crate) fn position_ids(embeds: &Tensor) -> Tensor {
    let range = ops::new_tensor(embeds.device(), "arange", [embeds.dim(1)], Dtype::I64);
    ops::unsqueeze(ops::add_scalar(range), 0)
}

/// `hidden[:, -n:, :]`.
pub(crate) fn slice_logits_to_keep(hidden: &Tensor, keep: Option<u64>) -> Tensor {
    match keep {
        Some(keep) if keep > 0 && keep < hidden.dim(1) => ops::slice(hidden, 1, keep),
        _ => hidden.clone(),
    }
}

/// What a mask is made for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sight {
    /// How many tokens back a query sees; `None` for all of them.
    pub window: Option<u64>,
    /// The window of the cache's layer that says how many keys there are (`_preprocess_mask_arguments`).
    pub cache_window: Option<u64>,
}

/// `create_causal_mask`, or with a window `create_sliding_window_causal_mask`.
pub(crate) fn causal_mask(
    inputs: &Inputs<'_>,
    mode: &Mode,
    embeds: &Tensor,
    position_ids: Option<&Tensor>,
    cache: Option<&Cache>,
    sight: Sight,
) -> Mask {
    let Sight { window, cache_window } = sight;
    let padding = inputs.attention_mask.map(|mask| ops::to(mask, Dtype::Bool));
    let queries = embeds.dim(1);
    let keys = cache.map_or(queries, |cache| cache.mask_length(queries, cache_window));
    // Packing can only be seen in position ids, and is only looked for where nothing else says what belongs together.
    if let (Some(position_ids), None, None) = (position_ids, &padding, cache) {
        find_packed_sequences(position_ids, embeds.dim(0));
    }
    let sdpa = mode.attention != AttentionKernel::Eager;
    if sdpa && can_skip(padding.as_ref(), mode, queries, keys, cache, window) {
        return Mask::None;
    }
    let keep = keep_mask(embeds, queries, keys, padding.as_ref(), window);
    if sdpa { Mask::Keep(keep) } else { Mask::Bias(bias_mask(keep, embeds.dtype())) }
}

/// `find_packed_sequence_indices`: only looks, and finds no packing.
fn find_packed_sequences(position_ids: &Tensor, batch: u64) {
    let device = position_ids.device();
    let tokens = position_ids.last(0);
    let first = ops::new_tensor(device, "sub", [batch, 1], Dtype::I64);
    let difference = {
        let joined = ops::new_tensor(device, "cat", [batch, tokens + 1], Dtype::I64);
        let difference = ops::new_tensor(device, "sub", [batch, tokens], Dtype::I64);
        drop(joined);
        difference
    };
    let changes = ops::new_tensor(device, "ne", [batch, tokens], Dtype::Bool);
    let indices = ops::cumsum_last(&changes);
    drop(changes);
    let last = ops::new_tensor(device, "eq", [batch], Dtype::Bool);
    let all = ops::reduced_to_scalar(&last, "all", Dtype::Bool);
    drop(last);
    drop(all);
    // The function returns: its locals go in the order in which they were bound.
    drop(first);
    drop(difference);
    drop(indices);
}

/// `_ignore_causal_mask_sdpa`: whether the kernel's own causal masking is enough.
fn can_skip(
    padding: Option<&Tensor>,
    mode: &Mode,
    queries: u64,
    keys: u64,
    cache: Option<&Cache>,
    window: Option<u64>,
) -> bool {
    let static_decode = queries == 1 && !cache.is_none_or(Cache::knows_its_length);
    if static_decode || window.is_some_and(|window| keys >= window) {
        return false;
    }
    let aligned = queries == 1 || keys == queries;
    let no_padding = || padding.is_none_or(|padding| is_all_true(padding, mode));
    if aligned && cache.is_none_or(Cache::knows_its_length) && no_padding() {
        return true;
    }
    // With an empty cache the padding is looked at once more.
    cache.is_none_or(Cache::is_empty) && no_padding()
}

/// `fast_all`: reads whether the padding mask is all ones.
fn is_all_true(padding: &Tensor, mode: &Mode) -> bool {
    let device = padding.device();
    let total = {
        let _op = device.op("sum");
        let out = Tensor::empty(device, [], Dtype::I64);
        let whole = ops::new_tensor(device, "_to_copy", padding.shape().clone(), Dtype::I64);
        ops::stage_sum(&whole);
        drop(whole);
        out
    };
    let equal = ops::new_tensor(device, "eq", [], Dtype::Bool);
    drop(total);
    drop(equal);
    mode.attention_mask != AttentionMask::Padded
}

/// `sdpa_mask`'s broadcast: causal, within the window, and not padding.
fn keep_mask(
    embeds: &Tensor,
    queries: u64,
    keys: u64,
    padding: Option<&Tensor>,
    window: Option<u64>,
) -> Tensor {
    let device = embeds.device();
    let batch = embeds.dim(0);
    let batch_range = ops::new_tensor(device, "arange", [batch], Dtype::I64);
    let head_range = ops::new_tensor(device, "arange", [1], Dtype::I64);
    let query_range = shifted_range(device, queries);
    let key_range = shifted_range(device, keys);
    let keep = match padding {
        None => window_or_causal(device, queries, keys, window),
        Some(_) => {
            with_padding(device, [batch, queries, keys], || window_or_causal(device, queries, keys, window))
        }
    };
    let keep = ops::expand(&keep, [batch, 1, queries, keys]);
    // `sdpa_mask` holds the four ranges until it returns.
    drop((batch_range, head_range, query_range, key_range));
    keep
}

/// `causal_mask_function`, or with a window `and_masks(sliding_window_overlay, causal_mask_function)`.
fn window_or_causal(device: &Device, queries: u64, keys: u64, window: Option<u64>) -> Tensor {
    let plane = |op| ops::new_tensor(device, op, [1, 1, queries, keys], Dtype::Bool);
    if window.is_none() {
        return plane("le");
    }
    let all = ops::new_tensor(device, "new_ones", [], Dtype::Bool);
    let oldest = ops::new_tensor(device, "sub", [1, 1, queries, 1], Dtype::I64);
    let recent = plane("gt");
    // `kv_idx > q_idx - window`: the difference is a temporary of the comparison.
    drop(oldest);
    let within = plane("bitwise_and");
    drop(recent);
    drop(all);
    let causal = plane("le");
    let both = plane("bitwise_and");
    drop(causal);
    drop(within);
    both
}

/// `and_masks(condition, padding_mask_function)`.
pub(super) fn with_padding(
    device: &Device,
    [batch, queries, keys]: [u64; 3],
    condition: impl FnOnce() -> Tensor,
) -> Tensor {
    let all = ops::new_tensor(device, "new_ones", [], Dtype::Bool);
    let seen = condition();
    let first = ops::new_tensor(device, "bitwise_and", seen.shape().clone(), Dtype::Bool);
    drop(seen);
    drop(all);
    let looked_up = look_up(device, batch, keys);
    let both = ops::new_tensor(device, "bitwise_and", [batch, 1, queries, keys], Dtype::Bool);
    drop(looked_up);
    drop(first);
    both
}

/// `padding_mask[batch_idx, kv_idx]`: the kernel wants index tensors of the same strides, and so they become
/// contiguous (`AdvancedIndex` in aten/src/ATen/native/TensorAdvancedIndexing.cpp).
fn look_up(device: &Device, batch: u64, keys: u64) -> Tensor {
    let index = || ops::new_tensor(device, "clone", [batch, 1, 1, keys], Dtype::I64);
    let rows = (keys > 1).then(index);
    let columns = (batch > 1).then(index);
    let out = ops::new_tensor(device, "index", [batch, 1, 1, keys], Dtype::Bool);
    drop(columns);
    drop(rows);
    out
}

pub(super) fn shifted_range(device: &Device, length: u64) -> Tensor {
    ops::add_scalar(ops::new_tensor(device, "arange", [length], Dtype::I64))
}

/// `eager_mask`: `torch.where(mask, 0, lowest)`.
pub(super) fn bias_mask(keep: Tensor, dtype: Dtype) -> Tensor {
    let device = keep.device().clone();
    let zero = ops::new_tensor(&device, "zeros", [], dtype);
    let lowest = ops::new_tensor(&device, "scalar_tensor", [], dtype);
    let bias = ops::plain_ternary("where", &[&keep], dtype);
    // Both scalars are arguments of `torch.where`, freed when it has returned.
    drop(lowest);
    drop(zero);
    bias
}
