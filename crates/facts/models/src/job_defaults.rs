/// transformers' `attn_implementation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionKernel {
    /// Scores written out in PyTorch.
    Eager,
    /// `torch.nn.functional.scaled_dot_product_attention`; the kernel is chosen as PyTorch does.
    Sdpa,
    /// The flash-attention package.
    Flash,
}

/// What a family's classes in transformers answer to keys that a job leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobDefaults {
    /// The attention of a model that is loaded without `attn_implementation`.
    pub attention: AttentionKernel,
    /// Why this attention, as answers list it.
    pub attention_why: &'static str,
    /// Whether the classes support sdpa (`_supports_sdpa`); if not, transformers refuses a job that asks for it.
    pub sdpa: bool,
    /// Whether attention can be written out in PyTorch: models of torchvision have no `attn_implementation`.
    pub eager: bool,
    /// Whether the model has gradient checkpointing (`gradient_checkpointing_enable`).
    pub checkpointing: bool,
}

impl JobDefaults {
    /// What a class answers that says nothing of its own: `get_correct_attn_implementation` takes sdpa if the class
    /// supports it (transformers/modeling_utils.py, 5.23).
    pub const TRANSFORMERS: JobDefaults = JobDefaults {
        attention: AttentionKernel::Sdpa,
        attention_why: "the default",
        sdpa: true,
        eager: true,
        checkpointing: true,
    };
}
