//! The largest value of a script's flag that fits, by runs.

use std::ffi::OsString;

/// What stands for the value in a word of the command.
pub const HOLE: &str = "{}";
/// Nobody asks for more.
const BOUND: u64 = 1 << 20;

/// Doubles until a value does not fit, then halves the gap; `None` where not even 1 does. A larger value that fits above
/// one that does not (fragmentation makes that possible) is not looked for.
///
/// # Errors
/// The first error of a run.
pub fn largest<E>(mut fits: impl FnMut(u64) -> Result<bool, E>) -> Result<Option<u64>, E> {
    if !fits(1)? {
        return Ok(None);
    }
    let (mut good, mut bad) = (1, BOUND + 1);
    while good < BOUND {
        let next = (good * 2).min(BOUND);
        if !fits(next)? {
            bad = next;
            break;
        }
        good = next;
    }
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle)? { good = middle } else { bad = middle }
    }
    Ok(Some(good))
}

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

    fn found(limit: u64) -> (Option<u64>, Vec<u64>) {
        let mut tried = Vec::new();
        let largest = largest(|value| {
            tried.push(value);
            Ok::<_, ()>(value <= limit)
        });
        (largest.unwrap(), tried)
    }

    #[test]
    fn every_limit_is_found() {
        for limit in 0..200 {
            assert_eq!(found(limit).0, Some(limit).filter(|limit| *limit > 0));
        }
        assert_eq!(found(u64::MAX).0, Some(BOUND));
    }

    #[test]
    fn few_runs_are_needed() {
        assert_eq!(found(11).1, [1, 2, 4, 8, 16, 12, 10, 11]);
    }

    #[test]
    fn an_error_ends_the_search() {
        assert_eq!(largest(|value| if value < 4 { Ok(true) } else { Err(value) }), Err(4));
    }

    #[test]
    fn values_fill_every_hole() {
        let words: Vec<OsString> = ["train.py", "--bs={}", "--run", "bs-{}"].map(Into::into).to_vec();
        assert_eq!(with_value(&words, 8).unwrap(), ["train.py", "--bs=8", "--run", "bs-8"]);
        assert_eq!(with_value(&words[..1], 8), None);
    }
}
