/// What a block of memory is for.
///
/// The finer kinds fold into the nine of the public answers with [`Category::public_name`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Category {
    /// Not known (yet).
    #[default]
    Unknown,
    /// A model's parameter.
    Parameter,
    /// A model's buffer, such as the rotary embedding's frequencies.
    Buffer,
    /// A parameter's gradient, from its allocation on.
    Gradient,
    /// State of the optimizer.
    Optimizer,
    /// The batch.
    Input,
    /// Made in the forward and alive at its end: kept for the backward.
    Activation,
    /// Anything as wide as the vocabulary, made in the forward or the backward.
    Logits,
    /// Keys and values of earlier tokens.
    KvCache,
    /// Autocast's copy of a weight in the lower precision.
    WeightCast,
    /// Made by a module that runs again inside the backward (gradient checkpointing).
    Recompute,
    /// A tensor that lives within one phase.
    Temporary,
    /// A kernel's own buffer, which no tensor owns (GEMM workspace, reduction staging).
    KernelBuffer,
}

impl Category {
    /// Every category, in order.
    pub const ALL: [Category; 13] = [
        Category::Unknown,
        Category::Parameter,
        Category::Buffer,
        Category::Gradient,
        Category::Optimizer,
        Category::Input,
        Category::Activation,
        Category::Logits,
        Category::KvCache,
        Category::WeightCast,
        Category::Recompute,
        Category::Temporary,
        Category::KernelBuffer,
    ];

    /// The name in this crate's file format and in detailed tables.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Unknown => "unknown",
            Category::Parameter => "parameter",
            Category::Buffer => "buffer",
            Category::Gradient => "gradient",
            Category::Optimizer => "optimizer",
            Category::Input => "input",
            Category::Activation => "activation",
            Category::Logits => "logits",
            Category::KvCache => "kv_cache",
            Category::WeightCast => "weight_cast",
            Category::Recompute => "recompute",
            Category::Temporary => "temporary",
            Category::KernelBuffer => "kernel_buffer",
        }
    }

    /// The key in the public answers' `composition`.
    pub const fn public_name(self) -> &'static str {
        match self {
            Category::Unknown => "other",
            Category::WeightCast | Category::Recompute | Category::KernelBuffer => "temporary",
            other => other.name(),
        }
    }
}
