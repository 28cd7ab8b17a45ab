/// Why an engine cannot serve a model, or why that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServingError {
    /// The config has no key that the engine needs.
    #[error("the config has no `{key}`, which {needed_by} needs; take it from the model's own config.json")]
    Missing {
        /// The key of config.json.
        key: String,
        /// The model type, or the part of the engine.
        needed_by: String,
    },
    /// A value that cannot be.
    #[error("`{key}` is {value}; {expected}")]
    Value {
        /// The key of config.json or of the job.
        key: String,
        /// Its value.
        value: String,
        /// What must hold, and what to write instead.
        expected: String,
    },
    /// An architecture whose layers are not known here.
    #[error(
        "`model_type` is {model_type:?}, whose layers in vLLM are not known here; known are {}; brimful rehearse --dummy-weights \
         --gpu GPU -- vllm serve MODEL measures the engine itself",
        known.join(", ")
    )]
    Architecture {
        /// The `model_type` of the config.
        model_type: String,
        /// The model types that are known.
        known: Vec<&'static str>,
    },
    /// llama.cpp refuses the file or a setting, or the file's graph is not known here.
    #[error("{0}")]
    LlamaCpp(String),
}

impl ServingError {
    /// A value that cannot be.
    pub(crate) fn value(key: &str, value: impl ToString, expected: impl Into<String>) -> ServingError {
        ServingError::Value { key: key.to_owned(), value: value.to_string(), expected: expected.into() }
    }

    /// The key that is to blame; `None` if it is the architecture, or llama.cpp's own words.
    pub fn key(&self) -> Option<&str> {
        match self {
            ServingError::Missing { key, .. } | ServingError::Value { key, .. } => Some(key),
            ServingError::Architecture { .. } | ServingError::LlamaCpp(_) => None,
        }
    }
}
