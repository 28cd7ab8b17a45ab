//! The header of a safetensors file: a little-endian length of eight bytes, then that much JSON, then the data.
//! Format: <https://github.com/huggingface/safetensors#format>. Only headers are read, never data.

use std::fmt;

use brimful_units::{Bytes, Dtype, Shape};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The format's own limit of a header's length (`MAX_HEADER_SIZE` in safetensors/src/tensor.rs).
pub const LARGEST_HEADER: u64 = 100_000_000;

/// A tensor as a header describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// The tensor's name.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Shape,
    /// Bytes in the file.
    pub bytes: Bytes,
}

/// A header that is wrong, or that belongs to another file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SafetensorsError {
    #[error("the file has {0} bytes, too few for a safetensors file; expected at least 10")]
    TooShort(u64),
    #[error(
        "the header says it is {length} bytes long, but only {left} follow: not a safetensors file, or cut off"
    )]
    LongerThanFile { length: u64, left: u64 },
    #[error("the header says it is {0} bytes long; the format allows {LARGEST_HEADER}")]
    TooLarge(u64),
    #[error("the header is cut off after {found} of {length} bytes")]
    Truncated { length: u64, found: u64 },
    #[error("the header is not UTF-8 text: byte {0} is wrong")]
    NotUtf8(usize),
    #[error("the header is not a JSON table: {0}")]
    Json(String),
    #[error("the tensor {0:?} is in the header twice")]
    Duplicate(String),
    #[error("the tensor {name:?} has no valid `{key}`: expected {expected}")]
    Field { name: String, key: &'static str, expected: &'static str },
    #[error("the tensor {name:?} has the unknown dtype {dtype:?}")]
    UnknownDtype { name: String, dtype: String },
    #[error("the tensor {name:?} is {shape} of {dtype}, but its span is {span} bytes")]
    SpanMismatch { name: String, shape: Shape, dtype: Dtype, span: u64 },
    #[error("the tensors {first:?} and {second:?} overlap at byte {at} of the data")]
    Overlap { first: String, second: String, at: u64 },
    #[error("nothing uses the data from byte {from} to {to}; the format allows no gaps")]
    Gap { from: u64, to: u64 },
    #[error(
        "the tensors need {needed} bytes of data, but the file holds {found}: cut off, or not its header"
    )]
    DataSize { needed: u64, found: u64 },
}

use SafetensorsError::*;

/// The length of the JSON that follows the first eight bytes, checked against the file's size.
///
/// # Errors
/// Where no header of that length can be in the file.
pub fn header_length(first_eight: &[u8], file_size: u64) -> Result<u64, SafetensorsError> {
    let Some(bytes) = first_eight.first_chunk::<8>().filter(|_| file_size >= 10) else {
        return Err(TooShort(file_size));
    };
    let (length, left) = (u64::from_le_bytes(*bytes), file_size - 8);
    match length {
        _ if length > left => Err(LongerThanFile { length, left }),
        _ if length > LARGEST_HEADER => Err(TooLarge(length)),
        _ => Ok(length),
    }
}

/// The tensors of a header, in the order of their data. `data_size` is what follows the header in the file.
///
/// # Errors
/// Any [`SafetensorsError`]: every tensor's span must fit its shape, and spans must tile the data.
pub fn parse_header(json: &[u8], data_size: u64) -> Result<Vec<TensorInfo>, SafetensorsError> {
    let text = std::str::from_utf8(json).map_err(|error| NotUtf8(error.valid_up_to()))?;
    let mut placed = Vec::new();
    for (name, value) in unique_entries(text)? {
        if name != "__metadata__" {
            placed.push(tensor(name, &value)?);
        }
    }
    placed.sort_by_key(|(span, _)| *span);
    check_tiling(&placed, data_size)?;
    Ok(placed.into_iter().map(|(_, info)| info).collect())
}

/// Where a tensor's data begin and end.
type Span = (u64, u64);

fn tensor(name: String, value: &Value) -> Result<(Span, TensorInfo), SafetensorsError> {
    let field = |key, expected| Field { name: name.clone(), key, expected };
    let table =
        value.as_object().ok_or_else(|| field("dtype", "a table with dtype, shape and data_offsets"))?;
    let code = table.get("dtype").and_then(Value::as_str).ok_or_else(|| field("dtype", "a text"))?;
    let dtype = Dtype::from_safetensors(code)
        .ok_or_else(|| UnknownDtype { name: name.clone(), dtype: code.chars().take(40).collect() })?;
    let dims = numbers(table, "shape").ok_or_else(|| field("shape", "a list of sizes"))?;
    let shape: Shape = dims.into_iter().collect();
    let offsets = numbers(table, "data_offsets");
    let Some([begin, end]) = offsets.as_deref().filter(|o| o.len() == 2 && o[0] <= o[1]) else {
        return Err(field("data_offsets", "[begin, end] with begin at most end"));
    };
    let span = end - begin;
    if shape.bytes(dtype).map(Bytes::get) != Ok(span) {
        return Err(SpanMismatch { name, shape, dtype, span });
    }
    Ok(((*begin, *end), TensorInfo { name, dtype, shape, bytes: Bytes::new(span) }))
}

fn numbers(table: &Map<String, Value>, key: &str) -> Option<Vec<u64>> {
    table.get(key)?.as_array()?.iter().map(Value::as_u64).collect()
}

/// Spans follow each other from 0 to the end of the data, without gap or overlap.
fn check_tiling(placed: &[(Span, TensorInfo)], data_size: u64) -> Result<(), SafetensorsError> {
    let mut at = 0;
    let mut before = "";
    for ((begin, end), info) in placed {
        if *begin < at {
            return Err(Overlap { first: before.to_owned(), second: info.name.clone(), at: *begin });
        }
        if *begin > at {
            return Err(Gap { from: at, to: *begin });
        }
        (at, before) = (*end, &info.name);
    }
    if at != data_size { Err(DataSize { needed: at, found: data_size }) } else { Ok(()) }
}

/// The entries of a JSON table, refusing a key that is there twice (serde_json would keep the last silently).
fn unique_entries(text: &str) -> Result<Vec<(String, Value)>, SafetensorsError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_map(Entries).map_err(|error| Json(error.to_string()))?;
    json.end().map_err(|error| Json(error.to_string()))?;
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Duplicate(pair[0].to_owned())),
        None => Ok(entries),
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}
