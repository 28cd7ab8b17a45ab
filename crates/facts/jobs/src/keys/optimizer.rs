//! `[train.optimizer]`: the arguments of torch.optim, transformers' Adafactor, bitsandbytes' and torchao's optimizers.
//! `crate::optimizer` says which class has which.

use super::{Absent, Key, Kind, key};

const OPTIMIZER: &[&str] = &["train.optimizer"];
/// One number, or a list of two.
const PAIR: Kind =
    Kind::Other { expected: "a number or a list of two", types: &["number", "integer", "array"] };
/// What transformers' class and its Trainer disagree about: the class has `true` as its default, but the Trainer passes
/// `false` (trainer_optimizer.py), and so does everybody who passes a learning rate.
const TRAINER: Absent = Absent::Assumed("false", "as transformers' Trainer passes it");
const LEAVE_OUT: &str = "leave it out";

pub(super) const KEYS: &[Key] = &[
    key(OPTIMIZER, "name", Kind::Text("a text"), "The optimizer's class has this name."),
    key(
        OPTIMIZER,
        "library",
        Kind::Text("a text"),
        "The class belongs to torch, transformers, bitsandbytes or torchao.",
    ),
    key(OPTIMIZER, "lr", Kind::Number, "The learning rate does not change memory."),
    key(OPTIMIZER, "betas", PAIR, "The coefficients of the running averages do not change memory."),
    key(OPTIMIZER, "eps", PAIR, "The term that keeps the division finite does not change memory."),
    key(OPTIMIZER, "weight_decay", Kind::NonNegative, "Weights decay by this factor."),
    key(OPTIMIZER, "amsgrad", Kind::Flag, "The optimizer keeps a third state, the largest averages.")
        .silently("false"),
    key(OPTIMIZER, "foreach", Kind::Flag, "The step runs over lists of tensors; absent, torch decides."),
    key(OPTIMIZER, "fused", Kind::Flag, "The step is one kernel.").silently("false"),
    key(OPTIMIZER, "maximize", Kind::Flag, "The objective is maximized.").silently("false"),
    // These two add steps that a CUDA graph can capture, or autograd through the step; both change what is allocated.
    key(OPTIMIZER, "capturable", Kind::Flag, "A CUDA graph can capture the step.")
        .silently("false")
        .only(&["false"], LEAVE_OUT),
    key(OPTIMIZER, "differentiable", Kind::Flag, "Autograd runs through the step.")
        .silently("false")
        .only(&["false"], LEAVE_OUT),
    key(OPTIMIZER, "momentum", Kind::NonNegative, "The optimizer keeps a momentum if this is not 0."),
    key(OPTIMIZER, "dampening", Kind::NonNegative, "The momentum is dampened by this factor."),
    key(OPTIMIZER, "nesterov", Kind::Flag, "The momentum is Nesterov's.").silently("false"),
    key(OPTIMIZER, "lr_decay", Kind::Number, "The learning rate decays by this factor."),
    key(OPTIMIZER, "initial_accumulator_value", Kind::Number, "The sums begin with this value."),
    key(OPTIMIZER, "alpha", Kind::Number, "The smoothing constant does not change memory."),
    key(OPTIMIZER, "centered", Kind::Flag, "The gradient is normalized by its variance.").silently("false"),
    key(OPTIMIZER, "beta2_decay", Kind::Number, "The second average decays with this exponent."),
    key(OPTIMIZER, "d", Kind::Number, "The update is clipped at this value."),
    key(OPTIMIZER, "clip_threshold", Kind::Number, "The update is clipped at this value."),
    key(OPTIMIZER, "decay_rate", Kind::Number, "The second average decays with this exponent."),
    key(OPTIMIZER, "beta1", Kind::Number, "The optimizer keeps a first average if this is given."),
    key(OPTIMIZER, "scale_parameter", Kind::Flag, "The step is scaled by the parameter's norm.")
        .absent(TRAINER),
    key(OPTIMIZER, "relative_step", Kind::Flag, "The learning rate follows the step's number.")
        .absent(TRAINER),
    key(OPTIMIZER, "warmup_init", Kind::Flag, "The learning rate is warmed up.").silently("false"),
    key(
        OPTIMIZER,
        "min_8bit_size",
        Kind::Count { least: 0, most: u64::MAX },
        "Smaller parameters keep states in fp32.",
    )
    .silently("4096"),
    key(
        OPTIMIZER,
        "optim_bits",
        Kind::Count { least: 8, most: 32 },
        "States of bitsandbytes' optimizers have 8 or 32 bits.",
    ),
    key(OPTIMIZER, "block_wise", Kind::Flag, "States are quantized by block.")
        .silently("true")
        .only(&["true"], "states are quantised by block"),
    key(OPTIMIZER, "is_paged", Kind::Flag, "States are paged to host memory.").silently("false"),
    key(
        OPTIMIZER,
        "block_size",
        Kind::Count { least: 1, most: 1 << 20 },
        "So many numbers of a state of torchao's optimizers share a scale.",
    ),
    key(OPTIMIZER, "bf16_stochastic_round", Kind::Flag, "bf16 weights are rounded at random.")
        .silently("false"),
    key(
        OPTIMIZER,
        "max_unorm",
        Kind::NonNegative,
        "The norm of an update is bounded by this share of the weights'.",
    ),
    key(OPTIMIZER, "t_alpha", Kind::Number, "AdEMAMix's alpha grows over this many steps."),
    key(OPTIMIZER, "t_beta3", Kind::Number, "AdEMAMix's third average grows over this many steps."),
    key(OPTIMIZER, "rho", Kind::Number, "The decay of Adadelta's averages does not change memory."),
    key(OPTIMIZER, "momentum_decay", Kind::Number, "The decay of NAdam's momentum does not change memory."),
    key(
        OPTIMIZER,
        "decoupled_weight_decay",
        Kind::Flag,
        "Weights decay in place, and not through the gradient.",
    )
    .silently("false"),
];
