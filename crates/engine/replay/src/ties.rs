//! What decides between free blocks of equal size, by the version of PyTorch.

/// What orders free blocks of one stream and one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// The lowest address is taken first: torch up to 2.11 (`BlockComparatorSize`).
    Address,
    /// The oldest block object is taken first: torch 2.12 (`BlockComparatorRegistrationCounter`). Every new object
    /// gets the next number: a segment, the low end that is split off, and mapped pages.
    BlockCounter,
    /// The oldest segment is taken first, and the lowest address within it: torch 2.13 and later
    /// (`BlockComparatorSizeCounterAddress`). Expandable segments have no number.
    #[default]
    SegmentCounter,
}

impl Ties {
    /// All of them, the newest first.
    pub(crate) const ALL: [Ties; 3] = [Ties::SegmentCounter, Ties::Address, Ties::BlockCounter];

    /// The order of a version such as "2.11.0+cu128"; that of the newest one if the text is no version.
    ///
    /// ```
    /// use brimful_replay::Ties;
    /// assert_eq!(Ties::of_torch("2.11.0+cu128"), Ties::Address);
    /// assert_eq!(Ties::of_torch("2.12.1"), Ties::BlockCounter);
    /// assert_eq!(Ties::of_torch("2.15.0"), Ties::SegmentCounter);
    /// ```
    pub fn of_torch(version: &str) -> Ties {
        let mut numbers = version.split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse::<u32>().ok()
        });
        let (Some(Some(major)), minor) = (numbers.next(), numbers.next().flatten()) else {
            return Ties::default();
        };
        match (major, minor.unwrap_or(0)) {
            (0..=1, _) | (2, 0..=11) => Ties::Address,
            (2, 12) => Ties::BlockCounter,
            _ => Ties::SegmentCounter,
        }
    }
}

/// The numbers that a counter of the allocator gives out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counter {
    ties: Ties,
    last: u32,
}

impl Counter {
    /// A counter that follows a version's rule.
    pub fn new(ties: Ties) -> Counter {
        Counter { ties, last: 0 }
    }

    /// The number of a new segment of cudaMalloc.
    pub fn of_segment(&mut self) -> u32 {
        if self.ties == Ties::Address { 0 } else { self.next() }
    }

    /// The number of a block that is made out of one with this number.
    pub fn of_block(&mut self, from: u32) -> u32 {
        if self.ties == Ties::BlockCounter { self.next() } else { from }
    }

    // 2^32 blocks are more than any recording has; the order would begin anew behind them.
    fn next(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_version_stands_for_the_newest() {
        assert_eq!(Ties::of_torch(""), Ties::SegmentCounter);
        assert_eq!(Ties::of_torch("nightly"), Ties::SegmentCounter);
        assert_eq!(Ties::of_torch("1.13"), Ties::Address);
        assert_eq!(Ties::of_torch("2.13.0a0+git1234"), Ties::SegmentCounter);
        assert_eq!(Ties::of_torch("2.9"), Ties::Address);
        assert_eq!(Ties::of_torch("3"), Ties::SegmentCounter);
    }
}
