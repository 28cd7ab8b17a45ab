//! Expressions: sizes, conditions and arguments as a program writes them.

use std::fmt;

use brimful_units::Dtype;

use crate::instruction::{Path, Slot};

/// An argument, a size or a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// `True` or `False`.
    Flag(bool),
    /// `None`.
    None,
    /// `"text"`.
    Text(String),
    /// `...`.
    Ellipsis,
    /// `host`: a tensor in host memory.
    Host,
    /// A dtype.
    Dtype(Dtype),
    /// `default`: `torch.get_default_dtype()` while the model is built, which is the model's.
    DefaultDtype,
    /// `%3.dtype`, or the dtype of another tensor.
    DtypeOf(Box<Expression>),
    /// `%3`.
    Slot(Slot),
    /// A parameter or a buffer.
    Tensor(Path),
    /// What the caller of the model passes.
    Input(Input),
    /// A key of the config; keys of nested configs are joined by dots.
    Key(String),
    /// `layer_types[i]`: an item of a list in the config.
    Item(String, Box<Expression>),
    /// `attention_types[0][1]`: an item of what another item is.
    ItemOf(Box<[Expression; 2]>),
    /// `i`: the number of the layer.
    LayerIndex,
    /// `past_key_values`, as the caller passed it.
    Cache,
    /// `router_logits`: what `router collect` has gathered of the layers, as a tuple.
    RouterLogits,
    /// `past`: how many positions the cache holds (`past_key_values.get_seq_length()`).
    Past,
    /// `logits_to_keep`.
    LogitsToKeep,
    /// `%3.1`: the size of a dimension.
    Size(Slot, usize),
    /// `model.embed_positions.weights.0`: the size of a dimension of a parameter or a buffer.
    TensorSize(Path, usize),
    /// `input_ids.1`: the size of an input's dimension.
    InputSize(Input, usize),
    /// `[a, b]`.
    List(Vec<Expression>),
    /// `(a, b)`.
    Tuple(Vec<Expression>),
    /// `a:b:c`.
    Slice(Box<[Option<Expression>; 3]>),
    /// `-a`.
    Negative(Box<Expression>),
    /// `not a`.
    Not(Box<Expression>),
    /// `a + b`, and comparisons.
    Binary(Operator, Box<[Expression; 2]>),
    /// `min(a, b)`.
    Call(Builtin, Vec<Expression>),
    /// `a if c else b`: the value, the condition, the other value.
    Choice(Box<[Expression; 3]>),
    /// `[a for i in n]`: a list of `n` items, where `i` in `a` counts from 0.
    Each(Box<Expression>, Box<Expression>),
}

/// What the caller of the model passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Input {
    InputIds,
    PixelValues,
    InputFeatures,
    DecoderInputIds,
    AttentionMask,
    Labels,
    StartPositions,
    EndPositions,
    Sample,
    Timestep,
    EncoderHiddenStates,
    ClassLabels,
    Noise,
}

impl Input {
    /// Every input with its name.
    pub const ALL: [(Input, &'static str); 13] = [
        (Input::InputIds, "input_ids"),
        (Input::PixelValues, "pixel_values"),
        (Input::InputFeatures, "input_features"),
        (Input::DecoderInputIds, "decoder_input_ids"),
        (Input::AttentionMask, "attention_mask"),
        (Input::Labels, "labels"),
        (Input::StartPositions, "start_positions"),
        (Input::EndPositions, "end_positions"),
        (Input::Sample, "sample"),
        (Input::Timestep, "timestep"),
        (Input::EncoderHiddenStates, "encoder_hidden_states"),
        (Input::ClassLabels, "class_labels"),
        (Input::Noise, "noise"),
    ];

    /// The name in the model's signature.
    pub fn name(self) -> &'static str {
        Input::ALL.iter().find(|(input, _)| *input == self).map_or("", |(_, name)| name)
    }
}

/// An operator between two expressions, with Python's rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    FloorDivide,
    Divide,
    Modulo,
    Power,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    And,
    Or,
}

