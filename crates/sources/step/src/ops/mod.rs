//! The ATen ops that the models use, one small function each: the output's memory, what autograd
//! saves, the kernel's own buffers. Each mirrors the CUDA build of PyTorch 2.15; the upstream
//! function is named where the rule is not obvious.
//!
//! An argument is taken by value where Python passes a temporary, by reference where a name holds
//! it: a temporary dies at the end of the op, left operand first, as CPython drops it.

mod attention;
mod convert;
mod convolution;
mod dropout;
mod elementwise;
mod embedding;
mod factory;
mod foreach;
mod grouped;
mod iterator;
mod loss;
mod matmul;
mod norm;
mod operand;
mod pooling;
mod reduce;
mod routing;
mod scratch;
mod softmax;
mod sort;
#[cfg(test)]
mod tests;
mod transcendental;
mod view;

pub(crate) use attention::*;
pub(crate) use convert::*;
pub(crate) use convolution::*;
pub(crate) use dropout::*;
pub(crate) use elementwise::*;
pub(crate) use embedding::*;
pub(crate) use factory::*;
pub(crate) use foreach::*;
pub(crate) use grouped::*;
pub(crate) use iterator::wider;
pub(crate) use loss::*;
pub(crate) use matmul::*;
pub(crate) use norm::*;
pub(crate) use operand::Operand;
pub(crate) use pooling::*;
pub(crate) use reduce::*;
pub(crate) use routing::*;
use scratch::*;
pub(crate) use softmax::*;
pub(crate) use sort::*;
pub(crate) use transcendental::*;
pub(crate) use view::*;

/// What an op saves, in the order in which it is packed and released: by PyTorch's names of its arguments or results.
macro_rules! saved {
    ($($tensor:expr),* $(,)?) => { $crate::autograd::Saved::from_iter([$($tensor),*]) };
}
/// Gradients by input.
macro_rules! grads {
    ($($tensor:expr),* $(,)?) => { $crate::autograd::Grads::from_iter([$($tensor),*]) };
}
pub(crate) use {grads, saved};
