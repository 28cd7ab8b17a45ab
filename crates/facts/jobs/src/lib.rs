//! What a user asks about: the model, the run, the GPU, the versions.
//!
//! [`load`] reads a job file (TOML, YAML or JSON) with the changes that flags make to it, looks up the model and the
//! GPU, checks every key and says what it assumed for the absent ones.

mod echo;
mod error;
mod format;
mod job;
mod load;
mod locate;
mod lora;
mod optimizer;
mod overrides;
mod recipe;
mod run;
mod section;
mod versions;

pub use echo::from_echo;
pub use error::{JobError, JobFault};
pub use format::Format;
pub use job::{
    AttentionKernel, AttentionMask, Cache, Checkpointing, Infer, Job, Lora, LoraTargets, Optimizer,
    OptimizerKind, Precision, Run, Task, Train, Versions,
};
pub use load::{LoadedJob, load, open};
pub use overrides::Overrides;
pub use recipe::{Assumption, Recipe};
pub use versions::{CudnnRules, TorchRules, TransformersRules};
