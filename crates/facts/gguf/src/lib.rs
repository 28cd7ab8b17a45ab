//! Headers of GGUF files: the metadata and the table of tensors, read as a stream.
//!
//! ```
//! let mut file = b"GGUF".to_vec();
//! file.extend(3u32.to_le_bytes()); // version
//! file.extend(0u64.to_le_bytes()); // tensors
//! file.extend(1u64.to_le_bytes()); // keys
//! file.extend(20u64.to_le_bytes());
//! file.extend(b"general.architecture");
//! file.extend(8u32.to_le_bytes()); // a string
//! file.extend(5u64.to_le_bytes());
//! file.extend(b"llama");
//! let header = brimful_gguf::Header::read(&file[..]).unwrap();
//! assert_eq!(header.architecture().unwrap(), "llama");
//! ```
//!
//! The reader keeps no array of strings and no text longer than [`LONGEST_TEXT`]: a tokenizer of a million tokens costs the
//! time to pass over it and no memory.

mod error;
mod header;
mod read;
mod split;
mod types;
mod value;

pub use error::Error;
pub use header::{Header, Size, Tensor};
pub use read::{LONGEST_ARRAY, LONGEST_TEXT, MOST_DIMENSIONS};
pub use split::{Split, part_names};
pub use types::GgmlType;
pub use value::{Array, Value};
