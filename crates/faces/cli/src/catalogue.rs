//! `brimful gpus` and `brimful models`: what is known by name.

use anyhow::Result;
use brimful_ask::{Outcome, gpus, models};

use crate::args::CatalogueArguments;
use crate::out::show;

/// Lists the GPUs whose name has every word.
///
/// # Errors
/// There is none, or a closed stream.
pub fn list_gpus(arguments: &CatalogueArguments) -> Result<Outcome> {
    show(&gpus(&arguments.filter.join(" "))?, arguments.json)
}

/// Lists the models whose names have every word.
///
/// # Errors
/// There is none, or a closed stream.
pub fn list_models(arguments: &CatalogueArguments) -> Result<Outcome> {
    show(&models(&arguments.filter.join(" "))?, arguments.json)
}
