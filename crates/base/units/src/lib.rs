//! The nouns that every brimful crate shares: [`Bytes`], [`Dtype`] and [`Shape`].
//!
//! An amount of memory is always [`Bytes`]: an integer with checked arithmetic.
//! Floats appear only while printing.

mod bytes;
mod dtype;
mod nearest;
mod shape;

pub use bytes::{Bytes, ParseBytesError};
pub use dtype::{Dtype, ParseDtypeError};
pub use nearest::nearest;
pub use shape::{Overflow, Shape};
