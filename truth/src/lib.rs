//! The truth that predictions are held against: runs of real PyTorch on the project's own virtual GPU.
//!
//! `fixtures/step` has one file for each family of models. [`fixtures`] reads and writes them, [`Recorder`] records jobs,
//! [`draw`] makes random ones, and [`difference`] and [`figures`] compare a record with what brimful simulates.

mod case;
mod configs;
mod draw;
mod events;
mod figures;
pub mod fixtures;
mod recorder;

use std::path::{Path, PathBuf};

pub use case::{Case, Expect, Ledgers, PhaseRow, Place};
pub use configs::{ConfigCase, ConfigsHeader, config_difference, read_configs};
pub use draw::{draw, draw_peft, draw_quantized, drawable, families, spread};
pub use events::{difference, difference_of};
pub use figures::{Figure, figures};
pub use recorder::{Recorded, Recorder, record_all};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
