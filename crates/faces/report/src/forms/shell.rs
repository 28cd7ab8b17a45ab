//! Commands as they can be typed.

use super::marks::WHOLE;
use super::{Style, ascii};

/// A word for a POSIX shell.
///
/// ```
/// assert_eq!(brimful_report::shell_word("24 GiB"), "'24 GiB'");
/// ```
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+=@#%".contains(c);
    match () {
        // `#` begins a comment only at the beginning of a word.
        () if !text.is_empty() && !text.starts_with('#') && text.chars().all(plain) => text.to_owned(),
        () if text.chars().any(|c| ascii::hidden_byte(c).is_some() || ascii::is_unsafe(c)) => {
            ansi_c_quoted(text)
        }
        () => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A file's name for a POSIX shell: one that begins with a dash is no flag.
///
/// ```
/// assert_eq!(brimful_report::file_word("--all"), "./--all");
/// assert_eq!(brimful_report::file_word("-"), "-");
/// ```
pub fn file_word(name: &str) -> String {
    if name.starts_with('-') && name.len() > 1 { shell_word(&format!("./{name}")) } else { shell_word(name) }
}

/// `$'…'`, in which bash, zsh and ksh know bytes by their numbers.
fn ansi_c_quoted(text: &str) -> String {
    let mut quoted = "$'".to_owned();
    for character in text.chars() {
        match (ascii::hidden_byte(character), character) {
            (Some(byte), _) => quoted += &format!("\\x{byte:02x}"),
            (None, '\'' | '\\') => quoted.extend(['\\', character]),
            (None, _) if ascii::is_unsafe(character) => {
                let mut bytes = [0; 4];
                quoted.extend(character.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\x{byte:02x}")));
            }
            _ => quoted.push(character),
        }
    }
    quoted + "'"
}

/// The line with the next command to type.
pub(crate) fn next_line(command: &str) -> String {
    format!("{WHOLE}  next: {}", Style::STRONG.paint(command))
}

/// Whether an input can be named again: a pipe was read, and is gone.
pub(crate) fn can_be_named_again(input: &str) -> bool {
    let of_a_process = ["/dev/stdin", "/dev/fd/", "/proc/self/fd/"];
    input != "-" && !of_a_process.iter().any(|pipe| input.starts_with(pipe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_change_it() {
        for (text, word) in [
            ("run.pickle", "run.pickle"),
            ("rehearsal.zip#63", "rehearsal.zip#63"),
            ("#1", "'#1'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("a b; rm", "'a b; rm'"),
            ("a\u{1b}'", r"$'a\x1b\''"),
            ("a\u{10ffff}", r"$'a\xff'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
