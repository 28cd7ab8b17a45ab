//! What a user asks about: the model, the run, the GPU, the versions.

mod job;

pub use job::{
    AttentionKernel, AttentionMask, Cache, Checkpointing, Infer, Job, Lora, LoraTargets, Optimizer,
    OptimizerKind, Precision, Run, Task, Train, Versions,
};
