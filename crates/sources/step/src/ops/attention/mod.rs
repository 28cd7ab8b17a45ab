//! `scaled_dot_product_attention`: which kernel PyTorch takes, what it saves, and what it needs for itself.

mod flash;
mod memory_efficient;

use brimful_units::{Dtype, Shape};

use self::flash::flash;
use self::memory_efficient::memory_efficient;
use super::new_tensor;
use crate::autocast::to_lower;
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
