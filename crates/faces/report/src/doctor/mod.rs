//! What was found of the GPUs' drivers, as `brimful doctor` shows it.

mod answer;
mod text;
mod wire;

pub use answer::{DoctorAnswer, DoctorDriver};
pub use text::doctor_text;
pub use wire::*;
