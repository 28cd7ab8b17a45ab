//! Why no answer can be given.

/// Why the buffers of a model cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The graph of this architecture is not known here.
    #[error("general.architecture is \"{0}\"; the graph of this architecture is not known; known are {known}", known = crate::KNOWN.join(", "))]
    Architecture(String),
    /// The header lacks a key, or the key has a value that llama.cpp refuses.
    #[error("key {key} is {found}; expected {expected}")]
    Key {
        /// The key.
        key: String,
        /// What the header holds.
        found: String,
        /// What llama.cpp expects.
        expected: String,
    },
    /// The header lacks a tensor that the architecture needs.
    #[error("the tensor {0} is missing; the architecture needs it")]
    Tensor(String),
    /// The shapes of the file's tensors and its keys do not fit together.
    #[error("the tensors do not fit the keys: {0}; the file was made for another version, or is damaged")]
    Shape(&'static str),
    /// The type of a tensor is not known, so its bytes are not.
    #[error(
        "the tensor {name} has the type {number}, which ggml v0.5.0 does not have; its bytes are not known"
    )]
    Type {
        /// The tensor's name.
        name: String,
        /// The number of its type.
        number: u32,
    },
    /// llama.cpp refuses to start with these settings.
    #[error("{key} is {found}; {reason}")]
    Setting {
        /// The name of the setting.
        key: &'static str,
        /// Its value.
        found: String,
        /// Why llama.cpp refuses it, and the cure.
        reason: String,
    },
}
