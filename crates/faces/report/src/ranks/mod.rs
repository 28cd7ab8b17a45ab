//! The ranks of a job beside each other.

mod answer;
mod text;
mod wire;

pub use answer::RankAnswer;
pub use text::ranks_text;
pub use wire::*;
