//! Which GPUs and models are known by name?

use anyhow::{Result, ensure};
use brimful_devices::catalogue as gpus_known;
use brimful_models::catalogue as models_known;
use brimful_report::{gpus_json, gpus_text, models_json, models_text};

use crate::{Answer, Outcome};

/// The GPUs that were found.
pub struct GpusReply(Vec<gpus_known::Entry>);

/// The models that were found.
pub struct ModelsReply(Vec<models_known::Entry>);

/// The GPUs of the catalogue whose name has every word of the filter.
///
/// # Errors
/// There is none.
pub fn gpus(filter: &str) -> Result<GpusReply> {
    let found = gpus_known::entries(filter);
    ensure!(!found.is_empty(), "no GPU of the catalogue is called {filter:?}; brimful gpus lists them all");
    Ok(GpusReply(found))
}

/// The models of the catalogue whose names have every word of the filter.
///
/// # Errors
/// There is none.
pub fn models(filter: &str) -> Result<ModelsReply> {
    let found = models_known::entries(filter);
    ensure!(
        !found.is_empty(),
        "no model of the catalogue is called {filter:?}; brimful models lists them all, and fit takes any config.json"
    );
    Ok(ModelsReply(found))
}

impl Answer for GpusReply {
    fn text(&self) -> String {
        gpus_text(&self.0)
    }

    fn json(&self) -> String {
        gpus_json(&self.0)
    }

    fn outcome(&self) -> Outcome {
        Outcome::Well
    }
}

impl Answer for ModelsReply {
    fn text(&self) -> String {
        models_text(&self.0)
    }

    fn json(&self) -> String {
        models_json(&self.0)
    }

    fn outcome(&self) -> Outcome {
        Outcome::Well
    }
}
