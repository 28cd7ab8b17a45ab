//! Regular expressions of Python's `re`, as PEFT's options have them.

use regex_lite::Regex;

/// A regular expression and the text that the user wrote.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Pattern {
    /// `text` between `before` and `after`, which say how PEFT looks for it. `None` if it is no regular expression, or one
    /// with what only Python's engine has (a look around, a reference back).
    fn new(before: &str, text: &str, after: &str) -> Option<Pattern> {
        // The group keeps the alternatives of the text together.
        let regex = Regex::new(&format!("{before}(?:{text}){after}")).ok()?;
        Some(Pattern { text: text.to_owned(), regex })
    }

    /// As `re.fullmatch(text, path)` takes it.
    pub(crate) fn of_whole_path(text: &str) -> Option<Pattern> {
        Pattern::new("^", text, "$")
    }

    /// The last parts of a path (`get_pattern_key` in peft/utils/other.py, 0.21).
    pub(crate) fn of_last_parts(text: &str) -> Option<Pattern> {
        Pattern::new(r"^(.*\.)?", text, "$")
    }

    /// The list of a model's blocks; the group `idx` is the first number behind it (`check_target_module_exists` in
    /// peft/tuners/tuners_utils.py, 0.21).
    pub(crate) fn of_blocks(text: &str) -> Option<Pattern> {
        Pattern::new(r"^(?:|.*?\.)", text, r"\.(?P<idx>\d+)\.")
    }

    /// As [`Pattern::of_blocks`] where the job names no list: the first part of a path behind which a number stands.
    pub(crate) fn of_any_blocks() -> Option<Pattern> {
        Pattern::new(r"^.*?\.", r"[^.]*", r"\.(?P<idx>\d+)\.")
    }

    /// What the user wrote.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern finds itself in the path.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// The number of the block that a path is in.
    pub(crate) fn block(&self, path: &str) -> Option<u64> {
        self.regex.captures(path)?.name("idx")?.as_str().parse().ok()
    }
}
