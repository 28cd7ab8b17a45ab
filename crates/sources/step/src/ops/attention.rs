//! `scaled_dot_product_attention`: which kernel PyTorch takes, what it keeps, what it needs.

use brimful_units::{Dtype, Shape};

use super::iterator::result;
use super::{grads, new_tensor, saved};
use crate::StepError;
use crate::autocast::to_lower;
use crate::autograd::{Grads, record};
use crate::device::Device;
use crate::tensor::Tensor;

/// The kernels that PyTorch chooses from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Flash,
    MemoryEfficient,
}

/// `scaled_dot_product_attention(q, k, v, is_causal, enable_gqa)` without a mask; `[B, heads, S, D]`.
///
/// Half precision goes to flash attention on compute capability 8.0 and later, everything else to
/// the memory-efficient kernel (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
pub(crate) fn scaled_dot_product_attention(q: &Tensor, k: &Tensor, v: &Tensor, dropout: f64) -> Tensor {
    let (v, k, q) = (to_lower(v), to_lower(k), to_lower(q));
    let _op = q.device().op("scaled_dot_product_attention");
    match kernel_for(&q) {
        Kernel::Flash if q.last(0) % HEAD_ALIGNMENT != 0 => {
            let width = q.last(0).next_multiple_of(HEAD_ALIGNMENT);
            let pad = |x: &Tensor| super::pad_last(x, width);
            let (q_padded, k_padded, v_padded) = (pad(&q), pad(&k), pad(&v));
            let out = flash(&q_padded, &k_padded, &v_padded, dropout);
            super::slice(&out, 3, q.last(0))
        }
        Kernel::Flash => flash(&q, &k, &v, dropout),
        Kernel::MemoryEfficient => memory_efficient(&q, &k, &v, dropout, None),
    }
}

/// As [`scaled_dot_product_attention`], with a boolean mask `[B, 1, S, S]`: the memory-efficient
/// kernel, with a bias made of the mask that each call keeps for itself.
pub(crate) fn masked_attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor, dropout: f64) -> Tensor {
    let (v, k, q) = (to_lower(v), to_lower(k), to_lower(q));
    let _op = q.device().op("scaled_dot_product_attention");
    let bias = bias_of(mask, q.dtype());
    memory_efficient(&q, &k, &v, dropout, Some(bias))
}

/// `convert_boolean_attn_mask` and `pad_bias`: a float mask whose rows are a multiple of 8 wide.
fn bias_of(mask: &Tensor, dtype: Dtype) -> Tensor {
    let device = mask.device();
    let zero = new_tensor(device, "scalar_tensor", [], dtype);
    let lowest = new_tensor(device, "scalar_tensor", [], dtype);
    let bias = super::plain_ternary("where", &[mask], dtype);
    drop(lowest);
    drop(zero);
    let width = mask.last(0);
    if width.is_multiple_of(8) {
        return bias;
    }
    let padded: Shape =
        mask.shape().dims()[..mask.rank() - 1].iter().copied().chain([width.next_multiple_of(8)]).collect();
    new_tensor(device, "constant_pad_nd", padded, dtype)
}

fn kernel_for(q: &Tensor) -> Kernel {
    let half = matches!(q.dtype(), Dtype::F16 | Dtype::Bf16);
    let rules = q.device().rules();
    let ampere = q.device().properties().compute_capability >= rules.flash_earliest;
    if half && ampere && q.last(0) <= rules.flash_widest_head {
        Kernel::Flash
    } else {
        Kernel::MemoryEfficient
    }
}

/// Flash attention takes heads whose width is a multiple of this; others are padded.
const HEAD_ALIGNMENT: u64 = 8;

/// The sizes of an attention call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: u64,
    heads: u64,
    kv_heads: u64,
    queries: u64,
    keys: u64,
    width: u64,
}

impl Sizes {
    fn of(q: &Tensor, k: &Tensor) -> Sizes {
        Sizes {
            batch: q.dim(0),
            heads: q.dim(1),
            kv_heads: k.dim(1),
            queries: q.dim(2),
            keys: k.dim(2),
            width: q.dim(3),
        }
    }

