//! The pure size rules of the native allocator.

use brimful_units::Bytes;

use crate::config::AllocatorConfig;

pub(crate) const MIN_BLOCK: u64 = 512;
pub(crate) const SMALL_SIZE: u64 = 1 << 20;
pub(crate) const SMALL_SEGMENT: u64 = 2 << 20;
const MIN_LARGE_ALLOC: u64 = 10 << 20;
const ROUND_LARGE: u64 = 2 << 20;

impl AllocatorConfig {
    /// `round_size`: the block a request gets at least.
    pub fn round_size(&self, requested: u64) -> u64 {
        if requested < MIN_BLOCK {
            return MIN_BLOCK;
        }
        let divisions = self.roundup_power2_divisions[interval(requested)];
        if divisions > 1 && requested > MIN_BLOCK * divisions {
            return power_of_two_division(requested, divisions);
        }
        requested.checked_next_multiple_of(MIN_BLOCK).unwrap_or(u64::MAX)
    }

    /// `get_allocation_size`: the segment taken from the device for a rounded request.
    pub(crate) fn segment_size(&self, rounded: u64) -> u64 {
        if rounded <= SMALL_SIZE {
            SMALL_SEGMENT
        } else if rounded < MIN_LARGE_ALLOC {
            self.large_segment_size
        } else {
            rounded.checked_next_multiple_of(ROUND_LARGE).unwrap_or(u64::MAX)
        }
    }

    /// What the device is asked for where no block serves a request of this size.
    pub fn device_request(&self, requested: Bytes) -> Bytes {
        Bytes::new(self.segment_size(self.round_size(requested.get())))
    }

    /// Whether a free block may serve a request: oversize blocks are not broken up, and not wasted.
    pub(crate) fn may_take(&self, block: u64, rounded: u64) -> bool {
        let limit = self.max_split_size;
        let oversized = rounded < limit && block >= limit;
        let wasteful = rounded >= limit && block >= rounded.saturating_add(self.max_non_split_rounding);
        !oversized && !wasteful
    }

    /// Whether what is left of a block is worth a block of its own.
    pub(crate) fn should_split(&self, block: u64, rounded: u64, small: bool, expandable: bool) -> bool {
        let rest = block - rounded;
        if small || expandable {
            rest >= MIN_BLOCK
        } else {
            rounded < self.max_split_size && rest > SMALL_SIZE
        }
    }
}

/// Whether a segment of this size is of the small pool. The pages of its expandable segments are as large.
pub(crate) fn is_small_segment(bytes: u64) -> bool {
    bytes <= SMALL_SEGMENT
}

/// Which of the sixteen intervals (1 MiB, 2 MiB, … 32 GiB and up) a size belongs to.
fn interval(size: u64) -> usize {
    (63 - size.leading_zeros() as usize).saturating_sub(20).min(15)
}

/// `roundup_power2_next_division`.
fn power_of_two_division(size: u64, divisions: u64) -> u64 {
    if size.is_power_of_two() {
        return size;
    }
    let floor = 1u64 << (63 - size.leading_zeros());
    let step = floor >> divisions.ilog2();
    if step == 0 { floor.saturating_mul(2) } else { size.checked_next_multiple_of(step).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_rule_book() {
        let config = AllocatorConfig::default();
        assert_eq!(config.round_size(1), 512);
        assert_eq!(config.round_size(513), 1024);
        assert_eq!(config.segment_size(SMALL_SIZE), 2 << 20);
        assert_eq!(config.segment_size(SMALL_SIZE + 512), 20 << 20);
        assert_eq!(config.segment_size((10 << 20) + 512), 12 << 20);
        assert!(config.should_split(20 << 20, 18 << 20, false, false));
        assert!(!config.should_split(20 << 20, 19 << 20, false, false));
    }

    #[test]
    fn divisions_round_between_powers_of_two() {
        let config: AllocatorConfig = "roundup_power2_divisions:4".parse().unwrap();
        assert_eq!(config.round_size(1200 << 10), 1280 << 10);
        assert_eq!(config.round_size(1 << 20), 1 << 20);
        assert_eq!(config.round_size(700), 1024);
    }
}
