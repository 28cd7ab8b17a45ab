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
    /// Which kinds of gradient checkpointing the model has.
    pub checkpointing: CheckpointingKinds,
}

/// The kinds of gradient checkpointing that a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointingKinds {
    /// The models of torchvision have none.
    None,
    /// Diffusers has the kind that does not re-enter the engine, whatever is asked for (`enable_gradient_checkpointing`).
    NonReentrant,
    /// transformers takes either (`gradient_checkpointing_enable`).
    Either,
}

impl JobDefaults {
    /// What a class answers that says nothing of its own: `get_correct_attn_implementation` takes sdpa if the class
    /// supports it (transformers/modeling_utils.py, 5.23).
    pub const TRANSFORMERS: JobDefaults = JobDefaults {
        attention: AttentionKernel::Sdpa,
        attention_why: "the default",
        sdpa: true,
        eager: true,
        checkpointing: CheckpointingKinds::Either,
    };
}
