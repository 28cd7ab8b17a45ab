use brimful_models::catalogue::Entry;
use serde::Serialize;

use crate::wire::line;

/// The schema `brimful.models/1`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelsJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.models/1")))]
    pub schema: &'static str,
    /// The models, in the order of the catalogue.
    pub models: Vec<ModelRow<'a>>,
}

/// A model of the catalogue.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelRow<'a> {
    /// The hub id and the other names, the hub id first.
    pub names: &'a [&'a str],
    /// The `model_type` of its config.json.
    pub model_type: &'a str,
    /// Its parameters, in elements; absent if no count was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Whether it is simulated.
    pub simulated: bool,
}

/// The models as one line of JSON.
pub fn models_json(models: &[Entry]) -> String {
    line(&ModelsJson { schema: "brimful.models/1", models: models.iter().map(ModelRow::from).collect() })
}

impl<'a> From<&'a Entry> for ModelRow<'a> {
    fn from(model: &'a Entry) -> ModelRow<'a> {
        ModelRow {
            names: &model.names,
            model_type: &model.model_type,
            parameters: model.parameters,
            simulated: model.simulated,
        }
    }
}
