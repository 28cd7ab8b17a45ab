//! Figures of one message that cannot all be right: a number was cut, or read from another line.

use brimful_units::Bytes;

use crate::Facts;

/// Figures are printed with two decimals: sums of them are this share off, and 16 MiB where the figures are small.
const SHARE: f64 = 0.01;
const SMALL: u64 = 16 << 20;
/// No allocator of one GPU holds more than this (4 TiB).
const MOST_OF_A_GPU: u64 = 4 << 40;

/// What contradicts what, in a sentence each.
pub(crate) fn contradictions(facts: &Facts) -> Vec<String> {
    let figure = |name: &str| facts.bytes(name);
    let pair = |one: &str, two: &str| figure(one).zip(figure(two));
    let above = |one: Bytes, two: Bytes| {
        one.get() as f64 > two.get() as f64 * (1.0 + SHARE) && one.get() > two.get().saturating_add(SMALL)
    };
    let mut found = Vec::new();
    let mut claim = |wrong: bool, sentence: String| found.extend(wrong.then_some(sentence));
    if let Some((free, total)) = pair("free_bytes", "total_bytes") {
        claim(above(free, total), format!("{free} are free of a card of {total}"));
    }
    if let Some((allocated, reserved)) = pair("allocated_bytes", "reserved_bytes") {
        claim(
            above(allocated, reserved),
            format!("{allocated} are allocated of {reserved} that are reserved"),
        );
    }
    if let (Some((allocated, idle)), Some(in_use)) =
        (pair("allocated_bytes", "reserved_unallocated_bytes"), figure("process_in_use_bytes"))
    {
        // A process of which the driver knows nothing is printed as 0 bytes.
        let pool = Bytes::new(allocated.get().saturating_add(idle.get()));
        let sentence = format!("PyTorch holds {pool} and its whole process {in_use}");
        claim(in_use > Bytes::ZERO && above(pool, in_use), sentence);
    }
    if let (Some((free, in_use)), Some(total)) =
        (pair("free_bytes", "process_in_use_bytes"), figure("total_bytes"))
    {
        let sum = Bytes::new(free.get().saturating_add(in_use.get()));
        let sentence = format!("{in_use} in use and {free} free are more than the card's {total}");
        claim(above(sum, total), sentence);
    }
    if let Some(allocated) = figure("allocated_bytes") {
        let sentence = format!("{allocated} are allocated, which is more than any GPU has");
        claim(allocated.get() > MOST_OF_A_GPU, sentence);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn of(figures: &[(&str, u64)]) -> usize {
        let mut facts = Facts::default();
        for (name, mib) in figures {
            facts.set(name, Value::Int((mib << 20) as i64));
        }
        contradictions(&facts).len()
    }

    #[test]
    fn figures_that_agree_are_let_be() {
        let good = [
            ("total_bytes", 24_217),
            ("free_bytes", 412),
            ("process_in_use_bytes", 23_378),
            ("allocated_bytes", 21_852),
            ("reserved_unallocated_bytes", 1_096),
        ];
        assert_eq!(of(&good), 0);
        assert_eq!(
            of(&[("process_in_use_bytes", 0), ("allocated_bytes", 9), ("reserved_unallocated_bytes", 900)]),
            0
        );
    }

    #[test]
    fn each_contradiction_is_named() {
        assert_eq!(of(&[("total_bytes", 4096), ("free_bytes", 9000)]), 1);
        assert_eq!(of(&[("reserved_bytes", 4096), ("allocated_bytes", 5000)]), 1);
        let pool =
            [("process_in_use_bytes", 4000), ("allocated_bytes", 4000), ("reserved_unallocated_bytes", 900)];
        assert_eq!(of(&pool), 1);
        assert_eq!(of(&[("process_in_use_bytes", 4000), ("free_bytes", 900), ("total_bytes", 4096)]), 1);
        assert_eq!(of(&[("allocated_bytes", 6752 << 10)]), 1);
    }
}
