//! The rules of torch that differ, or are expected to differ, between its versions.

use brimful_jobs::{CudnnRules, TorchRules as Known};
use brimful_units::Bytes;

/// The rules of one version of torch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TorchRules {
    /// How long cuBLAS's workspace lives.
    pub cublas_workspace: CublasWorkspace,
    /// `getChosenWorkspaceSize` on compute capability 9.0 and later (aten/src/ATen/cuda/CublasHandlePool.cpp).
    pub cublas_bytes_hopper: Bytes,
    /// As above, on earlier GPUs.
    pub cublas_bytes: Bytes,
    /// The widest head that flash attention takes, in elements (`check_head_dim_size_flash` in
    /// aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
    pub flash_widest_head: u64,
    /// The earliest compute capability with flash attention (`check_sm_version`, in the same file).
    pub flash_earliest: (u8, u8),
    /// What decides whether cuDNN's attention is used.
    pub cudnn_attention: CudnnAttention,
}

/// What torch asks of cuDNN's version (`check_prefer_cudnn_attention` and `check_cudnn_tensor_shapes`, in the same file).
#[derive(Clone, Copy, Debug)]
pub(crate) struct CudnnAttention {
    /// Whether cuDNN's attention is the first choice on compute capabilities 9 and 10. It is the last choice elsewhere,
    /// behind PyTorch's math path, which takes everything.
    pub preferred: bool,
    /// The widest head, in elements.
    pub widest_head: u64,
}

impl CudnnAttention {
    /// The rules for a known cuDNN. torch 2.14.1 and 2.15.0, built with CUDA 13, have the same.
    const fn of(cudnn: CudnnRules) -> CudnnAttention {
        match cudnn {
            CudnnRules::V9_1 => CudnnAttention { preferred: false, widest_head: 128 },
            CudnnRules::V9_15_1 => CudnnAttention { preferred: true, widest_head: 128 },
            CudnnRules::V9_22_1 | CudnnRules::V9_26 => CudnnAttention { preferred: true, widest_head: 256 },
        }
    }
}

/// How long the workspace of a matrix product lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CublasWorkspace {
    /// Each call takes its own and gives it back. cuBLASLt takes another of this size (`_getWorkspaceSize` in
    /// aten/src/ATen/cuda/CUDABlas.cpp).
    Call { lt: Bytes },
    /// The first call takes it for its thread and stream (`cublas_handle_stream_to_workspace`), and it stays. The
    /// backward has a thread of its own. cuBLASLt uses the same one.
    Held,
}

const CURRENT: TorchRules = TorchRules {
    cublas_workspace: CublasWorkspace::Call { lt: Bytes::new(1024 * 1024) },
    // 4096 KiB, eight times.
    cublas_bytes_hopper: Bytes::new(4096 * 1024 * 8),
    // `:4096:2:16:8`, in KiB and pieces.
    cublas_bytes: Bytes::new(4096 * 1024 * 2 + 16 * 1024 * 8),
    flash_widest_head: 256,
    flash_earliest: (8, 0),
    cudnn_attention: CudnnAttention::of(CudnnRules::V9_26),
};

impl TorchRules {
    /// The rules of a known version beside a known cuDNN.
    pub const fn of(version: Known, cudnn: CudnnRules) -> TorchRules {
        let current = TorchRules { cudnn_attention: CudnnAttention::of(cudnn), ..CURRENT };
        match version {
            Known::V2_15 => current,
            Known::V2_14 => TorchRules { cublas_workspace: CublasWorkspace::Held, ..current },
        }
    }

    /// The size of cuBLAS's workspace on a GPU of this compute capability.
    pub fn cublas_workspace_bytes(&self, compute_capability: (u8, u8)) -> Bytes {
        if compute_capability >= (9, 0) { self.cublas_bytes_hopper } else { self.cublas_bytes }
    }
}
