//! A command that takes a value as a word or a part of one.

use std::ffi::OsString;

/// What stands for the value in a word of the command.
pub const HOLE: &str = "{}";

/// The command with a value in every hole; `None` where it has no hole.
pub fn with_value(words: &[OsString], value: u64) -> Option<Vec<OsString>> {
    let mut filled = false;
    let fill = |word: &OsString| match word.to_str() {
        Some(text) if text.contains(HOLE) => {
            filled = true;
            OsString::from(text.replace(HOLE, &value.to_string()))
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
    fn values_fill_every_hole() {
        let words: Vec<OsString> = ["train.py", "--bs={}", "--run", "bs-{}"].map(Into::into).to_vec();
        assert_eq!(with_value(&words, 8).unwrap(), ["train.py", "--bs=8", "--run", "bs-8"]);
        assert_eq!(with_value(&words[..1], 8), None);
    }
}
