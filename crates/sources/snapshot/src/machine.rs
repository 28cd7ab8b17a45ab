//! The pickle machine: protocols 2 to 5, plain data only.
//!
//! It is a stack machine as in CPython's `Modules/_pickle.c`, with three differences: what could import or call
//! is refused; a dict or list becomes rows of [`Tables`] as soon as its items are known; and items of
//! long lists are handed over one by one, so that the stack stays short.

use crate::error::SnapshotError;
use crate::opcode;
use crate::stack_cache::{StackCache, references};
use crate::tables::Tables;
use crate::value::{Memo, NO_SLOT, Value};
use crate::words::Word;

/// Values on the stack at most: real pickles have some thousands, hostile ones are cut here.
const DEEPEST: usize = 1 << 20;

/// How the reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At STOP.
    Whole,
    /// The bytes ran out at this offset.
    Cut(u64),
}

pub(crate) struct Machine<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) at: usize,
    pub(crate) stack: Vec<Value>,
    pub(crate) marks: Vec<usize>,
    pub(crate) memo: Memo,
    stacks_seen: StackCache<'a>,
    pub(crate) tables: Tables<'a>,
    fault: Option<SnapshotError>,
}

/// Why a step did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The bytes ran out.
    Cut,
    /// The machine keeps what is wrong, so that a step's result stays a byte.
    Fault,
}

pub(crate) type Step<T> = Result<T, Halt>;

impl<'a> Machine<'a> {
    /// A machine before the first opcode.
    pub fn new(data: &'a [u8]) -> Machine<'a> {
        Machine {
            data,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::for_bytes(data.len()),
            stacks_seen: StackCache::default(),
            tables: Tables::new(data),
            fault: None,
        }
    }

    /// Runs a pickle to its end, or to where the bytes end.
    ///
    /// # Errors
    /// What is refused or damaged.
    pub fn run(mut self) -> Result<(Tables<'a>, Value, End), SnapshotError> {
        let end = match self.steps() {
            Ok(()) => End::Whole,
            Err(Halt::Cut) => End::Cut(self.data.len() as u64),
            Err(Halt::Fault) => return Err(self.take_fault()),
        };
        if let End::Cut(_) = end {
            self.close_everything();
        }
        Ok(self.finish(end))
    }

    /// What is wrong, after a step that says so.
    pub fn take_fault(&mut self) -> SnapshotError {
        self.fault.take().unwrap_or(SnapshotError::Empty)
    }

    /// Hands over what was read.
    pub fn finish(mut self, end: End) -> (Tables<'a>, Value, End) {
        let root = self.stack.pop().unwrap_or(Value::None);
        (self.tables, root, end)
    }

    fn steps(&mut self) -> Step<()> {
        loop {
            let at = self.at;
            let opcode = self.byte()?;
            match opcode {
                opcode::BINGET => {
                    let slot = self.byte()?.into();
                    self.get(slot)?;
                }
                opcode::LONG_BINGET => {
                    let slot = self.u32()?;
                    self.get(slot)?;
                }
                opcode::EMPTY_DICT => self.push(Value::Dict { slot: NO_SLOT })?,
                opcode::EMPTY_LIST => self.push(Value::List { slot: NO_SLOT })?,
                opcode::MARK => self.mark_and_more()?,
                opcode::SETITEMS => self.set_items()?,
                opcode::APPENDS => self.appends()?,
                opcode::MEMOIZE => self.put(self.memo.next_slot())?,
                opcode::BINPUT => {
                    let slot = self.byte()?.into();
                    self.put(slot)?;
                }
                opcode::LONG_BINPUT => {
                    let slot = self.u32()?;
                    self.put(slot)?;
                }
                opcode::BININT1 => {
                    let value = self.byte()?.into();
                    self.push(Value::Int(value))?;
                }
                opcode::BININT2 => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                opcode::BININT => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                opcode::LONG1 => {
                    let len = self.byte()?.into();
                    self.long(len)?;
                }
                opcode::LONG4 => {
                    let len = u64::from(self.u32()?);
                    self.long(len)?;
                }
                opcode::SHORT_BINUNICODE => {
                    let len = self.byte()?.into();
                    self.text(len)?;
                }
                opcode::BINUNICODE => {
                    let len = u64::from(self.u32()?);
                    self.text(len)?;
                }
                opcode::BINUNICODE8 => {
                    let len = u64::from_le_bytes(self.array()?);
                    self.text(len)?;
                }
                opcode::BINFLOAT => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.push(Value::Float(value))?;
                }
                opcode::NONE => self.push(Value::None)?,
                opcode::NEWTRUE => self.push(Value::Bool(true))?,
                opcode::NEWFALSE => self.push(Value::Bool(false))?,
                opcode::EMPTY_TUPLE => self.tuple(0)?,
                opcode::TUPLE1 => self.tuple(1)?,
                opcode::TUPLE2 => self.tuple(2)?,
                opcode::TUPLE3 => self.tuple(3)?,
                opcode::TUPLE => self.tuple_from_mark()?,
                opcode::SETITEM => {
                    self.insert_mark(2)?;
                    self.set_items()?;
                }
                opcode::APPEND => {
                    self.insert_mark(1)?;
                    self.appends()?;
                }
                opcode::DICT => self.container_from_mark(Value::Dict { slot: NO_SLOT })?,
                opcode::LIST => self.container_from_mark(Value::List { slot: NO_SLOT })?,
                opcode::FRAME => {
                    self.array::<8>()?;
                }
                opcode::PROTO => self.protocol()?,
                opcode::STOP => return self.stop(),
                _ => {
                    self.fault = Some(self.refuse(opcode, at));
                    return Err(Halt::Fault);
                }
            }
        }
    }