    /// A result in the kernel's order `[B, S, heads, D]`, seen as `[B, heads, S, D]`.
    fn output(&self, device: &Device, heads: u64, tokens: u64, dtype: Dtype) -> Tensor {
        let out = Tensor::empty(device, [self.batch, tokens, heads, self.width], dtype);
        heads_first(&out)
    }
}

/// `[B, S, heads, D]` seen as `[B, heads, S, D]`, as the kernels return it: not a view to autograd.
fn heads_first(x: &Tensor) -> Tensor {
    let swapped = |d: &Shape| Shape::from([d[0], d[2], d[1], d[3]]);
    x.unsafe_view_as(swapped(x.shape()), swapped(x.strides()))
}

// ---------------------------------------------------------------- flash

/// `_flash_attention_forward` (aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp).
fn flash(q: &Tensor, k: &Tensor, v: &Tensor, dropout: f64) -> Tensor {
    let device = q.device().clone();
    let _op = device.op("_flash_attention_forward");
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
    drop(splits);
    let out = if swapped { out.unsafe_view_as(q.shape().clone(), one_query_strides(q)) } else { out };
    let kept = || {
        saved![
            Some(k.clone()),
            Some(q.clone()),
            Some(v.clone()),
            Some(lse),
            Some(out.detach()),
            Some(seed),
            Some(unused)
        ]
    };
    record(&out, "ScaledDotProductFlashAttentionBackward0", &[q, k, v], kept, |call| {
        flash_backward(call.saved(1), call.saved(0), call.saved(2), call.saved(4), call.grad())
    });
    out
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
    if width <= 192 { width.next_multiple_of(32) } else { 256 }
}

