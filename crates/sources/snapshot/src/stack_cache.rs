//! A cache of stacks by the bytes of the references to their frames: equal bytes are the same frames.

use rustc_hash::FxHashMap;

use crate::opcode;

/// The stacks that were read, by the bytes of their references.
#[derive(Default)]
pub(crate) struct StackCache<'a> {
    all: Vec<CachedStack<'a>>,
    numbers: FxHashMap<&'a [u8], usize>,
    last: Option<usize>,
}

/// A stack, and the bytes of the run of references that it was read from.
struct CachedStack<'a> {
    bytes: &'a [u8],
    stack: u32,
    /// The run that came after this one the last time: a program repeats itself.
    then: usize,
}

impl<'a> StackCache<'a> {
    /// The stack at this place and where it ends, if it is the one that was here the last time.
    #[inline]
    pub fn expected(&mut self, data: &[u8], start: usize) -> Option<(u32, usize)> {
        let number = self.all.get(self.last?)?.then;
        let run = self.all.get(number)?;
        let end = start + run.bytes.len();
        if data.get(end) != Some(&opcode::APPENDS) || data[start..end] != *run.bytes {
            return None;
        }
        self.last = Some(number);
        Some((run.stack, end + 1))
    }

    /// The stack of a run that was read before.
    pub fn find(&mut self, bytes: &[u8]) -> Option<u32> {
        let number = *self.numbers.get(bytes)?;
        self.follow(number);
        Some(self.all[number].stack)
    }

    /// Keeps the stack of a run of references that was read as usual.
    pub fn add(&mut self, bytes: &'a [u8], stack: u32) {
        let number = self.all.len();
        self.all.push(CachedStack { bytes, stack, then: 0 });
        self.numbers.insert(bytes, number);
        self.follow(number);
    }

    fn follow(&mut self, number: usize) {
        if let Some(last) = self.last.replace(number) {
            self.all[last].then = number;
        }
    }
}

/// The references from a place up to the end of a list; `None` where anything else is among them.
pub(crate) fn references(data: &[u8], start: usize) -> Option<&[u8]> {
    let mut at = start;
    loop {
        match *data.get(at)? {
            opcode::LONG_BINGET => at += 5,
            opcode::BINGET => at += 2,
            opcode::APPENDS if at > start => return data.get(start..at),
            _ => return None,
        }
    }
}
