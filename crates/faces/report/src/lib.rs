//! Answers as people and programs read them. No arithmetic beyond percentages: that is done before.

mod fit_json;
mod fit_text;
mod recipe;
mod style;
mod table;

pub use fit_json::fit_json;
pub use fit_text::{FitAnswer, fit_text, largest_text, techniques_text, why_text};
pub use style::Style;
