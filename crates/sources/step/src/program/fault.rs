//! Why a program cannot be run for a job.

use brimful_programs::EvaluationError;

/// Why an instruction cannot be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    /// A function that nobody has written.
    #[error("{0} is not simulated")]
    Function(String),
    /// A function with arguments that are not simulated.
    #[error("{function} with {what} is not simulated")]
    Arguments {
        /// The function.
        function: String,
        /// What it was given.
        what: String,
    },
    /// The job takes another way through the model's Python than the recording.
    #[error("the recording holds where ({expression}) is {expected}, and here it is not")]
    OtherWay {
        /// What was compared.
        expression: String,
        /// What the recording found.
        expected: bool,
    },
    /// An expression of the program has no value.
    #[error(transparent)]
    Expression(#[from] EvaluationError),
    /// The program names something that it does not make.
    #[error("the program is damaged: {0}")]
    Damaged(String),
}
