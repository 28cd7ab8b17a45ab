//! Lines of prose that a terminal shows whole: [`super::Terminal`] breaks them where it ends.

use super::marks::{HANG, is_mark};

/// The text after its heading; where it is broken, lines go on `indent` characters from the left. Words are not broken, so
/// that a command can be copied.
pub(crate) fn wrapped(heading: &str, indent: usize, text: &str) -> Vec<String> {
    let rest = " ".repeat(indent);
    let lines = text.split('\n').enumerate();
    lines
        .map(|(at, line)| hung(&format!("{}{line}", if at == 0 { heading } else { &rest }), indent))
        .collect()
}

/// The text after its heading; the lines that follow stand below its first word.
pub(crate) fn hanging(heading: &str, text: &str) -> Vec<String> {
    wrapped(heading, heading.chars().filter(|character| !is_mark(*character)).count(), text)
}

/// Prose in Markdown that was broken into lines for its file, for a terminal of any width: each paragraph and each item of
/// a list is one line.
pub fn prose(markdown: &str) -> String {
    let begins = |line: &str| line.is_empty() || line.starts_with(['-', '#', '|', ' ', '`', '>']);
    let mut lines: Vec<String> = Vec::new();
    for line in markdown.lines() {
        match lines.last_mut().filter(|last| !last.is_empty() && !begins(line)) {
            Some(last) => *last += &format!(" {line}"),
            None => lines.push(line.to_owned()),
        }
    }
    lines.iter().map(|line| hung(line, if line.starts_with('-') { 2 } else { 0 }) + "\n").collect()
}

/// A line that goes on so many characters from the left.
pub(crate) fn hung(line: &str, indent: usize) -> String {
    let places = line.char_indices().filter(|(_, character)| !is_mark(*character));
    match places.map(|(at, _)| at).nth(indent) {
        Some(at) => format!("{}{HANG}{}", &line[..at], &line[at..]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{prose, wrapped};
    use crate::forms::plain;

    #[test]
    fn a_paragraph_of_a_file_is_as_wide_as_the_terminal() {
        let page =
            format!("# Title\n\n{}\n{}\n\n- an item\n", "one two ".repeat(6).trim_end(), "three ".repeat(12));
        let shown = plain(&prose(&page));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!((lines[0], lines[1], lines[4], lines.len()), ("# Title", "", "", 6), "{shown}");
        assert!(
            lines[2].len() > 90 && lines[2].ends_with("three") && lines[3].starts_with("three"),
            "{shown}"
        );
    }

    #[test]
    fn lines_after_the_first_are_indented_and_words_are_whole() {
        let word = "w".repeat(60);
        let lines = plain(&wrapped("  note: ", 4, &format!("{word} {word} {}", "x".repeat(120))).join("\n"));
        let expected = [format!("  note: {word}"), format!("    {word}"), format!("    {}", "x".repeat(120))];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }
}
