//! Two runs compared.

mod answer;
mod text;
mod wire;

pub use answer::DiffAnswer;
pub use text::diff_text;
pub use wire::*;
