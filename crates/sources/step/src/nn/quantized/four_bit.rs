//! `Linear4bit`: a weight in 4 bits, dequantized for each product and not kept.

use std::cell::RefCell;
use std::rc::Rc;

use brimful_units::{Dtype, Shape};

use super::gemm::has_kernel;
use super::{Quantized, cast_bias, part, product};
use crate::autograd::{MATMUL_4BIT, Op};
use crate::device::Device;
use crate::nn::Parameter;
use crate::ops::{self, grads};
use crate::tensor::Tensor;

/// Elements under one scale (`blocksize` of `quantize_4bit`).
const BLOCK: u64 = 64;
/// Scales under one scale of theirs.
const BLOCK_OF_SCALES: u64 = 256;
/// What 4 bits can say.
const CODES: u64 = 16;
/// What a byte can say.
const CODES_OF_SCALES: u64 = 256;

/// `name2qmap`: the codes of bytes, which the first weight makes and the process keeps.
#[derive(Default)]
pub(in crate::nn) struct Codes(RefCell<Option<Tensor>>);

impl Codes {
    fn on(&self, device: &Device) -> Tensor {
        let make = || ops::new_tensor(device, "_to_copy", [CODES_OF_SCALES], Dtype::F32);
        self.0.borrow_mut().get_or_insert_with(|| part(make())).clone()
    }
}

/// A weight in 4 bits, and its `QuantState`.
pub(in crate::nn) struct FourBit {
    /// `[out * in / 2, 1]` of bytes, or fewer elements of another dtype.
    pub packed: Tensor,
    /// `[out, in]`.
    pub shape: Shape,
    /// A scale for each block: fp32, or bytes where they are quantized, too.
    scales: Tensor,
    /// What the 4 bits mean.
    code: Tensor,
    nested: Option<Nested>,
    /// The dtype of the weight that was quantized, to which the backward dequantizes.
    dtype: Dtype,
    /// To which the layer converts its input.
    pub compute_dtype: Dtype,
}

/// `state2`: how the scales are quantized.
struct Nested {
    /// Their mean.
    offset: Tensor,
    scales: Tensor,
    code: Tensor,
    _shared: Tensor,
}

impl FourBit {
    /// `quantize_4bit`, with quantized scales where there are codes for them.
    pub fn new(dense: &Tensor, (compute_dtype, storage): (Dtype, Dtype), codes: Option<&Codes>) -> FourBit {
        let device = dense.device();
        let _op = device.op("quantize_4bit");
        let elements = dense.numel();
        let scales = Tensor::empty(device, [elements.div_ceil(BLOCK)], Dtype::F32);
        let packed = elements.div_ceil(2) / storage.size();
        let packed = part(Tensor::empty(device, [packed, 1], storage));
        let code = part(four_bit_type(device));
        let (scales, nested) = match codes {
            None => (part(scales), None),
            Some(codes) => Nested::of(&scales, codes),
        };
        FourBit {
            packed,
            shape: dense.shape().clone(),
            scales,
            code,
            nested,
            dtype: dense.dtype(),
            compute_dtype,
        }
    }

    /// The tensors of its `QuantState`.
    pub fn state(&self) -> impl Iterator<Item = &Tensor> {
        let nested = self.nested.iter().flat_map(|nested| [&nested.offset, &nested.scales, &nested.code]);
        [&self.scales, &self.code].into_iter().chain(nested)
    }

    /// `Linear4bit.forward`.
    pub fn linear(&self, x: &Tensor, bias: Option<&Parameter>, weight: Rc<Quantized>) -> Tensor {
        let input_dtype = x.dtype();
        let x = ops::to(x, self.compute_dtype);
        let bias = cast_bias(bias, &x);
        let product = self.matmul_4bit(&x, bias.as_ref(), weight);
        ops::to(product, input_dtype)
    }