/// `_flash_attention_backward`: gradients, the row sums, an fp32 accumulator for the queries'
/// gradient, and per query head gradients of shared keys and values before they are summed.
fn flash_backward(q: &Tensor, k: &Tensor, v: &Tensor, out: &Tensor, grad: &Tensor) -> Grads {
    let device = q.device().clone();
    let _op = device.op("_flash_attention_backward");
    let sizes = Sizes::of(q, k);
    let order = |x: &Tensor| super::contiguous(super::transpose(x, 1, 2));
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

// ---------------------------------------------------------------- memory-efficient

/// `_efficient_attention_forward` (aten/src/ATen/native/transformers/cuda/attention.cu).
fn memory_efficient(q: &Tensor, k: &Tensor, v: &Tensor, dropout: f64, bias: Option<Tensor>) -> Tensor {
    let device = q.device().clone();
    let _op = device.op("_efficient_attention_forward");
    let sizes = Sizes::of(q, k);
    refuse_unaligned(&device, q);
    let needs_grad = device.grad_enabled() && [q, k, v].iter().any(|x| x.requires_grad());
    let seed = (dropout == 0.0).then(|| {
        let seed = Tensor::empty(&device, [], Dtype::I64);
        (seed, Tensor::empty(&device, [], Dtype::I64))
    });
    let out = sizes.output(&device, sizes.heads, sizes.queries, q.dtype());
    let lse_rows = if needs_grad { sizes.queries.next_multiple_of(32) } else { 0 };
    let lse = Tensor::empty(&device, [sizes.batch, sizes.heads, lse_rows], Dtype::F32);
    let (seed, offset) = seed.unzip();
    let kept = || {
        let inputs = [Some(k.clone()), Some(q.clone()), Some(v.clone())];
        let results = [Some(lse.clone()), Some(out.detach()), offset.clone(), seed.clone()];
        std::iter::once(bias.clone()).chain(inputs).chain(results).collect()
    };
    record(&out, "ScaledDotProductEfficientAttentionBackward0", &[q, k, v], kept, |call| {
        memory_efficient_backward(call.saved(2), call.saved(1), call.saved(5), call.grad())
    });
    drop((lse, seed, offset));
    drop(bias);
    out
}

/// `_efficient_attention_backward`.
/// Heads whose width is not aligned go to PyTorch's math path, which is not simulated
/// (`check_head_dim_size_mem_efficient`, aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
fn refuse_unaligned(device: &Device, q: &Tensor) {
    let half = q.dtype() != Dtype::F32;
    let (major, _) = device.properties().compute_capability;
    let alignment = match (major, half) {
        (8.., true) | (7, true) => 8,
        (8.., false) => 4,
        _ => 1,
    };
    if !q.last(0).is_multiple_of(alignment) {
        device.fail(StepError::Unsupported {
            key: "model.head_dim",
            value: q.last(0).to_string(),
            cure: "PyTorch takes its math path for heads of this width here: a multiple of 8 is simulated, or \
                   attention = \"eager\"",
        });
    }
}

fn memory_efficient_backward(q: &Tensor, k: &Tensor, out: &Tensor, grad: &Tensor) -> Grads {
    let device = q.device().clone();
    let _op = device.op("_efficient_attention_backward");
    let sizes = Sizes::of(q, k);
    let q_grad = sizes.output(&device, sizes.heads, sizes.queries, q.dtype());
    let k_grad = sizes.output(&device, sizes.kv_heads, sizes.keys, q.dtype());
    let v_grad = sizes.output(&device, sizes.kv_heads, sizes.keys, q.dtype());
    let expanded = (sizes.heads != sizes.kv_heads).then(|| {
        let k = sizes.output(&device, sizes.heads, sizes.keys, q.dtype());
        (k, sizes.output(&device, sizes.heads, sizes.keys, q.dtype()))
    });
    let delta = if q.dtype() == Dtype::F32 {
        row_sums(out, grad, &sizes)
    } else {
        Tensor::empty(&device, [sizes.batch, sizes.heads, sizes.queries], Dtype::F32)
    };
    let workspace = query_accumulator(&device, &sizes, q.dtype());
    drop(delta);
    drop(workspace);
    if let Some((k, v)) = expanded {
        drop(v);
        drop(k);
    }
    grads![Some(q_grad), Some(k_grad), Some(v_grad)]
}

/// `(grad * out).sum(-1).transpose(-2, -1).contiguous()` in the kernel's order; the
/// half-precision kernels sum by themselves.
fn row_sums(out: &Tensor, grad: &Tensor, sizes: &Sizes) -> Tensor {
    let product = super::mul(super::transpose(grad, 1, 2), super::transpose(out, 1, 2));
    let sums = super::reduce_last(&product);
    let shape = [sizes.batch, sizes.heads, sizes.queries];
    if sizes.heads == 1 || sizes.queries == 1 {
        drop(product);
        return super::reshape(&sums, shape);
    }
    let delta = new_tensor(sums.device(), "clone", shape, Dtype::F32);
    drop(sums);
    drop(product);
    delta
}

/// The kernels accumulate the queries' gradient in fp32 tiles with a lock in front of each
/// (`GradQTempStorage` in mem_eff_attention/kernel_backward.h). Tile sizes read off torch 2.15 on
/// compute capabilities 8.0, 8.9 and 9.0; half precision takes wide tiles where shared memory is large.
fn query_accumulator(device: &Device, sizes: &Sizes, dtype: Dtype) -> Tensor {
    const LOCK: u64 = 16;
    let roomy = matches!(device.properties().compute_capability, (8, 0) | (9, _) | (10, _));
    let (rows, columns) = match sizes.width {
        0..=64 => (64, 64),
        _ if dtype != Dtype::F32 && roomy => (128, 128),
        _ => (128, 64),
    };
    let tile = rows * columns * 4 + LOCK;
    let tiles = sizes.queries.div_ceil(rows).saturating_mul(sizes.width.div_ceil(columns));
    let bytes = device.mul(device.mul(device.mul(sizes.batch, sizes.heads), tiles), tile);
    Tensor::empty(device, [bytes], Dtype::U8)
}
