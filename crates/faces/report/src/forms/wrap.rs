//! Lines of prose that a terminal shows whole.

use std::borrow::Cow;

/// Width of lines of prose in characters.
const WIDTH: usize = 100;

/// The text after its heading; the lines that follow begin `indent` characters from the left. Words are not broken, so
/// that a command can be copied.
pub(crate) fn wrapped(heading: &str, indent: usize, text: &str) -> Vec<String> {
    let rest = " ".repeat(indent);
    let options = textwrap::Options::new(WIDTH).initial_indent(heading).subsequent_indent(&rest);
    textwrap::wrap(text, options.break_words(false)).into_iter().map(Cow::into_owned).collect()
}

/// The text after its heading; the lines that follow stand below its first word.
pub(crate) fn hanging(heading: &str, text: &str) -> Vec<String> {
    wrapped(heading, heading.chars().count(), text)
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_after_the_first_are_indented_and_words_are_whole() {
        let word = "w".repeat(60);
        let lines = wrapped("  note: ", 4, &format!("{word} {word} {}", "x".repeat(120)));
        assert_eq!(lines[0], format!("  note: {word}"));
        assert_eq!(lines[1], format!("    {word}"));
        assert_eq!(lines[2], format!("    {}", "x".repeat(120)));
    }
}
