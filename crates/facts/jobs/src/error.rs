use brimful_devices::GpuError;
use brimful_models::{Fault, ModelError};

/// A job that cannot be run: where the fault is, and the fault.
///
/// Prints as `file:line: cause`, without the line where it is not known.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{origin}{}: {fault}", line.map_or_else(String::new, |line| format!(":{line}")))]
pub struct JobError {
    /// The file as it was named, or the command line.
    pub origin: String,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: JobFault,
}

/// What is wrong with a job.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JobFault {
    /// The file is not there, or cannot be read.
    #[error("{0}")]
    File(String),
    /// The text is not of its format.
    #[error("is not valid {format}: {message}{}", column.map_or_else(String::new, |column| format!(" (column {column})")))]
    Syntax {
        /// JSON, TOML or YAML.
        format: &'static str,
        /// The line, counted from 1; `None` if the parser names none.
        line: Option<usize>,
        /// The column, counted from 1; `None` if the parser names none.
        column: Option<usize>,
        /// The parser's words.
        message: String,
    },
    /// A config of another program whose runs are not simulated.
    #[error("is a config of {program}; {instead}")]
    Foreign {
        /// The program.
        program: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A key that no job has.
    #[error("unknown key `{key}`{}", match nearest { Some(n) => format!("; did you mean `{n}`?"), None => format!("; expected one of {expected}") })]
    UnknownKey {
        /// The path of the key.
        key: String,
        /// The nearest known key beside it.
        nearest: Option<String>,
        /// The known keys.
        expected: String,
    },
    /// A value of the wrong type.
    #[error("`{key}` is {found}; expected {expected}")]
    WrongType {
        /// The path of the key.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A value that cannot be.
    #[error("`{key}` is {value}; {expected}")]
    Value {
        /// The path of the key.
        key: String,
        /// Its value.
        value: String,
        /// What must hold, or what to write instead.
        expected: String,
    },
    /// A key that must be there.
    #[error("`{key}` is missing; {expected}")]
    Missing {
        /// The path of the key.
        key: String,
        /// What to write.
        expected: String,
    },
    /// A key of the job file that the simulation does not follow yet.
    #[error("`{key}` = {value} is not simulated yet; {known}")]
    NotSimulated {
        /// The path of the key.
        key: String,
        /// Its value.
        value: String,
        /// What is simulated.
        known: String,
    },
    /// A model in a file or of the catalogue.
    #[error("`model`: {0}")]
    Model(Box<ModelError>),
    /// The model that was named instead of a job.
    #[error(transparent)]
    Argument(#[from] Box<Fault>),
    /// The table `[model]`.
    #[error("in `model`: {0}")]
    ModelTable(Box<Fault>),
    /// The GPU.
    #[error("`gpu`: {0}")]
    Gpu(GpuError),
}

impl JobFault {
    /// The line that the parser names.
    pub(crate) fn line(&self) -> Option<usize> {
        match self {
            JobFault::Syntax { line, .. } => *line,
            _ => None,
        }
    }

    /// The path of the key that is to blame.
    pub(crate) fn key(&self) -> Option<String> {
        match self {
            JobFault::UnknownKey { key, .. }
            | JobFault::WrongType { key, .. }
            | JobFault::Value { key, .. }
            | JobFault::NotSimulated { key, .. } => Some(key.clone()),
            JobFault::Model(_) => Some("model".to_owned()),
            JobFault::ModelTable(fault) => Some(model_key(fault)),
            JobFault::Gpu(_) => Some("gpu".to_owned()),
            JobFault::File(_)
            | JobFault::Argument(_)
            | JobFault::Missing { .. }
            | JobFault::Foreign { .. }
            | JobFault::Syntax { .. } => None,
        }
    }
}

/// The path of the key in `[model]` that a fault names.
fn model_key(fault: &Fault) -> String {
    match fault {
        Fault::WrongType { key, .. } | Fault::Value { key, .. } | Fault::Unsupported { key, .. } => {
            format!("model.{key}")
        }
        Fault::UnknownArchitecture { key, .. } => format!("model.{key}"),
        Fault::NotSimulated { .. } => "model.model_type".to_owned(),
        _ => "model".to_owned(),
    }
}
