//! The explanation of PyTorch's own statistics.

mod answer;
mod text;
mod wire;

pub use answer::StatisticsAnswer;
pub use text::statistics_text;
pub use wire::*;
