//! bitsandbytes' optimizers (bitsandbytes/optim/*.py, 0.50.2). Most of them exist three times: `AdamW` with a choice of bits,
//! `AdamW8bit` and `AdamW32bit`; some have a paged twin, `PagedAdamW`.

use super::OptimizerClass;
use crate::JobFault;
use crate::section::Section;

/// An optimizer of bitsandbytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitsAndBytes {
    /// How the states become a step.
    pub update: Update,
    /// Whether states are quantized to 8 bits.
    pub eight_bit: bool,
    /// Whether states of large parameters live in managed memory, which the driver pages to the host.
    pub paged: bool,
    /// Parameters of fewer elements keep states in fp32.
    pub min_8bit_size: u64,
    /// Whether the norm of the update is bounded (`max_unorm`), which takes a number for each parameter.
    pub max_unorm: bool,
}

/// The rule by which an optimizer of bitsandbytes steps, named as its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Update {
    Adam,
    AdamW,
    AdEMAMix,
    Lion,
    Lamb,
    Lars,
    Adagrad,
    RmsProp,
    Sgd,
}

/// A class: how it steps, the bits that its name says, and whether its name says that it is paged.
struct Row {
    class: OptimizerClass,
    update: Update,
    bits: Option<u64>,
    paged: bool,
}

const fn row(name: &'static str, update: Update, bits: Option<u64>, paged: bool) -> Row {
    let class = OptimizerClass { library: "bitsandbytes", name, arguments: arguments(update) };
    Row { class, update, bits, paged }
}

const fn arguments(update: Update) -> &'static [&'static str] {
    match update {
        Update::Adam | Update::AdamW => {
            &["betas", "eps", "weight_decay", "optim_bits", "min_8bit_size", "is_paged", "block_wise"]
        }
        Update::AdEMAMix => &[
            "betas",
            "alpha",
            "t_alpha",
            "t_beta3",
            "eps",
            "weight_decay",
            "optim_bits",
            "min_8bit_size",
            "is_paged",
        ],
        Update::Lion => &["betas", "weight_decay", "optim_bits", "min_8bit_size", "is_paged"],
        Update::Lamb => &["betas", "eps", "weight_decay", "optim_bits", "min_8bit_size", "max_unorm"],
        Update::Lars => {
            &["momentum", "dampening", "weight_decay", "nesterov", "optim_bits", "min_8bit_size", "max_unorm"]
        }
        Update::Adagrad => {
            &["lr_decay", "weight_decay", "initial_accumulator_value", "eps", "optim_bits", "min_8bit_size"]
        }
        Update::RmsProp => &["alpha", "eps", "weight_decay", "momentum", "optim_bits", "min_8bit_size"],
        Update::Sgd => &["momentum", "dampening", "weight_decay", "nesterov", "optim_bits", "min_8bit_size"],
    }
}

const ROWS: &[Row] = &[
    row("AdamW8bit", Update::AdamW, Some(8), false),
    row("PagedAdamW8bit", Update::AdamW, Some(8), true),
    row("PagedAdamW32bit", Update::AdamW, Some(32), true),
    row("PagedAdamW", Update::AdamW, None, true),
    row("AdamW32bit", Update::AdamW, Some(32), false),
    row("AdamW", Update::AdamW, None, false),
    row("Adam8bit", Update::Adam, Some(8), false),
    row("PagedAdam8bit", Update::Adam, Some(8), true),
    row("PagedAdam32bit", Update::Adam, Some(32), true),
    row("PagedAdam", Update::Adam, None, true),
    row("Adam32bit", Update::Adam, Some(32), false),
    row("Adam", Update::Adam, None, false),
    row("Lion8bit", Update::Lion, Some(8), false),
    row("PagedLion8bit", Update::Lion, Some(8), true),
    row("PagedLion32bit", Update::Lion, Some(32), true),
    row("PagedLion", Update::Lion, None, true),
    row("Lion32bit", Update::Lion, Some(32), false),
    row("Lion", Update::Lion, None, false),
    row("AdEMAMix8bit", Update::AdEMAMix, Some(8), false),
    row("PagedAdEMAMix8bit", Update::AdEMAMix, Some(8), true),
    row("PagedAdEMAMix32bit", Update::AdEMAMix, Some(32), true),
    row("PagedAdEMAMix", Update::AdEMAMix, None, true),
    row("AdEMAMix32bit", Update::AdEMAMix, Some(32), false),
    row("AdEMAMix", Update::AdEMAMix, None, false),
    row("LAMB8bit", Update::Lamb, Some(8), false),
    row("LAMB32bit", Update::Lamb, Some(32), false),
    row("LAMB", Update::Lamb, None, false),
    row("LARS8bit", Update::Lars, Some(8), false),
    row("LARS32bit", Update::Lars, Some(32), false),
    row("LARS", Update::Lars, None, false),
    row("RMSprop8bit", Update::RmsProp, Some(8), false),
    row("RMSprop32bit", Update::RmsProp, Some(32), false),
    row("RMSprop", Update::RmsProp, None, false),
    row("Adagrad8bit", Update::Adagrad, Some(8), false),
    row("Adagrad32bit", Update::Adagrad, Some(32), false),
    row("Adagrad", Update::Adagrad, None, false),
    row("SGD8bit", Update::Sgd, Some(8), false),
    row("SGD32bit", Update::Sgd, Some(32), false),
    row("SGD", Update::Sgd, None, false),
];

