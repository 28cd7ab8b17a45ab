use serde::Serialize;

use super::{DataFacts, FactsAnswer, Version};
use crate::wire::line;

/// The schema `brimful.facts/1`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FactsJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.facts/1")))]
    pub schema: &'static str,
    /// The version of brimful.
    pub version: &'static str,
    /// Libraries whose rules `fit` follows.
    pub predicted: &'a [Version],
    /// Programs that `rehearse` runs.
    pub rehearsed: &'a [Version],
    /// What the virtual GPU reports of itself: the driver and CUDA.
    pub virtual_gpu: &'a [Version],
    /// Every `model_type` that is simulated.
    pub architectures: &'a [&'static str],
    /// Releases of PyTorch whose snapshots are read.
    pub snapshots: &'a [Version],
    /// The data sets.
    pub data: DataFacts,
}

/// The facts as one line of JSON.
pub fn facts_json(facts: &FactsAnswer) -> String {
    line(&FactsJson::from(facts))
}

impl<'a> From<&'a FactsAnswer> for FactsJson<'a> {
    fn from(facts: &'a FactsAnswer) -> FactsJson<'a> {
        FactsJson {
            schema: "brimful.facts/1",
            version: facts.version,
            predicted: &facts.predicted,
            rehearsed: &facts.rehearsed,
            virtual_gpu: &facts.virtual_gpu,
            architectures: &facts.architectures,
            snapshots: &facts.snapshots,
            data: facts.data,
        }
    }
}