    #[inline]
    fn byte(&mut self) -> Step<u8> {
        let byte = *self.data.get(self.at).ok_or(Halt::Cut)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let bytes = self.data[self.at..].first_chunk().ok_or(Halt::Cut)?;
        self.at += N;
        Ok(*bytes)
    }

    #[inline]
    fn u32(&mut self) -> Step<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    fn take(&mut self, len: u64) -> Step<&'a [u8]> {
        let left = &self.data[self.at..];
        let len = usize::try_from(len).ok().filter(|len| *len <= left.len()).ok_or(Halt::Cut)?;
        self.at += len;
        Ok(&left[..len])
    }

    #[cold]
    pub(crate) fn fault<T>(&mut self, what: impl Into<String>) -> Step<T> {
        self.fault = Some(SnapshotError::damaged(self.at.saturating_sub(1), what));
        Err(Halt::Fault)
    }

    /// Pushes a value.
    #[inline]
    pub fn push(&mut self, value: Value) -> Step<()> {
        if self.stack.len() >= DEEPEST {
            return self.fault(format!("more than {DEEPEST} values on the stack"));
        }
        self.stack.push(value);
        Ok(())
    }

    #[inline]
    fn get(&mut self, slot: u32) -> Step<()> {
        match self.memo.get(slot) {
            Some(Value::Other) if self.memo.is_unfinished(slot) => self.fault("a dict that holds itself"),
            Some(value) => self.push(value),
            None => self.fault(format!("a reference to object {slot}, which does not exist")),
        }
    }

    #[inline]
    fn put(&mut self, slot: u32) -> Step<()> {
        let Some(top) = self.stack.last().copied() else {
            return self.fault("something is to be remembered, but nothing is there");
        };
        let (value, replaced) = self.memo.put(slot, top);
        if replaced {
            self.stacks_seen = StackCache::default();
        }
        if let Some(top) = self.stack.last_mut() {
            *top = value;
        }
        Ok(())
    }

    #[inline]
    fn long(&mut self, len: u64) -> Step<()> {
        let bytes = self.take(len)?;
        match integer(bytes) {
            Some(value) => self.push(value),
            None => self.fault(format!("an integer of {len} bytes; none of more than 64 bits occurs")),
        }
    }

    fn text(&mut self, len: u64) -> Step<()> {
        let at = self.at as u64;
        let bytes = self.take(len)?;
        let value = match (Word::of(bytes), u32::try_from(len)) {
            (Some(word), _) => Value::Word(word),
            (None, Ok(len)) => Value::Text { at, len },
            (None, Err(_)) => Value::Other,
        };
        self.push(value)
    }

    /// A string that is not part of the input, such as one of JSON's.
    pub fn push_text(&mut self, text: &str) -> Step<()> {
        let value = match (Word::of(text.as_bytes()), u32::try_from(text.len())) {
            (Some(word), _) => Value::Word(word),
            (None, Ok(len)) => {
                let at = self.tables.arena.len() as u64 | crate::tables::IN_ARENA;
                self.tables.arena.extend_from_slice(text.as_bytes());
                Value::Text { at, len }
            }
            (None, Err(_)) => Value::Other,
        };
        self.push(value)
    }

    /// MARK: remembers the top of the stack.
    pub fn mark(&mut self) -> Step<()> {
        if self.marks.len() >= DEEPEST {
            return self.fault(format!("more than {DEEPEST} marks"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// A mark, and what can be read at once behind it: the items of a dict, or all frames of a stack.
    fn mark_and_more(&mut self) -> Step<()> {
        match self.stack.last().copied() {
            Some(Value::Dict { .. }) => self.plain_items(),
            Some(Value::List { slot }) => match self.run_of_frames(self.at) {
                Some((stack, end)) => {
                    self.at = end;
                    self.settle(Value::Stack { stack, slot })
                }
                None => self.mark(),
            },
            _ => self.mark(),
        }
    }

    /// The stack that references to frames up to the end of a list make, and where that is.
    pub(crate) fn run_of_frames(&mut self, start: usize) -> Option<(u32, usize)> {
        if let Some(known) = self.stacks_seen.expected(self.data, start) {
            return Some(known);
        }
        let run = references(self.data, start)?;
        let end = start + run.len() + 1;
        if let Some(stack) = self.stacks_seen.find(run) {
            return Some((stack, end));
        }
        let mut frames = Vec::new();
        let mut rest = run;
        while let [opcode, tail @ ..] = rest {
            let (slot, tail) = match *opcode {
                opcode::LONG_BINGET => (u32::from_le_bytes(*tail.first_chunk()?), &tail[4..]),
                _ => (u32::from(*tail.first()?), &tail[1..]),
            };
            frames.push(self.memo.frame(slot)?);
            rest = tail;
        }
        let stack = self.tables.stack(frames.into_iter());
        self.stacks_seen.add(run, stack);
        Some((stack, end))
    }

    /// Puts a mark below the topmost values, so that single items are handled as many are.
    fn insert_mark(&mut self, below: usize) -> Step<()> {
        let Some(at) = self.stack.len().checked_sub(below) else {
            return self.fault("an item is to be added, but nothing is there");
        };
        self.marks.push(at);
        Ok(())
    }

    /// Where the items above the last mark begin; the container is below them.
    fn items(&mut self) -> Step<usize> {
        match self.marks.pop() {
            Some(at) if at <= self.stack.len() => Ok(at),
            _ => self.fault("items without a beginning"),
        }
    }

    /// SETITEMS: puts the keys and values above the mark into the dict below it.
    pub fn set_items(&mut self) -> Step<()> {
        let from = self.items()?;
        let Some(Value::Dict { .. } | Value::Other) = from.checked_sub(1).map(|at| self.stack[at]) else {
            return self.fault("keys and values without a dict");
        };
        if (self.stack.len() - from) % 2 == 1 {
            return self.fault("a key without a value");
        }
        let value = self.tables.dict(&self.stack[from..]);
        self.end_of_dict(from, value)
    }

    /// A dict is complete; its items began at this place of the stack.
    pub(crate) fn end_of_dict(&mut self, from: usize, value: Result<Value, String>) -> Step<()> {
        let value = match value {
            Ok(value) => value,
            Err(what) => return self.fault(what),
        };
        self.stack.truncate(from);
        self.settle(value)?;
        self.hand_over(from - 1)
    }

    /// APPENDS: puts the values above the mark into the list below it.
    pub fn appends(&mut self) -> Step<()> {
        let from = self.items()?;
        let Some(list) = from.checked_sub(1).map(|at| self.stack[at]) else {
            return self.fault("items without a list");
        };
        let value = match self.tables.extend(list, &self.stack[from..]) {
            Ok(value) => value,
            Err(what) => return self.fault(what),
        };
        self.stack.truncate(from);
        self.settle(value)
    }

    /// JSON has no tuples: two integers are a pool's id.
    pub fn end_of_json_list(&mut self) -> Step<()> {
        let from = self.marks.last().copied().unwrap_or(0);
        let integers = self.stack[from..].iter().all(|value| value.as_u64().is_some());
        if self.stack.len() != from + 2 || from == 0 || !integers {
            return self.appends();
        }
        self.marks.pop();
        let pair = self.tables.tuple(&self.stack[from..]);
        self.stack.truncate(from);
        self.settle(pair)
    }

    /// The container on top is known now: the memo hears of it.
    pub(crate) fn settle(&mut self, value: Value) -> Step<()> {
        let Some(top) = self.stack.last_mut() else { return self.fault("no container") };
        let slot = top.slot();
        *top = value;
        if slot != NO_SLOT {
            self.memo.put(slot, value);
        }
        Ok(())
    }

    /// Appends a finished row to its list now, instead of when the list closes.
    fn hand_over(&mut self, at: usize) -> Step<()> {
        let row = self.stack[at];
        if self.marks.last() != Some(&at) || at == 0 || !row.is_row() || !self.stack[at - 1].takes_rows() {
            return Ok(());
        }
        // The C++ pickler remembers a dict only after its items.
        let slot = match self.data.get(self.at).copied() {
            Some(opcode::BINPUT) => self.array::<2>().map(|bytes| Some(bytes[1].into()))?,
            Some(opcode::LONG_BINPUT) => {
                self.array::<5>().map(|[_, slot @ ..]| Some(u32::from_le_bytes(slot)))?
            }
            _ => None,
        };
        if let Some(slot) = slot {
            self.memo.put(slot, Value::Other);
        }
        match self.tables.extend(self.stack[at - 1], &[row]) {
            Ok(list) => self.stack[at - 1] = list,
            Err(what) => return self.fault(what),
        }
        self.stack.truncate(at);
        Ok(())
    }

    fn tuple(&mut self, len: usize) -> Step<()> {
        let Some(from) = self.stack.len().checked_sub(len) else {
            return self.fault(format!("a tuple of {len}, but fewer values are there"));
        };
        let value = self.tables.tuple(&self.stack[from..]);
        self.stack.truncate(from);
        self.push(value)
    }

    fn tuple_from_mark(&mut self) -> Step<()> {
        let from = self.items()?;
        self.tuple(self.stack.len() - from)
    }

    /// DICT and LIST: the container is made after its items.
    fn container_from_mark(&mut self, container: Value) -> Step<()> {
        let from = self.items()?;
        if self.stack.len() >= DEEPEST {
            return self.fault(format!("more than {DEEPEST} values on the stack"));
        }
        self.stack.insert(from, container);
        self.marks.push(from + 1);
        if matches!(container, Value::Dict { .. }) { self.set_items() } else { self.appends() }
    }

    fn protocol(&mut self) -> Step<()> {
        match self.byte()? {
            2..=5 => Ok(()),
            found => {
                self.fault = Some(SnapshotError::Protocol { found });
                Err(Halt::Fault)
            }
        }
    }

    fn stop(&mut self) -> Step<()> {
        if self.stack.len() == 1 && self.marks.is_empty() {
            return Ok(());
        }
        self.fault("the end, but something is still open")
    }

    /// Ends what is open as if the bytes had ended there by intent.
    pub fn close_everything(&mut self) {
        while let Some(from) = self.marks.last().copied() {
            let container = from.checked_sub(1).and_then(|at| self.stack.get(at)).copied();
            let closed = match container {
                Some(Value::Dict { .. }) => {
                    self.stack.truncate(self.stack.len() - self.stack.len().saturating_sub(from) % 2);
                    self.set_items()
                }
                Some(_) => self.appends(),
                None => self.items().map(|from| self.stack.truncate(from)),
            };
            if closed.is_err() {
                self.stack.truncate(from.saturating_sub(1));
            }
        }
        self.stack.truncate(1);
    }

    fn refuse(&self, opcode: u8, at: usize) -> SnapshotError {
        let Some((name, wants)) = crate::refused::refused(opcode) else {
            return SnapshotError::damaged(at, format!("{opcode:#04x} is no opcode of a pickle"));
        };
        let named = crate::refused::named(opcode, self.data.get(at + 1..).unwrap_or(&[]));
        let below: Vec<String> =
            self.stack.iter().rev().take(2).rev().filter_map(|v| self.tables.text(*v)).collect();
        let wants = match (named, opcode) {
            (Some(name), _) => format!("{wants} {name}"),
            (None, 0x93) => format!("{wants} {}", below.join(".")),
            _ => wants.to_owned(),
        };
        SnapshotError::Refused { at: at as u64, opcode: name, wants }
    }
}

/// A little-endian two's complement integer; `None` where it exceeds 64 bits.
pub(crate) fn integer(bytes: &[u8]) -> Option<Value> {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let used = bytes.iter().rposition(|byte| *byte != fill).map_or(0, |at| at + 1);
    if used > 8 {
        return None;
    }
    let mut word = [fill; 8];
    word[..used].copy_from_slice(&bytes[..used]);
    let signed = i64::from_le_bytes(word);
    match (negative, signed < 0) {
        (false, true) => Some(Value::UInt(u64::from_le_bytes(word))),
        (true, false) => None,
        _ => Some(Value::Int(signed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_every_bit() {
        assert_eq!(integer(&[]), Some(Value::Int(0)));
        assert_eq!(integer(&[0xff]), Some(Value::Int(-1)));
        assert_eq!(integer(&[0, 0x80]), Some(Value::Int(-32768)));
        assert_eq!(integer(&[0xff; 9]), Some(Value::Int(-1)));
        assert_eq!(integer(&[0, 0, 0, 0, 0, 0, 0, 0x80]), Some(Value::Int(i64::MIN)));
        assert_eq!(integer(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0]), Some(Value::UInt(1 << 63)));
        assert_eq!(integer(&[0, 0, 0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(integer(&[0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff]), None);
    }
}
