//! What a name of a program can hold.

use brimful_programs::Value as Plain;
use brimful_units::Dtype;

use crate::models::Mask;
use crate::tensor::Tensor;

/// An object of Python.
#[derive(Clone)]
pub(super) enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// A number, a flag, a text, or `None`.
    Plain(Plain),
    /// A tuple or a list.
    Items(Items),
    /// A dtype.
    Dtype(Dtype),
    /// `start:stop:step`.
    Slice([Option<i64>; 3]),
    /// `...`.
    Ellipsis,
    /// A tensor in host memory.
    Host,
    /// What `create_causal_mask` and its relatives return.
    Mask(Mask),
    /// `past_key_values`, or a part of it.
    Cache(CacheRole),
}

/// Which cache of a call: it has one, or an `EncoderDecoderCache` of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CacheRole {
    /// Of the model's attention to its own tokens.
    SelfAttention,
    /// Of the decoder's attention to the encoder's output.
    CrossAttention,
    /// Both.
    Both,
}

impl Value {
    /// `None`.
    pub const NONE: Value = Value::Plain(Plain::Null);

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self, Value::Plain(Plain::Null) | Value::Mask(Mask::None))
    }

    /// The tensor, if it is one. A mask counts as its tensor.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Value::Tensor(tensor) | Value::Mask(Mask::Keep(tensor) | Mask::Bias(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// The kind of object, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Tensor(_) => "a tensor",
            Value::Plain(Plain::Null) => "None",
            Value::Plain(Plain::Flag(_)) => "a flag",
            Value::Plain(Plain::Integer(_)) => "a whole number",
            Value::Plain(Plain::Number(_)) => "a number",
            Value::Plain(Plain::Text(_)) => "a text",
            Value::Plain(Plain::List(_)) | Value::Items(_) => "a list",
            Value::Dtype(_) => "a dtype",
            Value::Slice(_) => "a slice",
            Value::Ellipsis => "an ellipsis",
            Value::Host => "a tensor in host memory",
            Value::Mask(_) => "a mask",
            Value::Cache(_) => "a cache",
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value::Tensor(tensor)
    }
}

/// The items of a tuple or a list.
#[derive(Clone, Default)]
pub(super) struct Items(pub Vec<Value>);

impl Drop for Items {
    /// CPython drops tuples and lists from their end (`tuple_dealloc` in Objects/tupleobject.c, 3.11).
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}
