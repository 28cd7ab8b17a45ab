//! The placeholder `{}` of a command, in place of which a search puts one value after the other.

use std::ffi::OsString;

/// The part of a word that stands for the value.
pub const PLACEHOLDER: &str = "{}";

/// The command with the value in place of every placeholder; `None` if it has none.
pub fn with_value(words: &[OsString], value: u64) -> Option<Vec<OsString>> {
    let mut filled = false;
    let fill = |word: &OsString| match word.to_str() {
        Some(text) if text.contains(PLACEHOLDER) => {
            filled = true;
            OsString::from(text.replace(PLACEHOLDER, &value.to_string()))
        }
        _ => word.clone(),
    };
    let command = words.iter().map(fill).collect();
    filled.then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_replaces_every_placeholder() {
        let words: Vec<OsString> = ["train.py", "--bs={}", "--run", "bs-{}"].map(Into::into).to_vec();
        assert_eq!(with_value(&words, 8).unwrap(), ["train.py", "--bs=8", "--run", "bs-8"]);
        assert_eq!(with_value(&words[..1], 8), None);
    }
}
