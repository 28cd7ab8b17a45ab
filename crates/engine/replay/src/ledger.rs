//! Amounts of memory by ledger.

use brimful_units::Bytes;

use crate::allocator::Allocator;

/// Amounts by ledger, in PyTorch's words: `requested ≤ allocated ≤ reserved`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Sizes asked of the allocator.
    pub requested: Bytes,
    /// Sizes of the blocks that were handed out.
    pub allocated: Bytes,
    /// Segments taken from the device.
    pub reserved: Bytes,
}

impl Ledger {
    /// Whether no ledger is above the one that holds it, as in every real memory.
    pub fn is_ordered(&self) -> bool {
        self.requested <= self.allocated && self.allocated <= self.reserved
    }

    /// What the allocator holds now.
    pub(crate) fn now(allocator: &Allocator) -> Ledger {
        Ledger {
            requested: Bytes::new(allocator.requested()),
            allocated: Bytes::new(allocator.allocated()),
            reserved: Bytes::new(allocator.reserved()),
        }
    }

    /// Raises each amount to the other's, where that is higher.
    pub(crate) fn raise_to(&mut self, other: &Ledger) {
        self.requested = self.requested.max(other.requested);
        self.allocated = self.allocated.max(other.allocated);
        self.reserved = self.reserved.max(other.reserved);
    }
}
