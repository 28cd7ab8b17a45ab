//! The GPUs of this machine now, as `brimful top` shows them.

mod answer;
mod text;
mod wire;

pub use answer::TopAnswer;
pub use text::{top_line, top_text};
pub use wire::*;
