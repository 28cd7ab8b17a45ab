//! What the hook in the program's Python asks of the library: it follows values there (`brimful_rehearsal/values`), and this
//! module reports what it cannot see.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts events after which any address may hold another value, without an operator of PyTorch that says which: a kernel
/// of another library, a launch through the driver, a replayed graph, a collective over several ranks.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static brimful_unfollowed: AtomicU64 = AtomicU64::new(0);

/// Counts reads of GPU memory whose content the library did not know.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static brimful_unknown: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The number that this thread's next reads of one whole number return.
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Has this thread's reads of 4 or 8 bytes return a count, while an operator runs whose result has that many rows. A negative
/// number ends it.
#[unsafe(no_mangle)]
extern "C" fn brimful_count(rows: i64) {
    COUNT.set(u64::try_from(rows).ok());
}

/// Notes an event after which no value is known.
pub(super) fn unfollowed() {
    brimful_unfollowed.fetch_add(1, Ordering::Relaxed);
}

/// Notes a read of bytes that are not known.
pub(super) fn unknown() {
    brimful_unknown.fetch_add(1, Ordering::Relaxed);
}

/// The bytes that a read of so many bytes returns while an operator's count is known; `None` for any other read.
pub(super) fn count(bytes: usize) -> Option<[u8; 8]> {
    COUNT.get().filter(|_| matches!(bytes, 4 | 8)).map(u64::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_answers_reads_of_one_whole_number_until_it_is_withdrawn() {
        brimful_count(0x1_02);
        assert_eq!(count(4), Some([2, 1, 0, 0, 0, 0, 0, 0]));
        assert_eq!((count(8).is_some(), count(1), count(16)), (true, None, None));
        brimful_count(-1);
        assert_eq!(count(8), None);
    }
}