    /// `matmul_4bit`: a function of Python's where the input wants a gradient.
    fn matmul_4bit(&self, x: &Tensor, bias: Option<&Tensor>, weight: Rc<Quantized>) -> Tensor {
        let device = x.device().clone();
        if !device.grad_enabled() || !x.requires_grad() {
            return self.gemm(x, bias);
        }
        Op::nameless(MATMUL_4BIT, &[x])
            .run(|| {
                let _off = device.set_grad_enabled(false);
                self.gemm(x, bias)
            })
            // It keeps the packed weight, and nothing of the input.
            .backward(move |call| match &*weight {
                Quantized::FourBit(weight) => grads![Some(weight.input_gradient(call.grad()))],
                Quantized::EightBit(_) => grads![None],
            })
    }

    /// `gemm_4bit`: a kernel that reads the packed weight, or else a product with the dequantized one.
    fn gemm(&self, x: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let device = x.device();
        let (rows, width) = (x.numel() / x.last(0).max(1), x.last(0));
        if width.is_multiple_of(BLOCK) && has_kernel(device.properties(), x.dtype(), rows, &self.shape) {
            let x = ops::contiguous(x);
            return ops::new_tensor(device, "gemm_4bit", x.shape().with_last(1, &[self.shape[0]]), x.dtype());
        }
        // `_dequant_linear_fallback`: the scales are dequantized, and their mean is added to a copy.
        let scales = self.nested.as_ref().map(|nested| {
            let scales = ops::plain_unary("dequantize_blockwise", &self.scales, Dtype::F32);
            let sum = ops::plain_binary("add", &scales, &nested.offset);
            (sum, scales)
        });
        let dense = ops::new_tensor(device, "dequantize_4bit", self.shape.clone(), x.dtype());
        let out = ops::linear(x, &dense, bias);
        // The function's names: `absmax` is an argument, and bound to the sum.
        drop(scales);
        drop(dense);
        out
    }

    /// `grad_output @ dequantize_4bit(B, state).to(grad_output.dtype)`.
    fn input_gradient(&self, grad: &Tensor) -> Tensor {
        let dense = ops::to(self.dequantized(grad.device()), grad.dtype());
        product(grad, &dense)
    }

    /// `dequantize_4bit`, in the dtype of the weight that was quantized.
    pub fn dequantized(&self, device: &Device) -> Tensor {
        // Their mean is added in place.
        let scales =
            self.nested.as_ref().map(|_| ops::plain_unary("dequantize_blockwise", &self.scales, Dtype::F32));
        let dense = ops::new_tensor(device, "dequantize_4bit", self.shape.clone(), self.dtype);
        drop(scales);
        dense
    }
}

impl Nested {
    /// `quantize_blockwise(absmax - offset, blocksize=256)`: the bytes, and how they are read.
    fn of(scales: &Tensor, codes: &Codes) -> (Tensor, Option<Nested>) {
        let device = scales.device();
        let offset = part(ops::reduced_to_scalar(scales, "mean", Dtype::F32));
        let centered = ops::plain_binary("sub", scales, &offset);
        let shared = codes.on(device);
        let _op = device.op("quantize_blockwise");
        let outer = Tensor::empty(device, [scales.numel().div_ceil(BLOCK_OF_SCALES)], Dtype::F32);
        let bytes = Tensor::empty(device, scales.shape().clone(), Dtype::U8);
        let code = Tensor::empty(device, [CODES_OF_SCALES], Dtype::F32);
        drop(centered);
        let nested = Nested { offset, scales: part(outer), code: part(code), _shared: shared };
        (part(bytes), Some(nested))
    }
}

/// `get_4bit_type`: the codes, divided by the largest.
fn four_bit_type(device: &Device) -> Tensor {
    let code = ops::new_tensor(device, "_to_copy", [CODES], Dtype::F32);
    let magnitudes = ops::plain_unary("abs", &code, Dtype::F32);
    let largest = ops::reduced_to_scalar(&magnitudes, "max", Dtype::F32);
    drop(magnitudes);
    drop(largest);
    code
}
