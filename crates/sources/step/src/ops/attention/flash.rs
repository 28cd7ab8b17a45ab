//! Flash attention (aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp).

use brimful_units::{Dtype, Shape};

use super::super::iterator::result;
use super::super::{contiguous, grads, saved, transpose};
use super::Sizes;
use crate::autograd::{Grads, Op};
use crate::device::Device;
use crate::tensor::Tensor;

/// `_flash_attention_forward`.
pub(super) fn flash(q: &Tensor, k: &Tensor, v: &Tensor, dropout: f64) -> Tensor {
    let node = "ScaledDotProductFlashAttentionBackward0";
    let ran = Op::new("_flash_attention_forward", node, &[q, k, v])
        .saves_inputs(|| saved![Some(k.clone()), Some(q.clone()), Some(v.clone())])
        .run(|| forward(q, k, dropout));
    let saves = |(out, extra): &(Tensor, Extra)| {
        let Extra { lse, seed, unused } = extra;
        saved![Some(lse.clone()), Some(out.detach()), Some(seed.clone()), Some(unused.clone())]
    };
    let (out, _) = ran.saves_results(saves).backward(|call| {
        flash_backward(call.saved(1), call.saved(0), call.saved(2), call.saved(4), call.grad())
    });
    out
}

/// What the kernel returns beside its output: the log-sum-exp of each row, and the random state.
struct Extra {
    lse: Tensor,
    seed: Tensor,
    unused: Tensor,
}

fn forward(q: &Tensor, k: &Tensor, dropout: f64) -> (Tensor, Extra) {
    let device = q.device().clone();
    let mut sizes = Sizes::of(q, k);
    // One query of a grouped head runs as that many queries of the shared head.
    let grouped = sizes.heads / sizes.kv_heads.max(1);
    if sizes.queries == 1 && grouped > 1 && dropout == 0.0 {
        (sizes.queries, sizes.heads) = (grouped, sizes.kv_heads);
    }
    let swapped = sizes.queries != q.dim(2);
    let out = if swapped {
        sizes.output(&device, sizes.heads, sizes.queries, q.dtype())
    } else {
        result(&[q], q.dtype())
    };
    let lse = Tensor::empty(&device, [sizes.batch, sizes.heads, sizes.queries], Dtype::F32);
    let splits = if dropout == 0.0 { split_accumulators(&device, &sizes) } else { None };
    let seed = Tensor::empty(&device, [2], Dtype::U64);
    let unused = Tensor::empty(&device, [], Dtype::U64);
    let seed = if dropout > 0.0 { reseeded(&device, seed) } else { seed };
    // The accumulators live to the end of the call: the random state is made beside them.
    drop(splits);
    let out = if swapped { out.unsafe_view_as(q.shape().clone(), one_query_strides(q)) } else { out };
    (out, Extra { lse, seed, unused })
}

/// With dropout the random state is drawn into a tensor of its own.
fn reseeded(device: &Device, unused: Tensor) -> Tensor {
    let seed = Tensor::empty(device, [2], Dtype::U64);
    drop(unused);
    seed
}

fn one_query_strides(q: &Tensor) -> Shape {
    crate::tensor::contiguous_strides(q.shape())
}

/// The partial results where the keys are split over thread blocks to fill the GPU
/// (`set_params_splitkv`).
fn split_accumulators(device: &Device, sizes: &Sizes) -> Option<(Tensor, Tensor)> {
    let block = match sizes.width {
        0..=64 => 256,
        65..=128 => 128,
        _ => 64,
    };
    let work = sizes.batch.saturating_mul(sizes.heads).saturating_mul(sizes.queries.div_ceil(64));
    let splits = split_count(work, device.properties().multiprocessors * 2, sizes.keys.div_ceil(block));
    (splits > 1).then(|| {
        let rows = [splits, sizes.batch, sizes.heads, sizes.queries];
        let lse = Tensor::empty(device, rows, Dtype::F32);
        let width = rounded_width(sizes.width);
        (lse, Tensor::empty(device, [rows[0], rows[1], rows[2], rows[3], width], Dtype::F32))
    })
}

/// `num_splits_heuristic`: the fewest splits within 85 % of the best occupancy.
fn split_count(work: u64, slots: u64, key_blocks: u64) -> u64 {
    const MOST: u64 = 128;
    if work as f32 >= 0.8 * slots as f32 {
        return 1;
    }
    let most = MOST.min(slots).min(key_blocks);
    let eligible = |n: u64| n == 1 || key_blocks.div_ceil(n) != key_blocks.div_ceil(n - 1);
    let efficiency = |n: u64| {
        let waves = (work * n) as f32 / slots as f32;
        waves / waves.ceil()
    };
    let best = (1..=most).filter(|n| eligible(*n)).map(efficiency).fold(0.0, f32::max);
    (1..=most).find(|n| eligible(*n) && efficiency(*n) >= 0.85 * best).unwrap_or(1)
}

/// The head's width as the flash kernels pad it.
fn rounded_width(width: u64) -> u64 {
    width.next_multiple_of(if width <= 128 { 32 } else { 64 })
}

/// `_flash_attention_backward`: gradients, the row sums, an fp32 accumulator for the queries'
/// gradient, and per query head gradients of shared keys and values before they are summed.
fn flash_backward(q: &Tensor, k: &Tensor, v: &Tensor, out: &Tensor, grad: &Tensor) -> Grads {
    let device = q.device().clone();
    let _op = device.op("_flash_attention_backward");
    let sizes = Sizes::of(q, k);
    let order = |x: &Tensor| contiguous(transpose(x, 1, 2));
    let (grad, out) = (order(grad), order(out));
    let like = |x: &Tensor| result(&[x], x.dtype());
    let (q_grad, k_grad, v_grad) = (like(q), like(k), like(v));
    let rows = sizes.queries.next_multiple_of(128);
    let row_sums = Tensor::empty(&device, [sizes.batch, sizes.heads, rows], Dtype::F32);
    let accumulator =
        Tensor::empty(&device, [sizes.batch, rows, sizes.heads, rounded_width(sizes.width)], Dtype::F32);
    let expanded = (sizes.heads != sizes.kv_heads).then(|| {
        let k = sizes.output(&device, sizes.heads, sizes.keys, q.dtype());
        (k, sizes.output(&device, sizes.heads, sizes.keys, q.dtype()))
    });
    if let Some((k, v)) = expanded {
        drop(v);
        drop(k);
    }
    drop(accumulator);
    drop(row_sums);
    drop((out, grad));
    grads![Some(q_grad), Some(k_grad), Some(v_grad)]
}
