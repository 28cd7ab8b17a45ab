use std::fmt;
use std::str::FromStr;

/// The element type of a tensor, by PyTorch's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Dtype {
    Bool,
    U8,
    I8,
    F8E4M3,
    F8E5M2,
    I16,
    F16,
    Bf16,
    I32,
    F32,
    I64,
    U64,
    F64,
}

use Dtype::*;

/// Every dtype with its size, our name, PyTorch's name and safetensors' name.
const TABLE: [(Dtype, u64, &str, &str, &str); 13] = [
    (Bool, 1, "bool", "bool", "BOOL"),
    (U8, 1, "u8", "uint8", "U8"),
    (I8, 1, "i8", "int8", "I8"),
    (F8E4M3, 1, "f8e4m3", "float8_e4m3fn", "F8_E4M3"),
    (F8E5M2, 1, "f8e5m2", "float8_e5m2", "F8_E5M2"),
    (I16, 2, "i16", "int16", "I16"),
    (F16, 2, "f16", "float16", "F16"),
    (Bf16, 2, "bf16", "bfloat16", "BF16"),
    (I32, 4, "i32", "int32", "I32"),
    (F32, 4, "f32", "float32", "F32"),
    (I64, 8, "i64", "int64", "I64"),
    (U64, 8, "u64", "uint64", "U64"),
    (F64, 8, "f64", "float64", "F64"),
];

impl Dtype {
    /// Bytes per element.
    pub const fn size(self) -> u64 {
        TABLE[self as usize].1
    }

    /// The short name: `bf16`, `f32`, `i64`.
    pub const fn name(self) -> &'static str {
        TABLE[self as usize].2
    }

    /// The name after `torch.`: `bfloat16`, `float32`, `int64`.
    pub const fn torch_name(self) -> &'static str {
        TABLE[self as usize].3
    }

    /// Whether the dtype takes gradients.
    pub const fn is_floating(self) -> bool {
        matches!(self, F8E4M3 | F8E5M2 | F16 | Bf16 | F32 | F64)
    }

    /// The dtype of a safetensors header entry (`"BF16"`).
    pub fn from_safetensors(name: &str) -> Option<Dtype> {
        TABLE.iter().find(|row| row.4 == name).map(|row| row.0)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no dtype.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a dtype; expected one of float32, float16, bfloat16, float64, int8, uint8, int64, …")]
pub struct ParseDtypeError(String);

impl FromStr for Dtype {
    type Err = ParseDtypeError;

    /// Takes our name, PyTorch's, and `fp32`/`fp16`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix("torch.").unwrap_or(text);
        let bare = match bare {
            "fp32" | "float" => "f32",
            "fp16" | "half" => "f16",
            other => other,
        };
        let row = TABLE.iter().find(|row| row.2 == bare || row.3 == bare);
        row.map(|row| row.0).ok_or_else(|| ParseDtypeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, at);
            assert_eq!(row.2.parse(), Ok(row.0));
            assert_eq!(row.3.parse(), Ok(row.0));
            assert_eq!(Dtype::from_safetensors(row.4), Some(row.0));
        }
    }
}
