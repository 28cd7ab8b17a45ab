//! The explanation of a recorded snapshot.

mod answer;
mod text;
mod wire;

pub use answer::RecordingAnswer;
pub use text::recording_text;
pub(crate) use text::{leaks, owners, peak, peak_line};
pub use wire::*;