/// Every class of bitsandbytes that is simulated.
pub(super) fn classes() -> impl Iterator<Item = OptimizerClass> {
    ROWS.iter().map(|row| row.class)
}

/// `min_8bit_size` where it is not given.
const SMALLEST_QUANTIZED: u64 = 4096;

impl BitsAndBytes {
    /// `AdamW8bit` with its default arguments.
    pub const ADAMW_8BIT: BitsAndBytes = BitsAndBytes {
        update: Update::AdamW,
        eight_bit: true,
        paged: false,
        min_8bit_size: SMALLEST_QUANTIZED,
        max_unorm: false,
    };

    /// The class that is this optimizer without arguments.
    pub fn class(self) -> OptimizerClass {
        let bits = Some(if self.eight_bit { 8 } else { 32 });
        let is_it = |row: &&Row| row.update == self.update && row.paged == self.paged && row.bits == bits;
        // LAMB and the like have no paged class, and are never paged: `is_paged` is no argument of theirs.
        ROWS.iter().find(is_it).unwrap_or(&ROWS[0]).class
    }
}

/// The optimizer of a table whose class is known.
pub(super) fn read(section: &Section, class: &OptimizerClass) -> Result<BitsAndBytes, JobFault> {
    let row = ROWS.iter().find(|row| row.class == *class).unwrap_or(&ROWS[0]);
    let has = |argument: &str| class.arguments.contains(&argument);
    let momentum = section.given_number("momentum").unwrap_or(0.0);
    if has("nesterov") && momentum == 0.0 {
        return Err(section.bad("momentum", momentum, "bitsandbytes has no such optimizer without momentum"));
    }
    let paged = row.paged || (has("is_paged") && section.flag("is_paged"));
    let bits = bits(section, row)?;
    if paged {
        section.assume(
            "is_paged",
            true,
            "states of 100 000 elements and more are in managed memory, which the driver pages to the host when the GPU \
             is full: they are not counted",
        );
    }
    Ok(BitsAndBytes {
        update: row.update,
        eight_bit: bits == 8,
        paged,
        min_8bit_size: section.given_count("min_8bit_size").unwrap_or(SMALLEST_QUANTIZED),
        max_unorm: bounds_norm(section, row.update),
    })
}

fn bits(section: &Section, row: &Row) -> Result<u64, JobFault> {
    let given = section.given_count("optim_bits");
    match (row.bits, given) {
        (Some(named), Some(other)) if named != other => {
            let expected = format!("{} has states of {named} bits; leave it out", row.class.name);
            Err(section.bad("optim_bits", other, expected))
        }
        (_, Some(other)) if other != 8 && other != 32 => Err(section.bad("optim_bits", other, "8 or 32")),
        (named, given) => Ok(named.or(given).unwrap_or(32)),
    }
}

/// `max_unorm` is 1.0 for LAMB and 0.02 for LARS unless it is given, and no argument of the others.
fn bounds_norm(section: &Section, update: Update) -> bool {
    match update {
        Update::Lamb | Update::Lars => section.given_number("max_unorm").is_none_or(|bound| bound > 0.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_arguments_is_found_again_by_what_it_does() {
        for row in ROWS.iter().filter(|row| row.bits.is_some()) {
            let it = BitsAndBytes {
                update: row.update,
                eight_bit: row.bits == Some(8),
                paged: row.paged,
                ..BitsAndBytes::ADAMW_8BIT
            };
            assert_eq!(it.class().name, row.class.name);
        }
    }
}
