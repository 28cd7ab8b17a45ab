use serde::Deserialize;

/// Whose memory a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// NVIDIA's GPUs.
    Cuda,
    /// AMD's GPUs under ROCm.
    Hip,
    /// Intel's GPUs.
    Xpu,
    /// Huawei's Ascend and other makers' accelerators with an own backend of PyTorch.
    Npu,
    /// Google's TPUs.
    Tpu,
    /// Apple's GPUs: PyTorch's MPS, MLX, ggml's Metal backend.
    Metal,
    /// Any GPU of a Windows machine through DirectML.
    DirectMl,
    /// Any GPU through Vulkan.
    Vulkan,
    /// Any device through OpenCL.
    OpenCl,
    /// Any GPU through a browser or wgpu.
    WebGpu,
    /// A chip whose CPU and GPU share one memory: Jetson, DGX Spark, Strix Halo.
    Unified,
    /// No accelerator: the memory of the host.
    Host,
}

impl Accelerator {
    /// Its word in answers and in `formats/*.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Accelerator::Cuda => "cuda",
            Accelerator::Hip => "hip",
            Accelerator::Xpu => "xpu",
            Accelerator::Npu => "npu",
            Accelerator::Tpu => "tpu",
            Accelerator::Metal => "metal",
            Accelerator::DirectMl => "directml",
            Accelerator::Vulkan => "vulkan",
            Accelerator::OpenCl => "opencl",
            Accelerator::WebGpu => "webgpu",
            Accelerator::Unified => "unified",
            Accelerator::Host => "host",
        }
    }
}
