//! GPUs as people write them: `rtx4090`, `3060 12gb`, `A100-40G`, `2x4090`.
//!
//! A name becomes words and, apart from them, a memory size. The words of the catalogue decide where a run of letters and
//! digits is cut: `4060ti` is `4060` and `ti`, but `a100` stays whole.

use std::collections::BTreeSet;

use brimful_units::Bytes;

/// Words that some spellings of a name have and others lack.
const NOISE: [&str; 8] = ["nvidia", "geforce", "tesla", "rtx", "gtx", "gpu", "generation", "amd"];

/// Words that mean the same, as people write them and as the catalogue has them.
const SAME: [(&str, &str); 4] = [("sxm2", "sxm"), ("sxm4", "sxm"), ("sxm5", "sxm"), ("laptop", "mobile")];

/// A name in one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spelling {
    /// The words without the memory size.
    pub words: Vec<String>,
    /// The memory size as it is marketed, in GB; `None` if the name has none.
    pub memory: Option<u64>,
}

impl Spelling {
    /// A name as it is written, cut at signs only.
    pub(crate) fn of(name: &str) -> Spelling {
        Spelling::with(name, |word| vec![word])
    }

    /// A name as a person writes it: words that the catalogue does not have are cut into those that it has.
    pub(crate) fn typed(name: &str, known: &BTreeSet<String>) -> Spelling {
        Spelling::with(name, |word| pieces(word, known).unwrap_or_else(|| vec![word]))
    }

    fn with(name: &str, cut: impl Fn(&str) -> Vec<&str>) -> Spelling {
        let lower = name.to_ascii_lowercase();
        let mut spelling = Spelling { words: Vec::new(), memory: None };
        for word in lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            for piece in cut(word) {
                spelling.push(piece);
            }
        }
        spelling
    }

    fn push(&mut self, word: &str) {
        if let Some(size) = gigabytes(word) {
            self.memory = Some(size);
            return;
        }
        let is_unit = ["gb", "gib", "g"].contains(&word);
        // "12 GB" is written with a blank as often as without.
        if let Some(size) = self.words.last().filter(|_| is_unit).and_then(|last| last.parse().ok()) {
            self.words.pop();
            self.memory = Some(size);
            return;
        }
        if !NOISE.contains(&word) {
            let same = SAME.iter().find(|pair| pair.0 == word).map_or(word, |pair| pair.1);
            self.words.push(same.to_owned());
        }
    }
}

/// `80gb`, `80g` and `80gib` as a number; `None` for anything else.
fn gigabytes(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_unit = ["gb", "gib", "g"].contains(&&word[digits.len()..]);
    // No GPU has 1000 GB, and no size begins with 0: in "gtx10603gb" it is 3 GB, in "a200012gb" 12 GB.
    digits.parse().ok().filter(|size| is_unit && *size < 1000 && !digits.starts_with('0'))
}

/// Every word that a typed name may be cut into.
pub(crate) fn vocabulary<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let words = names.flat_map(|name| Spelling::of(name).words);
    let others = NOISE.into_iter().chain(SAME.iter().map(|pair| pair.0)).map(str::to_owned);
    words.chain(others).collect()
}

/// No name has a longer word; cutting one would only cost time.
const LONGEST_WORD: usize = 40;

/// The fewest known words and memory sizes that a word consists of; `None` if it consists of none.
fn pieces<'a>(word: &'a str, known: &BTreeSet<String>) -> Option<Vec<&'a str>> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    // The fewest pieces of each beginning of the word, by its length. Words are ASCII: every length is a boundary.
    let mut best: Vec<Option<Vec<&str>>> = vec![Some(Vec::new())];
    for end in 1..=word.len() {
        let with_last = |start: usize| {
            let (before, piece) = (best[start].as_ref()?, &word[start..end]);
            let right = known.contains(piece) || gigabytes(piece).is_some();
            right.then(|| before.iter().copied().chain([piece]).collect::<Vec<_>>())
        };
        let shortest = (0..end).filter_map(with_last).min_by_key(Vec::len);
        best.push(shortest);
    }
    best.pop().flatten()
}

/// A GPU and how many of them: `2x4090`, `8 x H100`, `A100 x4`. One if there is no number.
pub(crate) fn counted(text: &str) -> (u64, &str) {
    let times = |c: char| matches!(c, 'x' | 'X' | '×' | '*');
    let count = |digits: &str| {
        digits.trim().parse::<u64>().ok().filter(|count| digits.trim().len() <= 2 && *count > 0)
    };
    let front = text.find(times).map(|at| text.split_at(at));
    let rest = |rest: &'_ str| rest.chars().next().map_or(0, char::len_utf8);
    if let Some((count, name)) = front.and_then(|(digits, name)| Some((count(digits)?, name))) {
        return (count, name[rest(name)..].trim());
    }
    let back = text.rfind(times).map(|at| text.split_at(at));
    match back.and_then(|(name, digits)| Some((count(&digits[rest(digits)..])?, name))) {
        Some((count, name)) if !name.trim().is_empty() => (count, name.trim()),
        _ => (1, text),
    }
}

/// Whether a card that is marketed with so many GB can report this total: ECC and the driver keep up to a tenth.
pub(crate) fn is_marketed_as(total: Bytes, gigabytes: u64) -> bool {
    let share = total.as_gib() / gigabytes.max(1) as f64;
    (0.90..=1.02).contains(&share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_gpus_stands_before_or_behind_the_name() {
        for (text, expected) in [
            ("2x4090", (2, "4090")),
            ("8xH100", (8, "H100")),
            ("4 x 24 GiB", (4, "24 GiB")),
            ("A100 x4", (4, "A100")),
            ("2×l4", (2, "l4")),
            ("7900 xtx", (1, "7900 xtx")),
            ("mi300x", (1, "mi300x")),
            ("x4", (1, "x4")),
            ("", (1, "")),
        ] {
            assert_eq!(counted(text), expected, "{text}");
        }
    }

    #[test]
    fn a_word_is_cut_into_the_fewest_that_are_known() {
        let known = vocabulary(["NVIDIA GeForce RTX 4060 Ti 16 GB", "NVIDIA A100 SXM4 80 GB"].into_iter());
        for (typed, words, memory) in [
            ("rtx4060ti16gb", vec!["4060", "ti"], Some(16)),
            ("4060Ti", vec!["4060", "ti"], None),
            ("A100-80G", vec!["a100"], Some(80)),
            ("a100sxm4 80 gb", vec!["a100", "sxm"], Some(80)),
            ("4061ti", vec!["4061ti"], None),
        ] {
            let spelling = Spelling::typed(typed, &known);
            assert_eq!(
                (spelling.words, spelling.memory),
                (words.iter().map(|w| (*w).to_owned()).collect(), memory),
                "{typed}"
            );
        }
    }

    #[test]
    fn a_long_word_costs_no_time() {
        let known = vocabulary(["a"].into_iter());
        assert_eq!(Spelling::typed(&"a".repeat(100_000), &known).words.len(), 1);
    }
}
