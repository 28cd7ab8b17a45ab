//! What stands on the machine's stack, and the memo.

use rustc_hash::FxHashMap;

use crate::words::Word;

/// No memo slot: the container was never put into the memo.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// A value in 16 bytes. A container is what its contents made of it: rows of tables, not a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// 2^63 and above.
    UInt(u64),
    Float(f64),
    Word(Word),
    /// Bytes of the input that are no known word.
    Text {
        at: u64,
        len: u32,
    },
    /// A tuple of two integers, by its number.
    Pair(u32),
    /// A dict without items yet; the slot is where the memo wants to know what becomes of it.
    Dict {
        slot: u32,
    },
    /// A list without items yet.
    List {
        slot: u32,
    },
    /// A frame of a stack, by the number in the table of contexts.
    Frame(u32),
    /// A list of frames.
    Stack {
        stack: u32,
        slot: u32,
    },
    /// A row of the held-back trace entries.
    Entry(u32),
    /// A list of trace entries: the events of one device.
    Device {
        number: u32,
    },
    /// A list of such lists.
    Devices {
        number: u32,
    },
    Segment(u32),
    Segments {
        start: u32,
        len: u32,
    },
    Block(u32),
    Blocks {
        start: u32,
        len: u32,
    },
    Annotation,
    Annotations,
    History(u32),
    Settings,
    /// Rounding by interval, by its number.
    Divisions(u32),
    /// Something that the reader has no use for.
    Other,
}

impl Value {
    /// A non-negative integer.
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Value::Int(n) => u64::try_from(n).ok(),
            Value::UInt(n) => Some(n),
            _ => None,
        }
    }

    /// A signed integer; the upper half of u64 wraps as a pointer cast to `int64_t` does.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(n),
            Value::UInt(n) => Some(n as i64),
            _ => None,
        }
    }

    /// Whether it is a row of a table, which only a list wants.
    pub fn is_row(self) -> bool {
        use Value::{Annotation, Block, Entry, History, Segment};
        matches!(self, Entry(_) | Block(_) | Segment(_) | Annotation | History(_))
    }

    /// Whether it is a list that rows go into.
    pub fn takes_rows(self) -> bool {
        use Value::{Annotations, Blocks, Device, History, List, Segments};
        matches!(
            self,
            List { .. } | Device { .. } | Blocks { .. } | Segments { .. } | Annotations | History(_)
        )
    }

    /// Where the memo hears what became of the container.
    pub fn slot(self) -> u32 {
        match self {
            Value::Dict { slot } | Value::List { slot } | Value::Stack { slot, .. } => slot,
            _ => NO_SLOT,
        }
    }

    fn with_slot(self, slot: u32) -> Value {
        match self {
            Value::Dict { .. } => Value::Dict { slot },
            Value::List { .. } => Value::List { slot },
            Value::Stack { stack, .. } => Value::Stack { stack, slot },
            other => other,
        }
    }
}

/// Bits of a packed value that are its number.
const NUMBER: u32 = 28;
const WORD: u32 = 0;
const PAIR: u32 = 1;
const FRAME: u32 = 2;
const STACK: u32 = 3;
const OTHER: u32 = 4;
const WIDE: u32 = 5;
/// The number of an `OTHER` that is a dict without items yet.
const UNFINISHED: u32 = 0;

/// The memo: four bytes an entry, since a large file has two entries an event and few are ever asked for.
#[derive(Default)]
pub(crate) struct Memo {
    packed: Vec<u32>,
    /// Values that do not fit 28 bits.
    wide: Vec<Value>,
    /// Slots out of sequence, which no pickler writes.
    sparse: FxHashMap<u32, Value>,
}

impl Memo {
    /// A memo for a pickle of so many bytes: about one object in 64 bytes. Room that is not used is
    /// address space only.
    pub fn for_bytes(len: usize) -> Memo {
        Memo { packed: Vec::with_capacity(len / 64), ..Memo::default() }
    }

    /// The slot that MEMOIZE takes.
    pub fn next_slot(&self) -> u32 {
        self.packed.len() as u32
    }

