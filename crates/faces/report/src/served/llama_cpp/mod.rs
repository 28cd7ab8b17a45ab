//! The answer about a job of llama.cpp: does it start, which buffers fill the GPU, and which context would fit?

mod text;
mod wire;

pub use text::llama_cpp_text;
pub use wire::*;
