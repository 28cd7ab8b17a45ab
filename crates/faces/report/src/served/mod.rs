//! The answer about a job of a serving engine: does it start, how many tokens and requests does it hold, and what fills the GPU?

mod answer;
mod lines;
pub mod llama_cpp;
mod text;
mod wire;

pub use answer::{EngineAnswer, LlamaCppAnswer, ServedAnswer};
pub use lines::served_why_text;
pub use text::served_text;
pub use wire::*;
