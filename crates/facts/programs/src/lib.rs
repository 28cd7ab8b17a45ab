//! Programs: what a model's Python does with torch, recorded once.
//!
//! [`Program::parse`] reads a program file, whose format is described in docs/programs.md. [`Expression`]s are evaluated over a
//! config's [`Values`] and over what a [`Scope`] knows of sizes. Running a program is the affair of `brimful-step`.

mod error;
mod evaluate;
mod expression;
mod instruction;
mod parameters;
mod parse;
mod program;
mod shipped;
mod values;

pub use error::{EvaluationError, ProgramError};
pub use evaluate::{ConfigScope, Scope};
pub use expression::{Builtin, Expression, Input, Operator};
pub use instruction::{ActivationName, Instruction, Keywords, LayerCall, LeafModule, Path, Slot};
pub use parameters::DeclaredParameter;
pub use program::{
    Attention, Build, CacheUse, Forward, ForwardKey, Header, LayerList, Library, MaskUse, Mode, Program,
};
pub use shipped::{
    CAUSAL_LM, SEQ2SEQ, SPEECH_SEQ2SEQ, has_encoder_and_decoder, proven, proven_class, proven_of_class,
    proven_programs, proven_tasks, proven_types, shipped, shipped_programs,
};
pub use values::{Value, Values};
