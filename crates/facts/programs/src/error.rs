//! What can be wrong with a program file, and with an expression of it.

/// A program file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ProgramError {
    /// The line, counted from 1.
    pub line: usize,
    /// What stands there and what was expected.
    pub message: String,
}

/// An expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The config lacks a key that the program needs.
    #[error("the config has no key {0:?}, which the program needs")]
    NoKey(String),
    /// A key or a part has another kind of value than the program needs.
    #[error("{what} is {found}; expected {expected}")]
    Kind {
        /// The part of the expression.
        what: String,
        /// What it is.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The arithmetic leaves 64 bits or divides by zero.
    #[error("{0} has no value within 64 bits")]
    Arithmetic(String),
    /// No recording covers the config.
    #[error("the recording holds where {0}")]
    Uncovered(String),
    /// The expression asks for something that is not there at this place, such as the size of a tensor in the header.
    #[error("{0} is not known at this place")]
    Unknown(String),
}
