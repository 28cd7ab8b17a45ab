//! `scaled_dot_product_attention`: which kernel PyTorch takes, what it saves, and what it needs for itself.

mod cudnn;
mod flash;
mod memory_efficient;

use brimful_units::{Dtype, Shape};

use self::cudnn::cudnn;
use self::flash::flash;
use self::memory_efficient::memory_efficient;
use super::new_tensor;
use crate::StepError;
use crate::autocast::to_lower;
use crate::device::Device;
use crate::tensor::Tensor;

/// The kernels that PyTorch chooses from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Cudnn,
    Flash,
    MemoryEfficient,
}

/// What decides about an attention beside its tensors.
#[derive(Clone, Copy)]
pub(crate) struct AttentionOptions {
    /// The probability that a weight becomes 0.
    pub dropout: f64,
    /// Whether cuDNN's attention may be used (`torch.backends.cuda.enable_cudnn_sdp`).
    pub cudnn_enabled: bool,
}

/// `scaled_dot_product_attention(q, k, v, is_causal, enable_gqa)` without a mask; `[B, heads, S, D]`.
pub(crate) fn scaled_dot_product_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    options: AttentionOptions,
) -> Tensor {
    let (v, k, q) = (to_lower(v), to_lower(k), to_lower(q));
    let _op = q.device().op("scaled_dot_product_attention");
    let dropout = options.dropout;
    match kernel_for(&q, &k, &v, options) {
        Kernel::Cudnn => {
            refuse_narrow_values(&q, &v);
            cudnn(&q, &k, &v, None)
        }
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

/// As [`scaled_dot_product_attention`], with a boolean mask `[B, 1, S, keys]`, or with one of numbers that are added: cuDNN's
/// kernel or the memory-efficient one, with a bias made of the mask that each call keeps for itself.
pub(crate) fn masked_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Tensor,
    options: AttentionOptions,
) -> Tensor {
    // Autocast converts the last argument first; truth values stay as they are.
    let mask = &to_lower(mask);
    let (v, k, q) = (to_lower(v), to_lower(k), to_lower(q));
    let _op = q.device().op("scaled_dot_product_attention");
    let bias = if mask.dtype() == Dtype::Bool { bias_of(mask, q.dtype()) } else { mask.clone() };
    // cuDNN has no gradient of a bias.
    if !bias.requires_grad() && uses_cudnn(&q, &k, &v, options) {
        refuse_narrow_values(&q, &v);
        return cudnn(&q, &k, &v, Some(bias));
    }
    let bias = expanded(padded(bias), [q.dim(0), q.dim(1), q.dim(2), k.dim(2)]);
    memory_efficient(&q, &k, &v, options.dropout, Some(bias))
}

/// cuDNN takes values of another width than the keys, and what it needs for them was not read off.
fn refuse_narrow_values(q: &Tensor, v: &Tensor) {
    if q.last(0) != v.last(0) {
        q.device().fail(StepError::Unsupported {
            key: "model.v_head_dim",
            value: v.last(0).to_string(),
            cure: "on this GPU cuDNN's attention takes values of another width than the keys, which is not simulated: \
                   attention = \"eager\" is",
        });
    }
}

/// `convert_boolean_attn_mask`: the mask as numbers.
fn bias_of(mask: &Tensor, dtype: Dtype) -> Tensor {
    let device = mask.device();
    let zero = new_tensor(device, "scalar_tensor", [], dtype);
    let lowest = new_tensor(device, "scalar_tensor", [], dtype);
    let bias = super::plain_ternary("where", &[mask], dtype);
    drop(lowest);
    drop(zero);
    bias
}

/// `pad_bias`: the memory-efficient kernel wants rows that are a multiple of 8 wide; cuDNN takes any.
fn padded(bias: Tensor) -> Tensor {
    let width = bias.last(0);
    if width.is_multiple_of(8) {
        return bias;
    }
    if bias.requires_grad() && bias.device().grad_enabled() {
        let wider = super::pad_last(&bias, width.next_multiple_of(8));
        return super::slice(&wider, bias.rank() - 1, width);
    }
    let padded: Shape =
        bias.shape().dims()[..bias.rank() - 1].iter().copied().chain([width.next_multiple_of(8)]).collect();
    new_tensor(bias.device(), "constant_pad_nd", padded, bias.dtype())
}

/// The end of `preprocess_mask`: a bias that wants a gradient is seen as one for each sample.
fn expanded(bias: Tensor, sizes: [u64; 4]) -> Tensor {
    if bias.requires_grad() && bias.device().grad_enabled() { super::expand(&bias, sizes) } else { bias }
}

/// The kernel without a mask: `select_sdp_backend` (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp, torch 2.15) takes
/// the first that can run the call, of cuDNN's where it is preferred, flash attention and the memory-efficient kernel.
fn kernel_for(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Kernel {
    if uses_cudnn(q, k, v, options) {
        Kernel::Cudnn
    } else if can_use_flash(q, k, v, options.dropout) {
        Kernel::Flash
    } else {
        Kernel::MemoryEfficient
    }
}

fn is_half(x: &Tensor) -> bool {
    matches!(x.dtype(), Dtype::F16 | Dtype::Bf16)
}

/// `input_requires_grad`: whether a backward may follow.
fn wants_gradient(q: &Tensor, k: &Tensor, v: &Tensor) -> bool {
    q.device().grad_enabled() && [q, k, v].iter().any(|x| x.requires_grad())
}

/// `can_use_cudnn_attention`, where cuDNN's attention is the first choice.
fn uses_cudnn(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> bool {
    // `check_cudnn_tensor_shapes`.
    const MOST_BATCHES_OR_HEADS: u64 = 65_535;
    let rules = q.device().rules().cudnn_attention;
    let (major, _) = q.device().properties().compute_capability;
    let (width, dropout) = (q.last(0), options.dropout);
    options.cudnn_enabled
        && rules.preferred
        && matches!(major, 9 | 10)
        && is_half(q)
        && q.dim(0).max(q.dim(1)) <= MOST_BATCHES_OR_HEADS
        && width <= rules.widest_head
        && width.is_multiple_of(8)
        // A single key is left to the others; so is a single query with dropout.
        && k.dim(2) != 1
        && (dropout == 0.0 || q.dim(2) != 1)
        // `check_cudnn_dropout`: cuDNN knows sixteenths.
        && (dropout * 16.0).fract() == 0.0
        // `check_cudnn_d256_bprop_head_dim`: there are backward kernels up to 128 elements and for 256.
        && (width <= 128 || width == 256 || !wants_gradient(q, k, v))
}

/// `can_use_flash_attention`.
fn can_use_flash(q: &Tensor, k: &Tensor, v: &Tensor, dropout: f64) -> bool {
    let rules = q.device().rules();
    let capability = q.device().properties().compute_capability;
    let width = q.last(0);
    // `check_requires_grad_and_head_dim_gt192_constraints_on_sm86_89_or_120`: the backward needs more shared memory there.
    let small = matches!(capability, (8, 6..=9) | (12, 0..=1));
    let fits = width <= 192 || (dropout == 0.0 && width > 224);
    is_half(q)
        && capability >= rules.flash_earliest
        && width <= rules.flash_widest_head
        // `check_batch_size_and_num_heads_dense`, `check_head_dim_size_flash`: all heads have one width.
        && v.last(0) == width
        && (!small || fits || !wants_gradient(q, k, v))
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
