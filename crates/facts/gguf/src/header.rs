//! The header as a whole.

use std::io::Read;

use brimful_units::Bytes;

use crate::read::{MOST_DIMENSIONS, Stream};
use crate::{Error, GgmlType, Value};

/// The longest name of a key or tensor that is kept. ggml allows 64 bytes for tensors and 65,535 for keys.
const LONGEST_NAME: u64 = 65_535;

/// The header of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// 1, 2 or 3.
    pub version: u32,
    /// Are the numbers written with the highest byte first?
    pub big_endian: bool,
    /// The data begins at a multiple of this, and so does every tensor in it.
    pub alignment: u64,
    /// Keys and values in the file's order.
    pub metadata: Vec<(String, Value)>,
    /// Tensors in the file's order.
    pub tensors: Vec<Tensor>,
    /// Where the data begins, in bytes from the start of the file.
    pub data_offset: u64,
}

/// A tensor in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// For example `blk.0.attn_q.weight`.
    pub name: String,
    /// Elements by dimension; the first is the one whose elements are neighbours in memory (ggml's `ne`).
    pub shape: [u64; 4],
    /// The type of its elements.
    pub ty: GgmlType,
    /// Bytes from the start of the data to the tensor.
    pub offset: u64,
    /// The part of a split file that holds it, from 0.
    pub part: u32,
}

/// How many bytes a tensor takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly these.
    Exact(Bytes),
    /// Its type is not known. It ends where the next tensor begins, or at the end of the file.
    AtMost(Bytes),
    /// Its type is not known, and it is the last tensor of a file whose length is not known.
    Unknown,
}

impl Tensor {
    /// Number of elements; `None` if it overflows.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, side| product.checked_mul(*side))
    }

    /// Bytes of the tensor by its type (`ggml_nbytes`); `None` if the type is not known.
    pub fn bytes(&self) -> Option<Bytes> {
        let [row, rest @ ..] = self.shape;
        let row = self.ty.row_bytes(row)?;
        rest.iter().try_fold(row, |product, side| product.checked_mul(*side)).map(Bytes::new)
    }
}

impl Header {
    /// Reads the header of a file from its first byte. The data is not read.
    ///
    /// # Errors
    ///
    /// If the reader fails, the file ends inside the header, or a value is one that the format does not allow.
    pub fn read(reader: impl Read) -> Result<Self, Error> {
        let mut stream = Stream::new(reader);
        let version = begin(&mut stream)?;
        let tensors = stream.count("the number of tensors")?;
        let keys = stream.count("the number of keys")?;
        let metadata = metadata(&mut stream, keys)?;
        let alignment = alignment(&metadata, stream.offset)?;
        let mut header = Header {
            version,
            big_endian: stream.big_endian,
            alignment,
            metadata,
            tensors: table(&mut stream, tensors, alignment)?,
            data_offset: 0,
        };
        header.data_offset = stream.offset.checked_next_multiple_of(alignment).ok_or_else(|| {
            Error::unexpected(stream.offset, "the end of the header", stream.offset, "less than 2^63")
        })?;
        Ok(header)
    }

    /// The value of a key; `None` if the file has no such key. The last one counts if a key stands twice.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The tensor with this name; `None` if the file has none.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// `general.architecture`: which of llama.cpp's graphs runs the model.
    ///
    /// # Errors
    ///
    /// If the key is missing or no text.
    pub fn architecture(&self) -> Result<&str, Error> {
        let value = self.get("general.architecture");
        value.and_then(Value::as_text).ok_or_else(|| Error::Key {
            key: "general.architecture".into(),
            found: value.map_or("nothing".into(), Value::kind),
            expected: "a text such as \"llama\"",
        })
    }

    /// Bytes of all tensors whose type is known.
    pub fn tensor_bytes_known(&self) -> Bytes {
        Bytes::new(
            self.tensors
                .iter()
                .filter_map(Tensor::bytes)
                .fold(0, |sum, bytes| sum.saturating_add(bytes.get())),
        )
    }

    /// Bytes of a tensor of this header. `file` is the length of the file that holds it, if known; it bounds the last tensor.
    pub fn size_of(&self, tensor: &Tensor, file: Option<u64>) -> Size {
        if let Some(bytes) = tensor.bytes() {
            return Size::Exact(bytes);
        }
        let next =
            self.tensors.iter().filter(|other| other.part == tensor.part && other.offset > tensor.offset);
        let end =
            next.map(|other| other.offset).min().or(file.map(|end| end.saturating_sub(self.data_offset)));
        end.map_or(Size::Unknown, |end| Size::AtMost(Bytes::new(end.saturating_sub(tensor.offset))))
    }

