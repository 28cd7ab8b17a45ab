//! What the text forms share: tables, bars, wrapped lines, emphasis, commands, and the terminal that shows them.

mod ascii;
pub(crate) mod bar;
mod count;
mod marks;
mod shell;
mod style;
mod table;
mod terminal;
mod wrap;

pub(crate) use count::{counted, thousands, times};
pub(crate) use marks::without_marks;
pub(crate) use shell::{can_be_named_again, next_line};
pub use shell::{file_word, shell_word};
pub use style::Style;
#[cfg(test)]
pub(crate) use style::plain;
pub(crate) use table::table;
pub use terminal::{Terminal, safe_document, safe_json};
pub use wrap::prose;
pub(crate) use wrap::{hanging, wrapped};
