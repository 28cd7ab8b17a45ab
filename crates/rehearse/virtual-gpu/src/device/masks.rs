//! Masks that the host has put on the GPU: whether all of their elements are set, or any.
//!
//! Libraries ask that of an attention mask (`mask.all()`, `mask.sum() == mask.numel()`, `all(mask == 1)`), and take memory
//! for a larger one where tokens are padding. A mask comes from the host, is cast or compared with 0 or 1, and is reduced:
//! so much is followed here (`Copy.cu`, `CompareEQ.cu` and `Reduce.cuh` of PyTorch 2.4 to 2.15). What else is written at a
//! mask's address makes an end of it.

use std::collections::{HashMap, VecDeque};

/// Longer copies are pictures and weights.
const MOST: usize = 1 << 20;
/// So many are kept, the newest: a batch has a few.
const KEPT: usize = 64;
/// A reduction's argument is a structure of about 1.1 KiB: its configuration, strides of up to 25 dimensions (of which most are
/// what was on the stack before), and addresses.
const STRUCTURE: usize = 1280;
const CONFIGURATION: usize = 128;

enum Mask {
    /// As the host wrote it; how long an element is, its first reader tells.
    Bytes(Vec<u8>),
    Elements(Vec<bool>),
}

/// What a kernel makes of a mask, one element of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made<'a> {
    /// The same in another type.
    Cast,
    Contrary,
    /// Whether it is, or is not, this number.
    Compared {
        number: &'a [u8],
        is_unequal: bool,
    },
}

/// What a reduction of a mask finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether all are set, and whether any is.
    pub all: bool,
    pub any: bool,
    /// Where the result goes.
    pub to: usize,
}

/// Masks by address.
#[derive(Default)]
pub(super) struct Masks {
    known: HashMap<usize, Mask>,
    /// Addresses, the oldest first.
    order: VecDeque<usize>,
}

impl Masks {
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The host puts bytes on the GPU.
    pub fn put(&mut self, address: usize, bytes: &[u8]) {
        self.gone(address);
        if (2..=MOST).contains(&bytes.len()) {
            self.keep(address, Mask::Bytes(bytes.to_vec()));
        }
    }

    fn keep(&mut self, address: usize, mask: Mask) {
        self.order.push_back(address);
        self.known.insert(address, mask);
        if self.order.len() > KEPT {
            self.order.pop_front().map(|oldest| self.known.remove(&oldest));
        }
    }

    /// Something else is written there.
    pub fn gone(&mut self, address: usize) {
        if self.known.remove(&address).is_some() {
            self.order.retain(|other| *other != address);
        }
    }

    /// A kernel makes so many elements of those at another address.
    pub fn made(&mut self, to: usize, from: usize, count: usize, made: Made) {
        let elements = match made {
            Made::Cast => self.elements(from, count, is_set),
            Made::Contrary => self.elements(from, count, |one| !is_set(one)),
            Made::Compared { number, is_unequal } => {
                self.elements(from, count, |one| is_equal(one, number) != is_unequal)
            }
        };
        self.gone(to);
        if let Some(elements) = elements {
            self.keep(to, Mask::Elements(elements));
        }
    }

    /// Something about all of the elements at an address, where there are so many.
    fn elements(&self, address: usize, count: usize, about: impl Fn(&[u8]) -> bool) -> Option<Vec<bool>> {
        match self.known.get(&address)? {
            Mask::Elements(elements) => (elements.len() == count)
                .then(|| elements.iter().map(|is_set| about(&[u8::from(*is_set)])).collect()),
            Mask::Bytes(bytes) => {
                let size = bytes.len().checked_div(count).filter(|size| size * count == bytes.len())?;
                matches!(size, 1 | 4 | 8).then(|| bytes.chunks_exact(size).map(about).collect())
            }
        }
    }

