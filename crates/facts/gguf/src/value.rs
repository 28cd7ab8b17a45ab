//! Values of the metadata.

/// The value of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number without a sign, of 8 to 64 bits.
    Unsigned(u64),
    /// A whole number with a sign, of 8 to 64 bits.
    Signed(i64),
    /// A number of 32 or 64 bits.
    Float(f64),
    /// A yes or no.
    Bool(bool),
    /// A text of at most [`crate::LONGEST_TEXT`] bytes.
    Text(String),
    /// A longer text, which is not kept: its bytes.
    LongText(u64),
    /// An array.
    Array(Array),
}

/// An array in the metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Number of elements, as the file says it.
    pub len: u64,
    /// The elements. Empty if they are texts or arrays, or if there are more than [`crate::LONGEST_ARRAY`].
    pub items: Vec<Value>,
}

impl Value {
    /// As a whole number that is not negative; `None` if it is something else.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Unsigned(number) => Some(*number),
            Value::Signed(number) => u64::try_from(*number).ok(),
            Value::Bool(yes) => Some(u64::from(*yes)),
            _ => None,
        }
    }

    /// As a number; `None` if it is a text, a yes or no, or an array.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Unsigned(number) => Some(*number as f64),
            Value::Signed(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// As a text; `None` if it is something else.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What an error calls this value.
    pub(crate) fn kind(&self) -> String {
        match self {
            Value::Unsigned(number) => number.to_string(),
            Value::Signed(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::Text(text) => format!("\"{text}\""),
            Value::LongText(bytes) => format!("a text of {bytes} bytes"),
            Value::Array(array) => format!("an array of {}", array.len),
        }
    }
}
