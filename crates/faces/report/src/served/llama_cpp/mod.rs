//! The answer about a job of llama.cpp: does it start, which buffers fill the GPU, and which context would fit?

mod answer;
mod text;
mod wire;

pub use answer::LlamaCppAnswer;
pub use text::{llama_cpp_text, llama_cpp_why_text};
pub use wire::*;
