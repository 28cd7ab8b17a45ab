//! Rotary position embedding (`LlamaRotaryEmbedding`, `apply_rotary_pos_emb`).

use brimful_models::{DecoderConfig, RopeType};
use brimful_trace::Category;
use brimful_units::Dtype;

use crate::device::Device;
use crate::nn::Forward;
use crate::ops;
use crate::tensor::Tensor;

/// `LlamaRotaryEmbedding`: the frequencies of a head's dimensions, as buffers.
pub(in crate::models) struct RotaryEmbedding {
    /// `[D / 2]`, fp32.
    inv_freq: Tensor,
    /// `original_inv_freq`, which a dynamic `rope_type` would go back to. Nothing reads it.
    _original_inv_freq: Tensor,
}

impl RotaryEmbedding {
    /// The constructor makes the frequencies, and `_init_weights` makes them again and copies.
    pub fn new(config: &DecoderConfig, device: &Device) -> RotaryEmbedding {
        let frequencies = config.head_dim / 2;
        let inv_freq = inverse_frequencies(device, config.rope_type, frequencies);
        let original = {
            let _op = device.op("clone");
            Tensor::empty(device, [frequencies], Dtype::F32)
        };
        inv_freq.categorize(Category::Buffer);
        original.categorize(Category::Buffer);
        // The second ones are copied into the buffers and go at once.
        drop(inverse_frequencies(device, config.rope_type, frequencies));
        RotaryEmbedding { inv_freq, _original_inv_freq: original }
    }
}

impl Forward for RotaryEmbedding {
    /// The hidden states, for their dtype, and the position ids `[1, S]`.
    type Input<'a> = (&'a Tensor, &'a Tensor);
    /// `cos` and `sin`, `[1, S, D]` in the dtype of the hidden states.
    type Output = (Tensor, Tensor);

    fn forward(&self, (x, position_ids): (&Tensor, &Tensor)) -> (Tensor, Tensor) {
        let _off = x.device().set_grad_enabled(false);
        let positions = ops::to(ops::unsqueeze(position_ids, 2), Dtype::F32);
        let freqs = ops::mul(positions, &self.inv_freq);
        let emb = ops::cat(&[&freqs, &freqs], 2);
        let cos = ops::mul_scalar(ops::plain_unary("cos", &emb, Dtype::F32));
        let sin = ops::mul_scalar(ops::plain_unary("sin", &emb, Dtype::F32));
        let out = (ops::to(&cos, x.dtype()), ops::to(&sin, x.dtype()));
        // The function returns: its locals go in the order in which they were bound first.
        drop(freqs);
        drop(emb);
        drop(cos);
        drop(sin);
        out
    }
}

/// `1 / base ** (arange(0, D, 2) / D)`; llama3 scales it by bands afterwards
/// (`_compute_llama3_parameters` in modeling_rope_utils.py).
fn inverse_frequencies(device: &Device, rope: RopeType, count: u64) -> Tensor {
    let make = |op, dtype| ops::new_tensor(device, op, [count], dtype);
    let range = if rope == RopeType::Default {
        make("arange", Dtype::F32)
    } else {
        let whole = make("arange", Dtype::I64);
        ops::to(whole, Dtype::F32)
    };
    let exponents = ops::div_scalar(range);
    let powers = make("pow", Dtype::F32);
    // The base is a Python number: it becomes a scalar tensor for the length of the call.
    drop(ops::new_tensor(device, "scalar_tensor", [], Dtype::F64));
    drop(exponents);
    let reciprocal = make("reciprocal", Dtype::F32);
    let frequencies = ops::mul_scalar(reciprocal);
    drop(powers);
    if rope == RopeType::Llama3 { llama3_bands(frequencies) } else { frequencies }
}

fn llama3_bands(inv_freq: Tensor) -> Tensor {
    let device = inv_freq.device().clone();
    let count = inv_freq.numel();
    let make = |op, dtype| ops::new_tensor(&device, op, [count], dtype);
    let wavelengths = {
        let reciprocal = make("reciprocal", Dtype::F32);
        ops::mul_scalar(reciprocal)
    };
    let scaled = {
        let low = make("gt", Dtype::Bool);
        let divided = make("div", Dtype::F32);
        let chosen = make("where", Dtype::F32);
        drop(low);
        drop(divided);
        chosen
    };
    let smooth = {
        let ratio = ops::mul_scalar(make("reciprocal", Dtype::F32));
        ops::div_scalar(ops::sub_scalar(ratio))
    };
    let smoothed = {
        let slow = ops::div_scalar(ops::mul(ops::sub_scalar(&smooth), &scaled));
        ops::add(slow, ops::mul(&smooth, &scaled))
    };
    let medium = {
        let not_high = inverted(make("lt", Dtype::Bool));
        ops::mul(not_high, inverted(make("gt", Dtype::Bool)))
    };
    let out = make("where", Dtype::F32);
    // `inv_freq_llama` is bound to the result, which frees the scaled ones. Then the function returns, and its locals go
    // in the order in which they were bound.
    drop(scaled);
    drop(inv_freq);
    drop(wavelengths);
    drop(smooth);
    drop(smoothed);
    drop(medium);
    out
}

fn inverted(x: Tensor) -> Tensor {
    ops::plain_unary("bitwise_not", &x, Dtype::Bool)
}

/// `q * cos + rotate_half(q) * sin`, the same for k.
pub(in crate::models) fn apply_rotary_pos_emb(
    q: &Tensor,
    k: &Tensor,
    cos: &Tensor,
    sin: &Tensor,
) -> (Tensor, Tensor) {
    let (cos, sin) = (ops::unsqueeze(cos, 1), ops::unsqueeze(sin, 1));
    let rotate = |x: &Tensor| ops::add(ops::mul(x, &cos), ops::mul(rotate_half(x), &sin));
    let q = rotate(q);
    (q, rotate(k))
}

fn rotate_half(x: &Tensor) -> Tensor {
    let last = x.rank() - 1;
    let first_half = ops::slice(x, last, x.last(0) / 2);
    let second_half = ops::slice(x, last, x.last(0) - x.last(0) / 2);
    let negated = ops::neg(&second_half);
    ops::cat(&[&negated, &first_half], last)
}
