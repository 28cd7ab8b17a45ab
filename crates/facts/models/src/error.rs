use std::fmt;

/// A model that cannot be used: where the fault is, and the fault.
///
/// Prints as `path: cause`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{origin}: {fault}")]
pub struct ModelError {
    /// The file, folder, name or table the fault is in.
    pub origin: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// There is no such file or folder, nor a model of that name.
    #[error("there is no such file or folder, and no such model in the catalogue; {}", cure(nearest))]
    Missing {
        /// The catalogue's nearest name.
        nearest: Option<String>,
    },
    /// The name stands for several models of the catalogue, or for none of a family that it has.
    #[error(
        "no file, folder or model of the catalogue has exactly this name; near it are {}; write one of them, or give the \
         model's config.json",
        known.join(", ")
    )]
    SeveralModels {
        /// Hub ids of these models.
        known: Vec<String>,
    },
    /// A copy of a known model with quantized weights.
    #[error(
        "the weights are quantized ({weights}), which is not simulated yet; the unquantized model is `{base}`, which needs \
         more memory; brimful rehearse -- python train.py measures your own script with the quantized weights"
    )]
    Quantized {
        /// How, such as "AWQ".
        weights: &'static str,
        /// The hub id of the model that was quantized.
        base: String,
    },
    /// The file or folder is there but cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A folder with no file that describes a model.
    #[error(
        "the folder holds no config.json{}; put the model's config.json there, or name a model that `brimful models` lists",
        if *weights { " (only safetensors, which hold sizes but not the architecture)" } else { "" }
    )]
    NoConfig {
        /// Whether there are safetensors files.
        weights: bool,
    },
    /// The text is not JSON.
    #[error("is not valid JSON: {0}")]
    Json(String),
    /// Neither `model_type` nor `architectures` says which class reads the keys.
    #[error("has neither `model_type` nor `architectures`; {}", Simulated)]
    NoArchitecture,
    /// transformers has no such architecture.
    #[error("`{key}` is {found:?}, which transformers 5.23 does not know{}; {}", hint(nearest), Simulated)]
    UnknownArchitecture {
        /// `model_type` or `architectures`.
        key: &'static str,
        /// What the key says.
        found: String,
        /// The nearest known name.
        nearest: Option<String>,
    },
    /// A real architecture that brimful does not simulate.
    #[error(
        "the architecture `{name}` is known but not simulated yet; {}; brimful rehearse -- python train.py measures your own \
         script with any model",
        Simulated
    )]
    NotSimulated {
        /// Its `model_type`.
        name: String,
    },
    /// A task for which the architecture is not simulated.
    #[error(
        "{name} has no program for the task {task}; write task = {}; brimful rehearse -- python train.py measures your own \
         script with any model",
        simulated.iter().map(|task| format!("\"{task}\"")).collect::<Vec<_>>().join(" or ")
    )]
    NoTask {
        /// Its `model_type`.
        name: String,
        /// The task.
        task: String,
        /// The tasks for which it is simulated.
        simulated: Vec<&'static str>,
    },
    /// A key that changes memory in a way brimful does not model.
    #[error("`{key}` = {value} is not simulated yet: {why}")]
    Unsupported {
        /// The key.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// What is known and what to do.
        why: &'static str,
    },
    /// The value has the wrong type.
    #[error("`{key}` is {found}; expected {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// What was found, with its value.
        found: String,
        /// The type that is expected.
        expected: &'static str,
    },
    /// The value has the right type but cannot be.
    #[error("`{key}` is {value}; {expected}")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What must hold.
        expected: String,
    },
    /// A safetensors header that is wrong.
    #[error(transparent)]
    Safetensors(#[from] crate::SafetensorsError),
    /// Weights that do not belong to the config.
    #[error("{0}")]
    Mismatch(String),
}

impl Fault {
    /// The error with its place.
    pub fn of(self, origin: impl Into<String>) -> ModelError {
        ModelError { origin: origin.into(), fault: self }
    }

    /// A value that cannot be.
    pub(crate) fn value(key: &str, value: impl fmt::Display, expected: impl Into<String>) -> Fault {
        Fault::Value { key: key.to_owned(), value: value.to_string(), expected: expected.into() }
    }
}

/// Prints some of the architectures that are simulated, and where all of them stand.
struct Simulated;

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = crate::simulated_families().collect();
        let (shown, more) = names.split_at(names.len().min(6));
        write!(f, "simulated are {} and {} others (brimful --version --facts)", shown.join(", "), more.len())
    }
}

/// What to write in place of a name that is nothing.
fn cure(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => "name a file or a folder, or a model that `brimful models` lists".to_owned(),
    }
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
