//! One job on several GPUs.

mod text;

pub use text::{FleetAnswer, fleet_text};
