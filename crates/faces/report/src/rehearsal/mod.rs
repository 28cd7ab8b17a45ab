//! A program that ran on a virtual GPU.

mod answer;
mod text;
mod wire;

pub use answer::{RehearsalAnswer, SearchAnswer};
pub use text::rehearse_text;
pub use wire::*;
