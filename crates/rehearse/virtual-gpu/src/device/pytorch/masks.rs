//! Masks that the host has copied to the GPU: whether all of their elements are set, or any.
//!
//! Libraries test that of an attention mask (`mask.all()`, `mask.sum() == mask.numel()`, `all(mask == 1)`) and allocate a
//! larger mask if there is padding. A mask is copied from the host, cast or compared with 0 or 1, and reduced. These steps are
//! followed here (`Copy.cu`, `CompareEQ.cu` and `Reduce.cuh` of PyTorch 2.4 to 2.15). Any other write to a mask's address
//! ends the tracking of that mask.

use std::collections::{HashMap, VecDeque};

/// The longest copy in bytes that is kept as a mask; longer ones are pictures and weights.
const MOST: usize = 1 << 20;
/// How many masks are kept, the newest ones; a batch has a few.
const KEPT: usize = 64;
/// Bytes of a reduction's argument that are searched. The structure has about 1.1 KiB: its configuration, strides of up to 25
/// dimensions (most of them uninitialised stack memory), and addresses.
const STRUCTURE: usize = 1280;
/// Bytes of the configuration at the structure's beginning, before any address.
const CONFIGURATION: usize = 128;

enum Mask {
    /// The bytes that the host wrote. The first kernel that reads them gives the size of an element.
    Bytes(Vec<u8>),
    /// Whether each element is set.
    Elements(Vec<bool>),
}

/// How a kernel transforms a mask, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::device) enum Made<'a> {
    /// A cast: each element is set if it was.
    Cast,
    /// Logical not.
    Contrary,
    /// A comparison of each element with a number.
    Compared {
        /// The number in native byte order.
        number: &'a [u8],
        /// Whether the operator is "not equal".
        is_unequal: bool,
    },
}

/// The result of reducing a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::device) struct Found {
    /// Whether all elements are set.
    pub all: bool,
    /// Whether any element is set.
    pub any: bool,
    /// The address of the result.
    pub to: usize,
}

/// Masks by address.
#[derive(Default)]
pub(in crate::device) struct Masks {
    known: HashMap<usize, Mask>,
    /// The addresses of all masks, the oldest first.
    order: VecDeque<usize>,
}

impl Masks {
    /// Whether no mask is tracked.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Tracks bytes that the host copies to the GPU as a mask, if they are short enough to be one.
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

    /// Stops tracking the mask at an address, because something else is written there.
    pub fn gone(&mut self, address: usize) {
        if self.known.remove(&address).is_some() {
            self.order.retain(|other| *other != address);
        }
    }

    /// Tracks the `count` elements that a kernel writes to `to` from the mask at `from`.
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

    /// Applies a test to each element of the mask at an address; `None` if the mask does not have `count` elements.
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

    /// The result of the reduction with this argument; `None` unless it reads a whole known mask into one result. The layout
    /// is: input address, output address, then a null second output.
    ///
    /// # Safety
    /// [`STRUCTURE`] bytes can be read.
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
            // `ReduceConfig` begins with element_size_bytes, num_inputs and num_outputs.
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

/// Compares two numbers in native byte order. One may be longer, as a 64-bit 1 is longer than a flag that is 1.
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
