//! The answer about a job of a serving engine: does it start, how many tokens and requests does it hold, and what fills the GPU?

mod answer;
pub mod llama_cpp;
mod text;
mod wire;

pub use answer::ServedAnswer;
pub use text::{served_text, served_why_text};
pub use wire::*;
