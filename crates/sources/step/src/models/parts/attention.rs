//! Attention as transformers calls it (integrations/sdpa_attention.py, `eager_attention_forward`).

use brimful_jobs::AttentionKernel;

use super::mask::Mask;
use crate::ops::{self, AttentionOptions};
use crate::rules::TransformersRules;
use crate::tensor::Tensor;

/// What decides how an attention runs beside its tensors.
pub(crate) struct AttentionCall {
    /// `attn_implementation`.
    pub kernel: AttentionKernel,
    /// The probability that a weight becomes 0.
    pub dropout: f64,
    /// Whether the scores go through a scaled tanh.
    pub softcap: bool,
    /// Whether a query sees no later keys, as the module says (`is_causal`).
    pub causal: bool,
    /// Whether dropout is on.
    pub training: bool,
    /// What depends on the version of transformers.
    pub rules: TransformersRules,
}

/// The attended values, `[B, S, heads, D]`, and the weights where they were written out.
pub(crate) fn attend(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Mask,
    call: &AttentionCall,
) -> (Tensor, Option<Tensor>) {
    match call.kernel {
        AttentionKernel::Eager => eager(q, k, v, mask, call),
        AttentionKernel::Sdpa | AttentionKernel::Flash => (sdpa(q, k, v, mask, call), None),
    }
}

/// `sdpa_attention_forward`: grouped heads go to the kernel as they are where there is no mask.
fn sdpa(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Mask, call: &AttentionCall) -> Tensor {
    let groups = q.dim(1) / k.dim(1).max(1);
    let options = AttentionOptions {
        dropout: call.dropout,
        // A job that names flash attention gets PyTorch's own flash kernel, which is what is known of it.
        cudnn_enabled: call.kernel == AttentionKernel::Sdpa,
    };
    let attended = match mask {
        Mask::None if groups == 1 || k.last(0) <= call.rules.gqa_widest_head => {
            let (k, v) = if call.causal { (unpadded(k, q), unpadded(v, q)) } else { (k.clone(), v.clone()) };
            ops::scaled_dot_product_attention(q, &k, &v, options)
        }
        Mask::None => {
            let (k, v) = (repeat_kv(k, groups), repeat_kv(v, groups));
            ops::scaled_dot_product_attention(q, &k, &v, options)
        }
        Mask::Keep(mask) | Mask::Bias(mask) if groups > 1 && q.dim(2) == 1 => {
            return one_query(q, k, v, mask, groups, options);
        }
        Mask::Keep(mask) | Mask::Bias(mask) => {
            let (k, v) = (repeat_kv(k, groups), repeat_kv(v, groups));
            ops::masked_attention(q, &k, &v, mask, options)
        }
    };
    ops::contiguous(ops::transpose(attended, 1, 2))
}

/// `pack_gqa`: the query heads of a group become queries of their shared head.
fn one_query(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Tensor,
    groups: u64,
    options: AttentionOptions,
) -> Tensor {
    let (batch, heads, width) = (q.dim(0), q.dim(1), q.dim(3));
    let packed = ops::reshape(q, [batch, heads / groups, groups, width]);
    let attended = ops::masked_attention(&packed, k, v, mask, options);
    let unpacked = ops::reshape(&attended, [batch, heads, 1, width]);
    drop(attended);
    ops::contiguous(ops::transpose(unpacked, 1, 2))
}

/// A prefill into an empty static cache attends to the prompt alone.
fn unpadded(x: &Tensor, q: &Tensor) -> Tensor {
    if q.dim(2) > 1 && x.dim(2) > q.dim(2) { ops::slice(x, 2, q.dim(2)) } else { x.clone() }
}

/// `eager_attention_forward` of the Llama family: scores, fp32 softmax, weighted values.
fn eager(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Mask, call: &AttentionCall) -> (Tensor, Option<Tensor>) {
    let groups = q.dim(1) / k.dim(1).max(1);
    let keys = repeat_kv(k, groups);
    let values = repeat_kv(v, groups);
    let mut weights = ops::mul_scalar(ops::matmul(q, ops::transpose(&keys, 2, 3)));
    if call.softcap {
        weights = soft_capped(weights);
    }
    if let Mask::Keep(mask) | Mask::Bias(mask) = mask {
        weights = ops::add(&weights, mask);
    }
    let softmaxed = ops::softmax_in(&weights, call.rules.eager_softmax_dtype);
    let converted = ops::to(softmaxed, q.dtype());
    // `attn_weights` is bound to the converted softmax, which frees the scores.
    drop(weights);
    let weights = ops::dropout(converted, call.dropout, call.training);
    let output = ops::contiguous(ops::transpose(ops::matmul(&weights, &values), 1, 2));
    // The function returns: `key_states` was bound before `value_states`; the weights are returned.
    drop(keys);
    drop(values);
    (output, Some(weights))
}

/// Gemma 2's softcapping of scores and logits: `tanh(x / cap) * cap`. The reference binds one name to each result in turn,
/// which frees the one before.
pub(crate) fn soft_capped(x: Tensor) -> Tensor {
    ops::mul_scalar(ops::tanh(ops::div_scalar(x)))
}

/// `repeat_kv`: each key head for every query head of its group, by a copy.
fn repeat_kv(x: &Tensor, groups: u64) -> Tensor {
    if groups == 1 {
        return x.clone();
    }
    let (batch, heads, tokens, width) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    let expanded = ops::expand(ops::unsqueeze(x, 2), [batch, heads, groups, tokens, width]);
    ops::reshape(&expanded, [batch, heads * groups, tokens, width])
}
