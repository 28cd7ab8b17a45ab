//! GPUs: what a kernel's buffers and a verdict need to know of one.

use brimful_units::Bytes;

/// A GPU as the CUDA runtime describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Catalogue name, such as `h100-sxm-80gb`; the size's text for an anonymous one.
    pub id: String,
    /// The name shown to people, such as "NVIDIA H100 80GB HBM3".
    pub name: String,
    /// What `cudaMemGetInfo` reports as total: less than the marketing figure.
    pub total: Bytes,
    /// Compute capability, major and minor: (8, 0).
    pub compute_capability: (u8, u8),
    /// Streaming multiprocessors.
    pub multiprocessors: u64,
    /// What one process needs beside PyTorch's allocator: the CUDA context and loaded kernels.
    pub context: Bytes,
    /// Where `total` is from.
    pub total_source: String,
    /// Where `context` is from.
    pub context_source: String,
}
