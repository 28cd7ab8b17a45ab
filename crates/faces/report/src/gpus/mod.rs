//! The GPUs of the catalogue, as `brimful gpus` lists them.

mod text;
mod wire;

pub use text::gpus_text;
pub use wire::*;