    /// Puts a value; returns it as it is from now on, and whether the slot had a value before.
    #[inline]
    pub fn put(&mut self, slot: u32, value: Value) -> (Value, bool) {
        let value = value.with_slot(slot);
        let at = slot as usize;
        if at == self.packed.len() {
            let packed = self.pack(value);
            self.packed.push(packed);
            return (value, false);
        }
        if at < self.packed.len() {
            self.packed[at] = self.pack(value);
            return (value, true);
        }
        (value, self.sparse.insert(slot, value).is_some())
    }

    /// The value of a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<Value> {
        match self.packed.get(slot as usize) {
            Some(packed) => Some(self.unpack(*packed, slot)),
            None => self.sparse.get(&slot).copied(),
        }
    }

    /// Whether a slot holds a dict that has not got its items yet: naming it now puts it into itself.
    pub fn is_unfinished(&self, slot: u32) -> bool {
        self.packed.get(slot as usize) == Some(&(OTHER << NUMBER | UNFINISHED))
    }

    /// The frame in a slot.
    #[inline]
    pub fn frame(&self, slot: u32) -> Option<u32> {
        let packed = *self.packed.get(slot as usize)?;
        (packed >> NUMBER == FRAME).then_some(packed & ((1 << NUMBER) - 1))
    }

    /// The word in a slot.
    #[inline]
    pub fn word(&self, slot: u32) -> Option<Word> {
        let packed = *self.packed.get(slot as usize)?;
        if packed >> NUMBER == WORD { Word::from_number(packed & ((1 << NUMBER) - 1)) } else { None }
    }

    /// The value of a slot that is no container under way.
    #[inline]
    pub fn plain(&self, slot: u32) -> Option<Value> {
        let packed = *self.packed.get(slot as usize)?;
        let plain = matches!(packed >> NUMBER, WORD | PAIR | STACK | WIDE);
        plain.then(|| self.unpack(packed, slot))
    }

    #[inline]
    fn pack(&mut self, value: Value) -> u32 {
        let (tag, number) = match value {
            Value::Word(word) => (WORD, word as u32),
            Value::Pair(number) => (PAIR, number),
            Value::Frame(number) => (FRAME, number),
            Value::Stack { stack, .. } => (STACK, stack),
            // What becomes of a container is set later, through its slot.
            Value::Dict { .. } => (OTHER, UNFINISHED),
            Value::List { .. } => (OTHER, 1),
            // Rows go into one list; nobody names them again.
            Value::Entry(_) | Value::Block(_) | Value::Segment(_) | Value::Annotation | Value::Other => {
                (OTHER, 2)
            }
            _ => (WIDE, u32::MAX),
        };
        if tag != WIDE && number < 1 << NUMBER {
            return tag << NUMBER | number;
        }
        if self.wide.len() >= 1 << NUMBER {
            return OTHER << NUMBER | 2;
        }
        self.wide.push(value);
        WIDE << NUMBER | (self.wide.len() as u32 - 1)
    }

    fn unpack(&self, packed: u32, slot: u32) -> Value {
        let number = packed & ((1 << NUMBER) - 1);
        match packed >> NUMBER {
            WORD => Word::from_number(number).map_or(Value::Other, Value::Word),
            PAIR => Value::Pair(number),
            FRAME => Value::Frame(number),
            STACK => Value::Stack { stack: number, slot },
            // An unfinished or empty list that is named again has no slot of its own.
            OTHER if number == 1 => Value::List { slot: NO_SLOT },
            OTHER => Value::Other,
            _ => self.wide.get(number as usize).copied().unwrap_or(Value::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_sixteen_bytes() {
        assert_eq!(size_of::<Value>(), 16);
    }

    #[test]
    fn the_memo_keeps_what_it_is_given() {
        let mut memo = Memo::default();
        let text = Value::Text { at: 1 << 40, len: 7 };
        for (slot, value) in [Value::Word(Word::Addr), text, Value::Frame(9)].into_iter().enumerate() {
            memo.put(slot as u32, value);
            assert_eq!(memo.get(slot as u32), Some(value));
        }
        assert_eq!(memo.frame(2), Some(9));
        assert_eq!(memo.frame(1), None);
        memo.put(4_000_000_000, text);
        assert_eq!(memo.get(4_000_000_000), Some(text));
        assert_eq!(memo.get(3), None);
    }
}
