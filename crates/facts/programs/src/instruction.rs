//! The instructions of a program. docs/programs.md says what each line means.

use std::fmt;
use std::sync::Arc;

use crate::expression::Expression;

/// The number of a name, such as 3 of `%3`. Numbers are per section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// The path of a module, a parameter or a buffer; `{i}` in it stands for the number of the layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(pub String);

impl Path {
    /// The path in layer `index`; as it stands outside of a list of layers.
    pub fn at(&self, index: Option<u64>) -> String {
        match index {
            Some(index) => self.0.replace("{i}", &index.to_string()),
            None => self.0.clone(),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Keyword arguments in the order of the call.
pub type Keywords = Vec<(String, Expression)>;

/// A module whose inside is not written, since another may take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafModule {
    /// `nn.Linear`.
    Linear,
    /// transformers' `Conv1D`.
    Conv1d,
    /// `nn.Embedding`.
    Embedding,
}

impl LeafModule {
    /// Every such module with its word.
    pub const ALL: [(LeafModule, &'static str); 3] = [
        (LeafModule::Linear, "linear"),
        (LeafModule::Conv1d, "conv1d"),
        (LeafModule::Embedding, "embedding"),
    ];
}

/// How a layer that gradient checkpointing wraps is called.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCall {
    /// Arguments by position.
    pub positional: Vec<Expression>,
    /// Arguments by keyword.
    pub keywords: Keywords,
}

/// One line of a program, with the lines that it encloses.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    /// `%3 = F.linear(…)`.
    Call {
        /// The results; `None` for one that nobody took.
        results: Vec<Option<Slot>>,
        /// The function as the program names it.
        function: String,
        /// Arguments by position.
        arguments: Vec<Expression>,
        /// Arguments by keyword.
        keywords: Keywords,
    },
    /// `%8 = linear PATH(%7)`.
    Module {
        /// The result.
        result: Option<Slot>,
        /// Which module.
        kind: LeafModule,
        /// Its place.
        path: Path,
        /// Its argument.
        argument: Expression,
    },
    /// `%9 = activation KEY (%8)`: `ACT2FN[config.KEY]`; with the function's own name in quotes, that one.
    Activation {
        /// The result.
        result: Option<Slot>,
        /// Which function it is.
        named: ActivationName,
        /// Its argument.
        argument: Expression,
    },
    /// `%9 = mask causal(…)`, `attention sdpa(…)`, `cache update(…)`: a function of transformers that is known as a whole.
    Intrinsic {
        /// The results.
        results: Vec<Option<Slot>>,
        /// `mask`, `attention`, `cache` or `router`.
        family: String,
        /// Which of the family.
        name: String,
        /// Arguments by position.
        arguments: Vec<Expression>,
        /// Arguments by keyword.
        keywords: Keywords,
    },
    /// `drop %3 %4`.
    Drop(Vec<Slot>),
    /// `copy %7 %0`.
    Copy(Slot, Expression),
    /// `move %7 %9`.
    Move(Slot, Slot),
    /// `enter PATH CLASS` to its `leave`.
    Scope {
        /// The module's place.
        path: Path,
        /// Its class.
        class: String,
        /// Its call, where gradient checkpointing may wrap it.
        call: Option<LayerCall>,
        /// What it does. It is shared, since a checkpointed layer runs again in the backward.
        body: Arc<[Instruction]>,
        /// What it returns, where gradient checkpointing may wrap it.
        result: Option<Expression>,
    },
    /// `grad off` to `grad restore`.
    NoGrad(Vec<Instruction>),
    /// `autocast off` to `autocast restore`.
    NoAutocast(Vec<Instruction>),
    /// `check EXPRESSION true`.
    Check(Expression, bool),
    /// `check .__contains__(%0, pad_token_id) false`: a function whose value decided. It is called, and decides again.
    Decided {
        /// The function.
        function: String,
        /// Arguments by position.
        arguments: Vec<Expression>,
        /// Arguments by keyword.
        keywords: Keywords,
    },
    /// `each LIST i` to its `end`.
    Each {
        /// The list of modules.
        list: Path,
        /// What a layer does, by the name of its kind.
        kinds: Vec<(String, Vec<Instruction>)>,
    },
    /// `when CONDITION` to its `end`.
    When(Expression, Vec<Instruction>),
    /// `return loss=%90 logits=%80`.
    Return(Keywords),
    /// `linear PATH in=… out=… bias=…` in `build`.
    MakeModule {
        /// Which module.
        kind: LeafModule,
        /// Its place.
        path: Path,
        /// Its sizes by name.
        sizes: Keywords,
    },
    /// `parameter PATH [sizes] dtype`.
    Parameter {
        /// Its place.
        path: Path,
        /// Its sizes.
        shape: Vec<Expression>,
        /// Its dtype where it is not the model's.
        dtype: Option<Expression>,
    },
    /// `parameter PATH %4 [sizes]`: a parameter of what was computed.
    KeptParameter {
        /// Its place.
        path: Path,
        /// What was computed.
        slot: Slot,
        /// Its sizes; `None` where the program does not say.
        shape: Option<Vec<Expression>>,
    },
    /// `buffer PATH %0`.
    Buffer(Path, Slot),
    /// `tie PATH OTHER`.
    Tie(Path, Path),
    /// `convert PATH`: `Module.to(dtype)` of the whole model reaches this parameter or buffer.
    Convert(Path),
    /// `registered PATH`: the next parameter of `named_parameters()`.
    Registered(Path),
    /// `freeze PATH`: the parameter is not trained.
    Freeze(Path),
    /// `inputs PATH`: `enable_input_require_grads` hooks the module.
    Inputs(Path),
}

/// How a program names an activation.
#[derive(Clone, Debug, PartialEq)]
pub enum ActivationName {
    /// By the key of the config that says it.
    Key(String),
    /// By its own name, such as `silu`.
    Own(String),
}
