//! Bytes that the host has just copied to the GPU. They can be read back until a kernel runs.
//!
//! Programs send small tensors through the GPU (DDP the order of its buckets, pipelines their shapes) and read them before
//! any kernel has run. A kernel may write anywhere, so after one nothing is known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest copy in bytes that is kept. Longer ones are batches and weights, which programs do not read back.
const MOST: usize = 64 << 10;

/// The copies, by device address.
static WRITTEN: Mutex<BTreeMap<usize, Vec<u8>>> = Mutex::new(BTreeMap::new());
/// Whether there is any copy, so that a launch needs no lock while there is none.
static ANY: AtomicBool = AtomicBool::new(false);

fn written() -> MutexGuard<'static, BTreeMap<usize, Vec<u8>>> {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets all copies, because a kernel runs.
pub(super) fn forget() {
    if ANY.swap(false, Ordering::Relaxed) {
        written().clear();
    }
}

/// Keeps bytes that the host copies to the GPU.
pub(super) fn put(address: usize, bytes: &[u8]) {
    drop_overlapping(address, bytes.len());
    if bytes.len() <= MOST {
        written().insert(address, bytes.to_vec());
        ANY.store(true, Ordering::Relaxed);
    }
}

/// Copies known bytes from one address of the GPU to another.
pub(super) fn moved(to: usize, from: usize, bytes: usize) {
    if !ANY.load(Ordering::Relaxed) {
        return;
    }
    let known = get(from, bytes);
    drop_overlapping(to, bytes);
    if let Some(known) = known {
        put(to, &known);
    }
}

/// The bytes at an address; `None` unless all of them are known.
pub(super) fn get(address: usize, bytes: usize) -> Option<Vec<u8>> {
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    let all = written();
    let (start, known) = all.range(..=address).next_back()?;
    known.get(address - start..(address - start).checked_add(bytes)?).map(<[u8]>::to_vec)
}

/// Forgets copies in a range that is overwritten.
pub(super) fn drop_overlapping(address: usize, bytes: usize) {
    if !ANY.load(Ordering::Relaxed) {
        return;
    }
    let mut all = written();
    let end = address.saturating_add(bytes);
    // An entry begins at most `MOST` before the range that it overlaps.
    let near = all.range(address.saturating_sub(MOST)..end);
    let gone: Vec<usize> =
        near.filter(|(start, known)| *start + known.len() > address).map(|(start, _)| *start).collect();
    for start in gone {
        all.remove(&start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_until_a_kernel_runs() {
        put(0x7000_0000, &[1, 2, 3, 4]);
        assert_eq!(get(0x7000_0001, 2), Some(vec![2, 3]));
        assert_eq!(get(0x7000_0001, 4), None);
        moved(0x7000_1000, 0x7000_0002, 2);
        assert_eq!(get(0x7000_1000, 2), Some(vec![3, 4]));
        put(0x7000_0002, &[9]);
        assert_eq!((get(0x7000_0000, 2), get(0x7000_0002, 1)), (None, Some(vec![9])));
        forget();
        assert_eq!(get(0x7000_0002, 1), None);
    }
}