impl Operator {
    /// Each operator with its spelling and its precedence; a higher one binds closer.
    pub(crate) const ALL: [(Operator, &'static str, u8); 16] = [
        (Operator::Or, "or", 1),
        (Operator::And, "and", 2),
        (Operator::Equal, "==", 4),
        (Operator::NotEqual, "!=", 4),
        (Operator::Less, "<", 4),
        (Operator::LessOrEqual, "<=", 4),
        (Operator::Greater, ">", 4),
        (Operator::GreaterOrEqual, ">=", 4),
        (Operator::In, "in", 4),
        (Operator::Add, "+", 5),
        (Operator::Subtract, "-", 5),
        (Operator::Multiply, "*", 6),
        (Operator::FloorDivide, "//", 6),
        (Operator::Divide, "/", 6),
        (Operator::Modulo, "%", 6),
        (Operator::Power, "**", 8),
    ];

    fn spelling(self) -> &'static str {
        Operator::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

/// A function of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `min(a, b)`.
    Min,
    /// `max(a, b)`.
    Max,
    /// `float(a)`: a number whose value does not matter.
    Float,
    /// `int(a)`: rounds towards zero.
    Int,
    /// `numel(%3)`.
    Numel,
    /// `floor(a)`, a whole number.
    Floor,
    /// `ceil(a)`, a whole number.
    Ceil,
    /// `round(a)`: a whole number, halves to the even one.
    Round,
    /// `sqrt(a)`.
    Sqrt,
    /// `log(a)`: the natural logarithm.
    Log,
    /// `log2(a)`: the logarithm to base 2.
    Log2,
    /// `len(layer_types)`.
    Len,
    /// `bool(%3)`: the value of a tensor decided.
    Bool,
    /// `item(%3)`: the value of a tensor as a number.
    Item,
}

impl Builtin {
    /// Every function with its name.
    pub(crate) const ALL: [(Builtin, &'static str); 14] = [
        (Builtin::Min, "min"),
        (Builtin::Max, "max"),
        (Builtin::Float, "float"),
        (Builtin::Int, "int"),
        (Builtin::Numel, "numel"),
        (Builtin::Floor, "floor"),
        (Builtin::Ceil, "ceil"),
        (Builtin::Round, "round"),
        (Builtin::Sqrt, "sqrt"),
        (Builtin::Log, "log"),
        (Builtin::Log2, "log2"),
        (Builtin::Len, "len"),
        (Builtin::Bool, "bool"),
        (Builtin::Item, "item"),
    ];
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Integer(number) => write!(f, "{number}"),
            Expression::Number(number) => write!(f, "{number:?}"),
            Expression::Flag(true) => write!(f, "True"),
            Expression::Flag(false) => write!(f, "False"),
            Expression::None => write!(f, "None"),
            Expression::Text(text) => write!(f, "{text:?}"),
            Expression::Ellipsis => write!(f, "..."),
            Expression::Host => write!(f, "host"),
            Expression::Dtype(dtype) => write!(f, "{dtype}"),
            Expression::DefaultDtype => write!(f, "default"),
            Expression::DtypeOf(tensor) => write!(f, "{tensor}.dtype"),
            Expression::Slot(slot) => write!(f, "{slot}"),
            Expression::Tensor(path) => write!(f, "{path}"),
            Expression::Input(input) => write!(f, "{}", input.name()),
            Expression::Key(key) => write!(f, "{key}"),
            Expression::Item(key, index) => write!(f, "{key}[{index}]"),
            Expression::ItemOf(parts) => write!(f, "{}[{}]", parts[0], parts[1]),
            Expression::LayerIndex => write!(f, "i"),
            Expression::Cache => write!(f, "past_key_values"),
            Expression::RouterLogits => write!(f, "router_logits"),
            Expression::Past => write!(f, "past"),
            Expression::LogitsToKeep => write!(f, "logits_to_keep"),
            Expression::Size(slot, dim) => write!(f, "{slot}.{dim}"),
            Expression::InputSize(input, dim) => write!(f, "{}.{dim}", input.name()),
            Expression::TensorSize(path, dim) => write!(f, "{path}.{dim}"),
            Expression::List(items) => write!(f, "[{}]", joined(items)),
            Expression::Tuple(items) if items.len() == 1 => write!(f, "({},)", items[0]),
            Expression::Tuple(items) => write!(f, "({})", joined(items)),
            Expression::Slice(parts) => {
                let part = |at: usize| parts[at].as_ref().map_or(String::new(), ToString::to_string);
                let step = parts[2].as_ref().map_or(String::new(), |step| format!(":{step}"));
                write!(f, "{}:{}{step}", part(0), part(1))
            }
            Expression::Negative(inner) => write!(f, "-{inner}"),
            Expression::Not(inner) => write!(f, "not {inner}"),
            Expression::Binary(operator, sides) => {
                write!(f, "({} {} {})", sides[0], operator.spelling(), sides[1])
            }
            Expression::Call(builtin, arguments) => {
                let name = Builtin::ALL.iter().find(|row| row.0 == *builtin).map_or("", |row| row.1);
                write!(f, "{name}({})", joined(arguments))
            }
            Expression::Choice(parts) => write!(f, "({} if {} else {})", parts[0], parts[1], parts[2]),
            Expression::Each(item, count) => write!(f, "[{item} for i in {count}]"),
        }
    }
}

fn joined(items: &[Expression]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
