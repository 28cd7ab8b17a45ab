//! What the text forms share: tables, bars, wrapped lines, emphasis, and the sign of each category.

pub(crate) mod bar;
mod style;
mod table;
mod wrap;

pub use style::Style;
pub(crate) use style::plain;
pub(crate) use table::table;
pub(crate) use wrap::{hanging, wrapped};
