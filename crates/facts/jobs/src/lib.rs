//! What a user asks about: the model, the run, the GPU, the versions.
//!
//! [`load`] reads a job file (TOML, YAML or JSON) with the changes that flags make to it, looks up the model and the
//! GPU, checks every key and says what it assumed for the absent ones.

mod command;
mod echo;
mod error;
mod foreign;
mod format;
mod job;
mod keys;
mod llama_cpp;
mod load;
mod locate;
mod lora;
mod mask;
mod optimizer;
mod overrides;
mod parallel;
mod pattern;
mod quantization;
mod recipe;
mod run;
mod schema;
mod section;
mod serve;
mod targets;
mod tools;
mod versions;
mod words;

pub use brimful_models::AttentionKernel;
pub use command::served_command;
pub use echo::from_echo;
pub use error::{JobError, JobFault};
pub use format::Format;
pub use job::{
    AttentionMask, Cache, Checkpointing, FourBitType, Infer, Job, Lora, LoraLayers, LoraModules, LoraTargets,
    Optimizer, OptimizerKind, Parallel, Precision, Quantization, QuantizedForm, Shard, Task, Train,
    TrainingLoop, Versions, Workload,
};
pub use keys::{Absent, Elsewhere, Key, Kind, Simulated, Spellings, elsewhere, flags, keys};
pub use llama_cpp::LlamaCppJob;
pub use load::{LoadedJob, load, open};
pub use optimizer::{BitsAndBytes, OptimizerClass, TorchAo, Update};
pub use overrides::Overrides;
pub use pattern::Pattern;
pub use recipe::{Assumption, PROCESSOR, Recipe};
pub use schema::schema;
pub use serve::{Length, ServedJob, VllmJob, VllmSettings, open_served};
pub use versions::{CudnnRules, TorchRules, TransformersRules, followed};
pub use words::Words;
