//! The answer about a job: does it fit, and what fills the GPU?

mod answer;
mod text;
mod wire;

pub use answer::FitAnswer;
pub use text::{fit_text, need_text, techniques_text, why_text};
pub use wire::*;
