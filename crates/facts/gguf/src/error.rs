//! Why a file is not a GGUF header that can be used.

/// Why a header could not be read. Every message names the place, what was found, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader that the caller lent failed.
    #[error("the file could not be read at offset {offset}: {source}")]
    Io {
        /// Bytes read before the failure.
        offset: u64,
        /// The reader's own error.
        source: std::io::Error,
    },
    /// The file ends inside the header.
    #[error("the file ends at offset {offset}, inside {inside}; the file was cut off: download it again")]
    Ended {
        /// Where the file ends.
        offset: u64,
        /// What was being read.
        inside: String,
    },
    /// Something in the header is not what the format allows.
    #[error("offset {offset}: {what} is {found}; expected {expected}")]
    Unexpected {
        /// Where the value stands.
        offset: u64,
        /// The name of the value.
        what: String,
        /// What the file holds.
        found: String,
        /// What the format allows.
        expected: String,
    },
    /// A key that a question needs is missing or of another type.
    #[error("key {key}: found {found}; expected {expected}")]
    Key {
        /// The key.
        key: String,
        /// What the file holds.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The parts of a split file do not belong together.
    #[error("split file: found {found}; expected {expected}")]
    Split {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
}

impl Error {
    /// An [`Error::Unexpected`].
    pub(crate) fn unexpected(
        offset: u64,
        what: impl Into<String>,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Error::Unexpected { offset, what: what.into(), found: found.to_string(), expected: expected.into() }
    }
}
