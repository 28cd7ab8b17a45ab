//! The models of the catalogue, as `brimful models` lists them.

mod text;
mod wire;

pub use text::models_text;
pub use wire::*;
