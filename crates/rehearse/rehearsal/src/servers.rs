//! What serving engines need of their surroundings on a GPU that computes nothing.

/// Variables that an engine starts with, unless the caller has set them: DeepGEMM compiles with the CUDA toolkit and
/// times its kernels on the GPU. SGLang imports it nevertheless, and the import needs a path of the toolkit.
pub(crate) fn variables(engine: &str) -> Vec<(&'static str, &'static str)> {
    let all: &[(&str, &str)] = match engine {
        "vllm" => &[("VLLM_USE_DEEP_GEMM", "0"), ("VLLM_DEEP_GEMM_WARMUP", "skip")],
        _ if has_toolkit() => &[("SGLANG_ENABLE_JIT_DEEPGEMM", "0")],
        _ => &[("SGLANG_ENABLE_JIT_DEEPGEMM", "0"), ("CUDA_HOME", "/usr/local/cuda")],
    };
    all.iter().copied().filter(|(name, _)| std::env::var_os(name).is_none()).collect()
}

/// Whether DeepGEMM finds a CUDA toolkit by itself.
fn has_toolkit() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::var_os("CUDA_PATH").is_some()
        || std::env::split_paths(&path).any(|folder| folder.join("nvcc").is_file())
}

/// The same for people.
pub(crate) fn announced(variables: &[(&str, &str)]) -> Option<String> {
    let set: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let why = "DeepGEMM compiles with the CUDA toolkit and times its kernels; its buffers are not seen";
    (!set.is_empty()).then(|| format!("set for the engine: {} ({why})", set.join(", ")))
}
