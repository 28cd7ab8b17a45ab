//! How llama.cpp is started.

use brimful_gguf::GgmlType;
use brimful_units::Bytes;

/// Is flash attention used?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlashAttention {
    /// If the device of each layer can run it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// A GPU that llama.cpp may use, in CUDA's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpu {
    /// Free memory when the model is loaded. Layers are split over several GPUs in proportion to it.
    pub free: Bytes,
    /// The compute capability as CUDA's major × 100 + minor × 10: 890 for a GeForce RTX 4090.
    pub compute_capability: u32,
}

/// A tensor whose name matches the pattern stays in host memory (`--override-tensor PATTERN=CPU`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// A regular expression, searched for anywhere in the name.
    pub pattern: String,
}

/// The settings of a context, by the names of llama.cpp's flags.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Tokens of context over all slots; 0: as many as the model was trained for.
    pub ctx_size: u32,
    /// Layers in GPU memory, counted from the output; `None`: all.
    pub n_gpu_layers: Option<u32>,
    /// Proportions in which layers are split over the GPUs; empty: by free memory.
    pub tensor_split: Vec<f32>,
    /// Slots, the most sequences at the same time.
    pub parallel: u32,
    /// Do all slots share one cache?
    pub kv_unified: bool,
    /// The largest batch that a caller passes.
    pub batch_size: u32,
    /// The largest batch that is computed at once.
    pub ubatch_size: u32,
    /// The most tokens of a batch whose logits are computed; 0: all of `batch_size`.
    pub n_outputs_max: u32,
    /// The type of cached keys.
    pub cache_type_k: GgmlType,
    /// The type of cached values.
    pub cache_type_v: GgmlType,
    /// Is flash attention used?
    pub flash_attn: FlashAttention,
    /// Does the cache lie in GPU memory?
    pub kv_offload: bool,
    /// Are large batches computed on a GPU even for weights in host memory?
    pub op_offload: bool,
    /// Do layers with a sliding window keep the whole context?
    pub swa_full: bool,
    /// Do all experts stay in host memory?
    pub cpu_moe: bool,
    /// The experts of this many layers, counted from the first, stay in host memory.
    pub n_cpu_moe: u32,
    /// Tensors that stay in host memory.
    pub overrides: Vec<Override>,
    /// Are embeddings returned? The whole batch is then computed at once.
    pub embeddings: bool,
}

impl Default for Settings {
    /// What `llama_context_default_params` and `llama_model_default_params` return (src/llama-context.cpp and
    /// src/llama-model.cpp, v0.5.0), except for the context, which is the model's.
    fn default() -> Self {
        Settings {
            ctx_size: 0,
            n_gpu_layers: None,
            tensor_split: Vec::new(),
            parallel: 1,
            kv_unified: false,
            batch_size: 2048,
            ubatch_size: 512,
            n_outputs_max: 0,
            cache_type_k: GgmlType::F16,
            cache_type_v: GgmlType::F16,
            flash_attn: FlashAttention::Auto,
            kv_offload: true,
            op_offload: true,
            swa_full: false,
            cpu_moe: false,
            n_cpu_moe: 0,
            overrides: Vec::new(),
            embeddings: false,
        }
    }
}
