//! The largest value that fits, by trying.

/// Doubles until a value does not fit or the bound is reached, then halves the gap; `None` where not even 1 does. A
/// larger value that fits above one that does not (fragmentation makes that possible) is not looked for.
///
/// # Errors
/// The first error of a trial.
pub fn largest_fitting<E>(
    bound: u64,
    mut fits: impl FnMut(u64) -> Result<bool, E>,
) -> Result<Option<u64>, E> {
    if !fits(1)? {
        return Ok(None);
    }
    let (mut good, mut bad) = (1, bound + 1);
    while good < bound {
        let next = (good * 2).min(bound);
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

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: u64 = 1 << 20;

    fn found(limit: u64) -> (Option<u64>, Vec<u64>) {
        let mut tried = Vec::new();
        let largest = largest_fitting(BOUND, |value| {
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
        assert_eq!(largest_fitting(BOUND, |value| if value < 4 { Ok(true) } else { Err(value) }), Err(4));
    }
}
