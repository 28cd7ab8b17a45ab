//! What is known of a model: its architecture's numbers, and where present its exact tensors.

mod config;

pub use config::{Activation, Config, DecoderConfig, DecoderFamily, Gpt2Config, RopeType};
