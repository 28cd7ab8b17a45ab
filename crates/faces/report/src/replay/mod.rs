//! What a trace becomes under other settings or on another GPU.

mod answer;
mod text;
mod wire;

pub use answer::ReplayAnswer;
pub use text::replay_text;
pub use wire::*;
