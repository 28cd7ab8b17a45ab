//! ggml without data: tensors that have a type, a shape and strides, the graph of a computation, how the scheduler splits it
//! over devices, and where the allocator places its tensors.

mod allocator;
mod attention;
mod fusion;
mod graph;
mod scheduler;
mod support;
mod tensor;

pub(crate) use graph::Graph;
pub(crate) use scheduler::{Machine, Schedule, schedule};
pub(crate) use support::{CUDA_ALIGNMENT, HOST_ALIGNMENT, cuda_bytes, cuda_multiplies};
pub(crate) use tensor::{Id, Op, Tensor, Unary};
