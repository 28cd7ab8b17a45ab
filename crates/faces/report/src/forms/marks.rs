//! Characters that say how a text is shown. [`super::Terminal`] turns them into what a terminal understands.
//!
//! They are Unicode's noncharacters, which no text for people holds. A file that holds one all the same can make its own
//! words bold, and nothing else: what a terminal obeys is written by [`super::Terminal`] alone.

/// It fits.
pub(crate) const GOOD: char = '\u{fdd0}';
/// It does not fit.
pub(crate) const BAD: char = '\u{fdd1}';
/// Less important.
pub(crate) const DIM: char = '\u{fdd2}';
/// More important.
pub(crate) const STRONG: char = '\u{fdd3}';
/// The end of any of them.
pub(crate) const END: char = '\u{fdd4}';
/// Where the lines begin that a long line of prose goes on in.
pub(crate) const HANG: char = '\u{fdd5}';
/// Where the last column of a table begins, below which it goes on.
pub(crate) const COLUMN: char = '\u{fdd8}';
/// A line that stays one, such as a command that is copied.
pub(crate) const WHOLE: char = '\u{fdd6}';
/// The beginning and the end of a bar, which is drawn shorter on a narrow terminal.
pub(crate) const BAR: char = '\u{fdd7}';

/// Whether a character is a mark, and takes no room.
pub(crate) fn is_mark(character: char) -> bool {
    (GOOD..=COLUMN).contains(&character)
}

/// A text without its marks, for a form that has an emphasis of its own.
pub(crate) fn without_marks(text: &str) -> String {
    text.chars().filter(|character| !is_mark(*character)).collect()
}
