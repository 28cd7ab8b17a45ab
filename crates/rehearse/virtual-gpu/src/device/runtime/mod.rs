//! `libcudart`.

pub(super) mod code;
mod device;
mod error;
mod graph;
mod kernel;
mod memory;
mod pool;
mod stream;

pub(super) use device::CUDA_VERSION;
pub(super) use memory::copy;