    /// Checks that a file of `length` bytes holds all tensors of this header.
    ///
    /// # Errors
    ///
    /// If a tensor ends behind the end of the file.
    pub fn check_length(&self, length: u64) -> Result<(), Error> {
        for tensor in &self.tensors {
            let bytes = tensor.bytes().map_or(0, |bytes| bytes.get());
            let end = self.data_offset.checked_add(tensor.offset).and_then(|start| start.checked_add(bytes));
            if end.is_none_or(|end| end > length) {
                return Err(Error::unexpected(
                    self.data_offset.saturating_add(tensor.offset),
                    format!("the end of {}", tensor.name),
                    end.map_or("more than 2^64".into(), |end| end.to_string()),
                    format!(
                        "at most {length}, the length of the file; the file was cut off: download it again"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The magic and the version, which shows the byte order.
fn begin<R: Read>(stream: &mut Stream<R>) -> Result<u32, Error> {
    let magic: [u8; 4] = stream.bytes("the magic")?;
    if magic != *b"GGUF" {
        let found = String::from_utf8_lossy(&magic).escape_debug().to_string();
        return Err(Error::unexpected(0, "the magic", format!("\"{found}\""), "\"GGUF\""));
    }
    let version = stream.u32("the version")?;
    // A version is a small number: with the lowest bytes empty, the file was written with the highest byte first.
    let version = if version & 0xFFFF == 0 {
        stream.big_endian = true;
        version.swap_bytes()
    } else {
        version
    };
    if !(1..=3).contains(&version) {
        return Err(Error::unexpected(4, "the version", version, "1, 2 or 3"));
    }
    stream.narrow = version == 1;
    Ok(version)
}

fn metadata<R: Read>(stream: &mut Stream<R>, keys: u64) -> Result<Vec<(String, Value)>, Error> {
    let mut metadata = Vec::new();
    for index in 0..keys {
        let at = stream.offset;
        let key =
            stream.text(LONGEST_NAME, &format!("the name of key {index} of {keys}"))?.map_err(|bytes| {
                Error::unexpected(
                    at,
                    format!("the length of the name of key {index}"),
                    bytes,
                    "at most 65535",
                )
            })?;
        let kind = stream.u32(&format!("the type of {key}"))?;
        let value = stream.value(kind, &key)?;
        metadata.push((key, value));
    }
    Ok(metadata)
}

fn alignment(metadata: &[(String, Value)], offset: u64) -> Result<u64, Error> {
    let Some((_, value)) = metadata.iter().find(|(key, _)| key == "general.alignment") else {
        return Ok(32); // GGUF_DEFAULT_ALIGNMENT
    };
    value.as_u64().filter(|bytes| bytes.is_power_of_two() && *bytes <= 1 << 30).ok_or_else(|| {
        Error::unexpected(offset, "general.alignment", value.kind(), "a power of two of at most 1073741824")
    })
}

fn table<R: Read>(stream: &mut Stream<R>, count: u64, alignment: u64) -> Result<Vec<Tensor>, Error> {
    let mut tensors = Vec::new();
    for index in 0..count {
        tensors.push(tensor(stream, index, count, alignment)?);
    }
    Ok(tensors)
}

fn tensor<R: Read>(stream: &mut Stream<R>, index: u64, count: u64, alignment: u64) -> Result<Tensor, Error> {
    let at = stream.offset;
    let place = format!("tensor {index} of {count}");
    let name = stream.text(LONGEST_NAME, &place)?.map_err(|bytes| {
        Error::unexpected(at, format!("the length of the name of {place}"), bytes, "at most 65535")
    })?;
    let at = stream.offset;
    let dimensions = stream.u32(&name)?;
    if dimensions > MOST_DIMENSIONS {
        return Err(Error::unexpected(at, format!("the dimensions of {name}"), dimensions, "at most 4"));
    }
    let mut shape = [1; 4];
    for side in shape.iter_mut().take(dimensions as usize) {
        *side = stream.count(&name)?;
    }
    let ty = GgmlType(stream.u32(&name)?);
    let offset_at = stream.offset;
    let offset = stream.u64(&name)?;
    if !offset.is_multiple_of(alignment) {
        let expected = format!("a multiple of {alignment}");
        return Err(Error::unexpected(offset_at, format!("the offset of {name}"), offset, expected));
    }
    let tensor = Tensor { name, shape, ty, offset, part: 0 };
    check_size(&tensor, at)?;
    Ok(tensor)
}

/// A tensor of a known type is a whole number of blocks, and its bytes fit in 63 bits, as in ggml.
fn check_size(tensor: &Tensor, at: u64) -> Result<(), Error> {
    let shape = || format!("{:?}", tensor.shape);
    if tensor.elements().is_none_or(|elements| elements > i64::MAX as u64) {
        return Err(Error::unexpected(
            at,
            format!("the shape of {}", tensor.name),
            shape(),
            "fewer than 2^63 elements",
        ));
    }
    if let Some((block, _)) = tensor.ty.block() {
        if !tensor.shape[0].is_multiple_of(block) {
            let expected = format!("a first side that is a multiple of {block}, the block of {}", tensor.ty);
            return Err(Error::unexpected(at, format!("the shape of {}", tensor.name), shape(), expected));
        }
        if tensor.bytes().is_none_or(|bytes| bytes.get() > i64::MAX as u64) {
            return Err(Error::unexpected(
                at,
                format!("the shape of {}", tensor.name),
                shape(),
                "fewer than 2^63 bytes",
            ));
        }
    }
    Ok(())
}
