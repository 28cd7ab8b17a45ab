//! Lines that were looked at before: a healthy log repeats the same words with other numbers, and looking costs
//! a thousand times what searching does.

use std::collections::HashMap;

/// What lines of a shape were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// No failure, so many times.
    Nothing(u8),
    /// A failure of this gravity.
    Failure(u8),
}

/// After so many looks without a failure a shape is taken for healthy.
const ENOUGH: u8 = 8;
/// No more shapes than these are remembered.
const MOST: usize = 4096;
/// A shape is what stands so near to the place.
const NEAR: usize = 256;

/// Shapes of lines and what they were.
#[derive(Debug, Default)]
pub(crate) struct Shapes(HashMap<u64, Known>);

impl Shapes {
    /// What is known of a shape; `None` where it must be looked at.
    pub fn known(&self, shape: u64) -> Option<Known> {
        self.0.get(&shape).copied().filter(|known| !matches!(known, Known::Nothing(times) if *times < ENOUGH))
    }

    /// Takes note of a look without a failure.
    pub fn nothing(&mut self, shape: u64) {
        let times = match self.0.get(&shape) {
            Some(Known::Nothing(times)) => times.saturating_add(1),
            _ => 1,
        };
        self.set(shape, Known::Nothing(times));
    }

    /// Takes note of a failure.
    pub fn failure(&mut self, shape: u64, gravity: u8) {
        self.set(shape, Known::Failure(gravity));
    }

    fn set(&mut self, shape: u64, known: Known) {
        if self.0.len() < MOST || self.0.contains_key(&shape) {
            self.0.insert(shape, known);
        }
    }
}

/// The shape of the line around a place: its bytes without digits, hashed eight at a time.
pub(crate) fn shape(bytes: &[u8], at: usize) -> u64 {
    let from =
        memchr::memrchr2(b'\n', b'\r', &bytes[..at]).map_or(0, |end| end + 1).max(at.saturating_sub(NEAR));
    let to = memchr::memchr2(b'\n', b'\r', &bytes[at..]).map_or(bytes.len(), |end| at + end).min(at + NEAR);
    let (mut words, mut len) = ([0; 2 * NEAR], 0);
    // Each byte is written and a digit is written over: no branch.
    for byte in &bytes[from..to] {
        words[len] = *byte;
        len += usize::from(!byte.is_ascii_digit());
    }
    if let Some(left_over) = words.get_mut(len) {
        *left_over = 0;
    }
    let chunks = words[..len.next_multiple_of(8)].as_chunks::<8>().0;
    let hash =
        |hash: u64, chunk: &[u8; 8]| (hash.rotate_left(5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(MIX);
    chunks.iter().fold(len as u64, hash)
}

/// An odd number with many bits set (2^64 / golden ratio): each byte of a chunk reaches the high bits.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_matter_and_words_do() {
        let of = |line: &[u8]| shape(line, 3);
        assert_eq!(of(b"step 12 of 99"), of(b"step 7 of 1000"));
        assert_ne!(of(b"step 12 of 99"), of(b"skip 12 of 99"));
    }

    #[test]
    fn a_shape_is_known_after_some_looks() {
        let mut shapes = Shapes::default();
        for _ in 0..ENOUGH {
            assert_eq!(shapes.known(1), None);
            shapes.nothing(1);
        }
        assert_eq!(shapes.known(1), Some(Known::Nothing(ENOUGH)));
        shapes.failure(2, 3);
        assert_eq!(shapes.known(2), Some(Known::Failure(3)));
    }
}
