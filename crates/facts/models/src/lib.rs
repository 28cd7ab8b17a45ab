//! What is known of a model: its architecture's numbers, and where present its exact tensors.
//!
//! A model comes from a folder, a `config.json`, a safetensors file, a name of the [`catalogue`] or a table of
//! keys. Absent keys get the default of transformers' config class (version 5.23); what transformers would refuse
//! is refused here.

mod architecture;
pub mod catalogue;
mod checkpoint;
mod config;
mod error;
mod families;
mod files;
mod job_defaults;
mod keys;
mod model;
mod parameters;
mod recorded;
mod safetensors;
mod spelling;

pub use architecture::ConfigFile;
pub use checkpoint::Checkpoint;
pub use config::{Activation, Config, DecoderConfig, Gpt2Config, RopeType};
pub use error::{Fault, ModelError};
pub use families::{DecoderFamily, causal_lm_class, simulated_families};
pub use files::{Files, Kind, MemoryFiles, NoFiles};
pub use job_defaults::{AttentionKernel, CheckpointingKinds, JobDefaults};
pub use keys::describe;
pub use model::{Model, Source, model_keys};
pub use recorded::RecordedConfig;
pub use safetensors::{LARGEST_HEADER, SafetensorsError, TensorInfo, header_length, parse_header};
