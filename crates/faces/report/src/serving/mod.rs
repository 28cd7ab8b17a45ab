//! A serving engine's start-up, as a part of a rehearsal.

mod text;
mod wire;

pub(crate) use text::serving_text;
pub(crate) use wire::serving_json;
pub use wire::{KvCache, Load, RunnerBuffers, ServingFigures, ServingJson, ServingRank};