    /// What a reduction finds whose argument this is, where it reads a whole mask and has one result. The address of its input
    /// stands before that of its result, and that before the place of a second result, which there is not.
    ///
    /// # Safety
    /// So many bytes as [`STRUCTURE`] says can be read.
    pub unsafe fn reduced(&self, argument: *const u8, is_device: impl Fn(usize) -> bool) -> Option<Found> {
        // SAFETY: as the caller promises.
        let word = |at: usize| unsafe { argument.add(at * 8).cast::<usize>().read_unaligned() };
        // SAFETY: as the caller promises.
        let number = |at: usize| unsafe { argument.add(at * 4).cast::<i32>().read_unaligned() };
        let place = (CONFIGURATION / 8..STRUCTURE / 8 - 2).find(|place| {
            let addresses = [0, 1, 2].map(|next| word(place + next));
            self.known.contains_key(&addresses[0]) && is_device(addresses[1]) && addresses[2] == 0
        })?;
        let counts = (0..CONFIGURATION / 4).filter(|at| {
            // The size of what is reduced to, the number of inputs, and that of results.
            matches!(number(*at), 1 | 2 | 4 | 8) && number(at + 1) > 1 && number(at + 2) == 1
        });
        let elements = counts
            .filter_map(|at| usize::try_from(number(at + 1)).ok())
            .find_map(|count| self.elements(word(place), count, is_set))?;
        Some(Found {
            all: elements.iter().all(|is_set| *is_set),
            any: elements.contains(&true),
            to: word(place + 1),
        })
    }
}

fn is_set(one: &[u8]) -> bool {
    one.iter().any(|byte| *byte != 0)
}

/// In the machine's own order of bytes; one of the two may be longer, as 1 is as a flag and as a whole number.
fn is_equal(one: &[u8], number: &[u8]) -> bool {
    let shared = one.len().min(number.len());
    one[..shared] == number[..shared] && !is_set(&one[shared..]) && !is_set(&number[shared..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: usize = 0x7000_0000_0000;

    /// As a reduction of so many elements from an address is described.
    fn structure(from: usize, count: i32) -> Vec<u8> {
        let mut bytes = vec![0; STRUCTURE];
        for (at, number) in [(8, 8), (12, count), (16, 1)] {
            bytes[at..at + 4].copy_from_slice(&i32::to_ne_bytes(number));
        }
        for (at, address) in [(1024, from), (1032, BASE + 0x900)] {
            bytes[at..at + 8].copy_from_slice(&usize::to_ne_bytes(address));
        }
        bytes
    }

    fn found(masks: &Masks, from: usize, count: i32) -> Option<(bool, bool, usize)> {
        let structure = structure(from, count);
        // SAFETY: it is as long as it must be.
        let found = unsafe { masks.reduced(structure.as_ptr(), |address| address >= BASE) };
        found.map(|found| (found.all, found.any, found.to - BASE))
    }

    #[test]
    fn a_mask_is_followed_from_the_host_to_its_reduction() {
        let mut masks = Masks::default();
        let numbers: Vec<u8> = [1i64, 1, 0].iter().flat_map(|number| number.to_ne_bytes()).collect();
        masks.put(BASE, &numbers);
        assert_eq!(found(&masks, BASE, 3), Some((false, true, 0x900)));
        masks.made(BASE + 0x200, BASE, 3, Made::Cast);
        masks.made(BASE + 0x400, BASE + 0x200, 3, Made::Contrary);
        assert_eq!(found(&masks, BASE + 0x200, 3), Some((false, true, 0x900)));
        assert_eq!(found(&masks, BASE + 0x400, 3), Some((false, true, 0x900)));
        let (one, is_unequal) = (1i64.to_ne_bytes(), true);
        masks.made(BASE + 0x800, BASE, 3, Made::Compared { number: &one, is_unequal });
        assert_eq!(found(&masks, BASE + 0x800, 3), Some((false, true, 0x900)));
        masks.made(BASE + 0x800, BASE, 3, Made::Compared { number: &[2], is_unequal });
        assert_eq!(found(&masks, BASE + 0x800, 3), Some((true, true, 0x900)));
        // A part of it, another place, and what was written over.
        assert_eq!((found(&masks, BASE + 0x200, 2), found(&masks, BASE + 0x600, 3)), (None, None));
        masks.gone(BASE + 0x200);
        masks.put(BASE, &[1, 1, 1, 1]);
        assert_eq!(
            (found(&masks, BASE + 0x200, 3), found(&masks, BASE, 4)),
            (None, Some((true, true, 0x900)))
        );
    }

    #[test]
    fn the_newest_are_kept() {
        let mut masks = Masks::default();
        for place in 0..2 * KEPT {
            masks.put(BASE + place * 0x200, &[1; 4]);
        }
        assert_eq!((masks.known.len(), masks.order.len()), (KEPT, KEPT));
        assert_eq!(found(&masks, BASE, 4), None);
    }
}
