//! The stream: numbers, texts and arrays, with the offset that errors name.

use std::io::Read;

use crate::{Array, Error, Value};

/// Texts of more bytes are passed over; the value is then [`Value::LongText`].
pub const LONGEST_TEXT: u64 = 64 << 10;
/// Arrays of numbers of more elements are passed over; [`Array::items`] is then empty.
pub const LONGEST_ARRAY: u64 = 4096;
/// ggml's most dimensions of a tensor (`GGML_MAX_DIMS`).
pub const MOST_DIMENSIONS: u32 = 4;

/// Arrays inside arrays are passed over to this depth. llama.cpp writes none.
const DEEPEST: u32 = 4;

/// A reader that knows its offset, its byte order, and the version's width of a count.
pub(crate) struct Stream<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes taken so far.
    pub offset: u64,
    /// Is the first byte of a number the highest?
    pub big_endian: bool,
    /// Version 1 counts in 32 bits.
    pub narrow: bool,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(inner: R) -> Self {
        Stream {
            inner,
            buffer: vec![0; 64 << 10],
            start: 0,
            end: 0,
            offset: 0,
            big_endian: false,
            narrow: false,
        }
    }

    /// Fills the empty buffer; 0 bytes at the end of the file.
    fn refill(&mut self) -> Result<usize, Error> {
        loop {
            match self.inner.read(&mut self.buffer) {
                Ok(read) => {
                    (self.start, self.end) = (0, read.min(self.buffer.len()));
                    return Ok(self.end);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { offset: self.offset, source }),
            }
        }
    }

    /// Passes the next `count` bytes to `each`, in pieces.
    fn pieces(&mut self, mut count: u64, inside: &str, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
        while count > 0 {
            if self.start == self.end && self.refill()? == 0 {
                return Err(Error::Ended { offset: self.offset, inside: inside.into() });
            }
            let here = (self.end - self.start).min(usize::try_from(count).unwrap_or(usize::MAX));
            each(self.buffer.get(self.start..self.start + here).unwrap_or_default());
            self.start += here;
            self.offset += here as u64;
            count -= here as u64;
        }
        Ok(())
    }

    fn skip(&mut self, count: u64, inside: &str) -> Result<(), Error> {
        // Most texts end inside the buffer; a tokenizer has hundreds of thousands of them.
        if count <= (self.end - self.start) as u64 {
            self.start += count as usize;
            self.offset += count;
            return Ok(());
        }
        self.pieces(count, inside, |_| {})
    }

    pub(crate) fn bytes<const N: usize>(&mut self, inside: &str) -> Result<[u8; N], Error> {
        let buffered = self.buffer.get(self.start..self.end).and_then(|rest| rest.first_chunk::<N>());
        if let Some(taken) = buffered.copied() {
            self.start += N;
            self.offset += N as u64;
            return Ok(taken);
        }
        let mut taken = [0; N];
        let mut at = 0;
        self.pieces(N as u64, inside, |piece| {
            if let Some(room) = taken.get_mut(at..at + piece.len()) {
                room.copy_from_slice(piece);
            }
            at += piece.len();
        })?;
        Ok(taken)
    }

    pub(crate) fn u32(&mut self, inside: &str) -> Result<u32, Error> {
        let bytes = self.bytes(inside)?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(crate) fn u64(&mut self, inside: &str) -> Result<u64, Error> {
        let bytes = self.bytes(inside)?;
        Ok(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// A count or a length: 32 bits in version 1, 64 later.
    pub fn count(&mut self, inside: &str) -> Result<u64, Error> {
        if self.narrow { self.u32(inside).map(u64::from) } else { self.u64(inside) }
    }

    /// A text; `Err(bytes)` inside if it is longer than `longest`. Bytes that are not UTF-8 are replaced.
    pub fn text(&mut self, longest: u64, inside: &str) -> Result<Result<String, u64>, Error> {
        let length = self.count(inside)?;
        if length > longest {
            self.skip(length, inside)?;
            return Ok(Err(length));
        }
        // The text grows with what arrives, so a length that lies allocates nothing.
        let mut bytes = Vec::new();
        self.pieces(length, inside, |piece| bytes.extend_from_slice(piece))?;
        Ok(Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }))
    }

    /// A value of the type with the number `kind`.
    pub fn value(&mut self, kind: u32, key: &str) -> Result<Value, Error> {
        match kind {
            8 => Ok(match self.text(LONGEST_TEXT, key)? {
                Ok(text) => Value::Text(text),
                Err(bytes) => Value::LongText(bytes),
            }),
            9 => self.array(key, 0).map(Value::Array),
            _ => self.scalar(kind, key),
        }
    }

    fn scalar(&mut self, kind: u32, key: &str) -> Result<Value, Error> {
        let at = self.offset;
        let width = width(kind).ok_or_else(|| {
            Error::unexpected(
                at.saturating_sub(4),
                format!("the type of {key}"),
                kind,
                "a number from 0 to 12",
            )
        })?;
        let raw = match width {
            1 => u64::from(self.bytes::<1>(key)?[0]),
            2 => {
                let bytes = self.bytes(key)?;
                u64::from(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
            }
            4 => u64::from(self.u32(key)?),
            _ => self.u64(key)?,
        };
        Ok(match kind {
            1 => Value::Signed(i64::from(raw as u8 as i8)),
            3 => Value::Signed(i64::from(raw as u16 as i16)),
            5 => Value::Signed(i64::from(raw as u32 as i32)),
            11 => Value::Signed(raw as i64),
            6 => Value::Float(f64::from(f32::from_bits(raw as u32))),
            12 => Value::Float(f64::from_bits(raw)),
            7 => Value::Bool(raw != 0),
            _ => Value::Unsigned(raw),
        })
    }

    fn array(&mut self, key: &str, depth: u32) -> Result<Array, Error> {
        let at = self.offset;
        let kind = self.u32(key)?;
        let len = self.count(key)?;
        let mut items = Vec::new();
        match kind {
            8 => {
                for _ in 0..len {
                    let length = self.count(key)?;
                    self.skip(length, key)?;
                }
            }
            9 if depth < DEEPEST => {
                for _ in 0..len {
                    self.array(key, depth + 1)?;
                }
            }
            9 => {
                return Err(Error::unexpected(
                    at,
                    format!("the depth of {key}"),
                    depth + 2,
                    "at most 5 arrays",
                ));
            }
            _ if len <= LONGEST_ARRAY => {
                for _ in 0..len {
                    items.push(self.scalar(kind, key)?);
                }
            }
            _ => {
                let width = width(kind).ok_or_else(|| {
                    Error::unexpected(
                        at,
                        format!("the type of the elements of {key}"),
                        kind,
                        "a number from 0 to 12",
                    )
                })?;
                let bytes = len.checked_mul(width).ok_or_else(|| {
                    Error::unexpected(at + 4, format!("the length of {key}"), len, "fewer bytes than 2^64")
                })?;
                self.skip(bytes, key)?;
            }
        }
        Ok(Array { len, items })
    }
}

/// Bytes of a number by the type's number; `None` if it is no number.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
