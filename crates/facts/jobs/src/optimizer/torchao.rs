//! torchao's Adams with quantized states (torchao/optim/adam.py, 0.18).

use super::OptimizerClass;
use crate::section::Section;

/// An optimizer of torchao.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorchAo {
    /// Whether weights decay in place (`AdamW`).
    pub decoupled: bool,
    /// Bits of a number of the states.
    pub bits: u64,
    /// Whether these numbers are floats (float8), and not codes of a map.
    pub float8: bool,
    /// Numbers that share a scale.
    pub block_size: u64,
    /// Whether bf16 weights are rounded at random.
    pub bf16_stochastic_round: bool,
}

// `amsgrad` is no key: torchao 0.18 takes it and then raises NotImplementedError for `aten.maximum` of its states.
const ARGUMENTS: &[&str] = &["betas", "eps", "weight_decay", "block_size", "bf16_stochastic_round"];

const fn row(name: &'static str, decoupled: bool, bits: u64, float8: bool) -> (OptimizerClass, TorchAo) {
    // `block_size`'s default: 128 for 4 bits, 256 otherwise.
    let block_size = if bits == 4 { 128 } else { 256 };
    let choice = TorchAo { decoupled, bits, float8, block_size, bf16_stochastic_round: false };
    (OptimizerClass { library: "torchao", name, arguments: ARGUMENTS }, choice)
}

const ROWS: &[(OptimizerClass, TorchAo)] = &[
    row("AdamW8bit", true, 8, false),
    row("AdamW4bit", true, 4, false),
    row("AdamWFp8", true, 8, true),
    row("Adam8bit", false, 8, false),
    row("Adam4bit", false, 4, false),
    row("AdamFp8", false, 8, true),
];

/// Every class of torchao that is simulated.
pub(super) fn classes() -> impl Iterator<Item = OptimizerClass> {
    ROWS.iter().map(|row| row.0)
}

impl TorchAo {
    /// The class that is this optimizer without arguments.
    pub fn class(self) -> OptimizerClass {
        let is_it = |row: &&(OptimizerClass, TorchAo)| {
            (row.1.decoupled, row.1.bits, row.1.float8) == (self.decoupled, self.bits, self.float8)
        };
        ROWS.iter().find(is_it).unwrap_or(&ROWS[0]).0
    }
}

/// The optimizer of a table whose class is known.
pub(super) fn read(section: &Section, class: &OptimizerClass) -> TorchAo {
    let choice = ROWS.iter().find(|row| row.0 == *class).unwrap_or(&ROWS[0]).1;
    section.assume(
        "compiled",
        true,
        "torchao compiles its step; for a moment in the first step the compiler's benchmark takes a buffer as large as \
         the GPU's second-level cache (40 MiB on an A100), which is not counted",
    );
    TorchAo {
        block_size: section.given_count("block_size").unwrap_or(choice.block_size),
        bf16_stochastic_round: section.flag("bf16_stochastic_round"),
        ..choice
    }
}
