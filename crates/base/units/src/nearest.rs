use std::cmp::Reverse;

/// The candidate that somebody who typed `word` most likely meant; `None` where none is close.
///
/// Close means: few typing errors for the length of the word, upper and lower case and
/// `-`, `_`, `.` and space being the same.
///
/// ```
/// use brimful_units::nearest;
/// assert_eq!(nearest("sequense", ["batch", "sequence"]), Some("sequence"));
/// assert_eq!(nearest("zebra", ["batch", "sequence"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    if word.is_empty() || word.len() > LONGEST_WORD {
        return None;
    }
    let most = 1 + word.len() / 4;
    let scored = candidates.into_iter().map(|candidate| (errors(&word, &plain(candidate)), candidate));
    scored
        .filter(|((errors, _), _)| *errors <= most)
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, found)| found)
}

/// The distance; of equals the one whose first error comes later is nearer: people mistype ends.
fn errors(word: &[char], candidate: &[char]) -> (usize, Reverse<usize>) {
    let same = word.iter().zip(candidate).take_while(|(a, b)| a == b).count();
    (distance(word, candidate), Reverse(same))
}

/// Longer words are not names; comparing them would only cost time.
const LONGEST_WORD: usize = 128;

/// The word in one spelling: lower case, separators as one sign.
fn plain(word: &str) -> Vec<char> {
    let same = |c: char| if matches!(c, '_' | '.' | ' ' | '/') { '-' } else { c.to_ascii_lowercase() };
    word.chars().map(same).collect()
}

/// Levenshtein's distance with neighbouring letters swapped counted as one error.
fn distance(a: &[char], b: &[char]) -> usize {
    if a.len().abs_diff(b.len()) > a.len() {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(x != y);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = ["batch", "sequence", "checkpointing", "use_cache"];
        assert_eq!(nearest("bacth", keys), Some("batch"));
        assert_eq!(nearest("Use-Cache", keys), Some("use_cache"));
        assert_eq!(nearest("checkpoint", keys), Some("checkpointing"));
        assert_eq!(nearest("seq", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn counts_a_swap_as_one_error() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
    }
}
