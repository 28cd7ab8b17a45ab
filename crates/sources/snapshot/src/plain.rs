//! Dicts whose keys are known words and whose values are plain: nearly all bytes of a snapshot.
//!
//! The machine would push every key and value on its stack and take them off again. Here they go where the tables
//! want them at once. Whatever else comes is left to the machine, with the stack as it would be by then.

use crate::machine::{Machine, Step, integer};
use crate::opcode;
use crate::tables::Tables;
use crate::value::{NO_SLOT, Value};
use crate::words::{KEYS, Word};

impl Machine<'_> {
    /// The items of a dict whose mark was just read, up to the first that is not plain.
    pub(crate) fn plain_items(&mut self) -> Step<()> {
        let (mut words, mut count, mut mask) = ([Word::Action; KEYS], 0, 0);
        while let Some((word, value)) = self.plain_item(mask) {
            words[count] = word;
            count += 1;
            mask |= word.bit().unwrap_or(0);
            self.tables.set_field(word, value);
        }
        if count > 0 && self.data.get(self.at) == Some(&opcode::SETITEMS) {
            self.at += 1;
            if let Some(device) = self.device_of_entry(mask) {
                return self.end_of_entry(device, mask);
            }
            let value = self.tables.known_dict(mask, &[]);
            return self.end_of_dict(self.stack.len(), value);
        }
        self.mark()?;
        for word in &words[..count] {
            let value = self.tables.field(mask, *word);
            self.push(Value::Word(*word))?;
            self.push(value)?;
        }
        Ok(())
    }

    /// The device whose list the dict on top goes into, if it is a trace entry that nothing else will want.
    #[inline]
    fn device_of_entry(&self, mask: u64) -> Option<u32> {
        let [.., Value::Device { number }, Value::Dict { .. }] = self.stack[..] else { return None };
        let is_item = self.marks.last() == Some(&(self.stack.len() - 1));
        let remembered_late =
            matches!(self.data.get(self.at).copied(), Some(opcode::BINPUT | opcode::LONG_BINPUT));
        (Tables::is_entry(mask) && is_item && !remembered_late).then_some(number)
    }

    /// What [`Machine::end_of_dict`] does, at once.
    fn end_of_entry(&mut self, device: u32, mask: u64) -> Step<()> {
        if let Err(what) = self.tables.entry_of(device, mask) {
            return self.fault(what);
        }
        self.settle(Value::Other)?;
        self.stack.pop();
        Ok(())
    }

    /// A key that the dict has not got yet and its value; nothing is read where they are not plain.
    #[inline]
    fn plain_item(&mut self, mask: u64) -> Option<(Word, Value)> {
        let (slot, at) = self.reference(self.at)?;
        let word = self.memo.word(slot)?;
        if word.bit()? & mask != 0 {
            return None;
        }
        let (value, at) = self.plain_value(at)?;
        self.at = at;
        Some((word, value))
    }

    /// The slot that a GET names, and where it ends.
    #[inline]
    fn reference(&self, at: usize) -> Option<(u32, usize)> {
        match *self.data.get(at)? {
            opcode::BINGET => Some((u32::from(*self.data.get(at + 1)?), at + 2)),
            opcode::LONG_BINGET => {
                Some((u32::from_le_bytes(*self.data.get(at + 1..)?.first_chunk()?), at + 5))
            }
            _ => None,
        }
    }

    /// A value and where it ends. What the memo is to keep is kept last, when nothing can fail any more.
    #[inline]
    fn plain_value(&mut self, at: usize) -> Option<(Value, usize)> {
        let (value, end) = match *self.data.get(at)? {
            opcode::BINGET | opcode::LONG_BINGET => {
                let (slot, end) = self.reference(at)?;
                return Some((self.memo.plain(slot)?, end));
            }
            opcode::BININT1 | opcode::BININT2 | opcode::BININT => {
                let (first, end) = self.short_integer(at)?;
                let Some((second, end_of_pair)) =
                    self.short_integer(end).filter(|(_, end)| self.data.get(*end) == Some(&opcode::TUPLE2))
                else {
                    return Some((Value::Int(first), end));
                };
                (self.tables.tuple(&[Value::Int(first), Value::Int(second)]), end_of_pair + 1)
            }
            opcode::LONG1 => return self.plain_long(at),
            opcode::SHORT_BINUNICODE => {
                let (start, len) = (at + 2, *self.data.get(at + 1)?);
                let end = start + usize::from(len);
                let text = self.data.get(start..end)?;
                let other = Value::Text { at: start as u64, len: u32::from(len) };
                (Word::of(text).map_or(other, Value::Word), end)
            }
            opcode::EMPTY_LIST => return self.plain_stack(at + 1),
            opcode::NONE => return Some((Value::None, at + 1)),
            opcode::NEWTRUE => return Some((Value::Bool(true), at + 1)),
            opcode::NEWFALSE => return Some((Value::Bool(false), at + 1)),
            _ => return None,
        };
        if self.data.get(end) != Some(&opcode::MEMOIZE) {
            return Some((value, end));
        }
        Some((self.memo.put(self.memo.next_slot(), value).0, end + 1))
    }

    #[inline]
    fn short_integer(&self, at: usize) -> Option<(i64, usize)> {
        let rest = self.data.get(at + 1..)?;
        match self.data[at] {
            opcode::BININT1 => Some((i64::from(*rest.first()?), at + 2)),
            opcode::BININT2 => Some((i64::from(u16::from_le_bytes(*rest.first_chunk()?)), at + 3)),
            opcode::BININT => Some((i64::from(i32::from_le_bytes(*rest.first_chunk()?)), at + 5)),
            _ => None,
        }
    }

    /// LONG1. Eight bytes are loaded at once, where the file has so many: byte by byte the processor waits for its own stores.
    #[inline]
    fn plain_long(&self, at: usize) -> Option<(Value, usize)> {
        let len = usize::from(*self.data.get(at + 1)?);
        let end = at + 2 + len;
        if let (1..=8, Some(word)) = (len, self.data[at + 2..].first_chunk()) {
            let unused = 64 - 8 * len;
            return Some((Value::Int(i64::from_le_bytes(*word) << unused >> unused), end));
        }
        Some((integer(self.data.get(at + 2..end)?)?, end))
    }

    /// A list that is remembered and holds references to frames, or nothing: blocks of the engine's thread have no frames.
    #[inline]
    fn plain_stack(&mut self, at: usize) -> Option<(Value, usize)> {
        if self.data.get(at) != Some(&opcode::MEMOIZE) {
            return None;
        }
        // One item that is appended without a mark comes behind it, where the machine finds the list on its stack.
        if self.data.get(at + 1) != Some(&opcode::MARK) {
            let empty = Value::List { slot: NO_SLOT };
            return Some((self.memo.put(self.memo.next_slot(), empty).0, at + 1));
        }
        let (stack, end) = self.run_of_frames(at + 2)?;
        let value = Value::Stack { stack, slot: NO_SLOT };
        Some((self.memo.put(self.memo.next_slot(), value).0, end))
    }
}
