//! Many ranks of one job: the fullest, and those that are unlike the others.

use brimful_replay::{Ledger, follow, recorded_config};
use brimful_trace::{Event, Trace};

/// One rank's recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Its peaks.
    pub peak: Ledger,
    /// Whether a request failed.
    pub failed: bool,
}

/// The peaks of a recorded rank.
pub fn rank(trace: &Trace) -> Rank {
    Rank {
        peak: follow(trace, &recorded_config(trace)).peak,
        failed: trace.events().any(|event| matches!(event, Event::Oom(_))),
    }
}

/// Which ranks are unlike the others: their reserved peak is further from the median than 3.5 robust standard
/// deviations (1.4826 × the median absolute deviation: Iglewicz and Hoaglin, 1993) and than a hundredth of the median.
pub fn outliers(ranks: &[Rank]) -> Vec<bool> {
    let peaks: Vec<u64> = ranks.iter().map(|rank| rank.peak.reserved.get()).collect();
    let middle = median(&peaks);
    let away: Vec<u64> = peaks.iter().map(|peak| peak.abs_diff(middle)).collect();
    let usual = u128::from(median(&away));
    let far =
        |away: u64| u128::from(away) * 10_000 > usual * 51_891 && u128::from(away) * 100 > u128::from(middle);
    away.into_iter().map(far).collect()
}

/// The middle value, the lower one of two; 0 of none.
fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use brimful_units::Bytes;

    use super::*;

    fn ranks(mib: &[u64]) -> Vec<Rank> {
        let rank = |mib: &u64| Rank {
            peak: Ledger { reserved: Bytes::mib(*mib), ..Ledger::default() },
            failed: false,
        };
        mib.iter().map(rank).collect()
    }

    #[test]
    fn the_one_unlike_the_others_is_told() {
        assert_eq!(outliers(&ranks(&[1000, 1002, 998, 1001, 1600])), [false, false, false, false, true]);
        assert_eq!(outliers(&ranks(&[1000, 1000, 1000, 1300])), [false, false, false, true]);
    }

    #[test]
    fn small_differences_are_no_outliers() {
        assert_eq!(outliers(&ranks(&[1000, 1000, 1000, 1005])), [false; 4]);
        assert_eq!(outliers(&ranks(&[1000])), [false]);
        assert!(outliers(&[]).is_empty());
    }
}
