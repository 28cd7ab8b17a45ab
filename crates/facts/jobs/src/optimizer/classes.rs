//! The classes of optimizers that are simulated, with their arguments: torch/optim/*.py (2.15), transformers/optimization.py (5.23),
//! and
//! those of bitsandbytes and torchao.

use super::{bitsandbytes, torchao};

/// A class of optimizers: its library, its name and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptimizerClass {
    /// torch, transformers, bitsandbytes or torchao.
    pub library: &'static str,
    /// The class, such as `AdamW`.
    pub name: &'static str,
    /// The arguments of the class that are keys of the job file, without `lr`, which all have.
    pub arguments: &'static [&'static str],
}

/// Keys that every optimizer has.
pub(super) const COMMON: [&str; 3] = ["name", "library", "lr"];

const fn torch(name: &'static str, arguments: &'static [&'static str]) -> OptimizerClass {
    OptimizerClass { library: "torch", name, arguments }
}

/// The arguments of torch's Adam and AdamW.
const OF_ADAM: &[&str] = &[
    "betas",
    "eps",
    "weight_decay",
    "amsgrad",
    "foreach",
    "fused",
    "maximize",
    "capturable",
    "differentiable",
];
pub(super) const ADAMW: OptimizerClass = torch("AdamW", OF_ADAM);
pub(super) const ADAM: OptimizerClass = torch("Adam", OF_ADAM);
pub(super) const NADAM: OptimizerClass = torch(
    "NAdam",
    &[
        "betas",
        "eps",
        "weight_decay",
        "momentum_decay",
        "decoupled_weight_decay",
        "foreach",
        "maximize",
        "capturable",
        "differentiable",
    ],
);
pub(super) const RADAM: OptimizerClass = torch(
    "RAdam",
    &[
        "betas",
        "eps",
        "weight_decay",
        "decoupled_weight_decay",
        "foreach",
        "maximize",
        "capturable",
        "differentiable",
    ],
);
pub(super) const ADAMAX: OptimizerClass =
    torch("Adamax", &["betas", "eps", "weight_decay", "foreach", "maximize", "capturable", "differentiable"]);
pub(super) const ADADELTA: OptimizerClass =
    torch("Adadelta", &["rho", "eps", "weight_decay", "foreach", "maximize", "capturable", "differentiable"]);
pub(super) const SGD: OptimizerClass = torch(
    "SGD",
    &["momentum", "dampening", "weight_decay", "nesterov", "foreach", "fused", "maximize", "differentiable"],
);
pub(super) const ADAGRAD: OptimizerClass = torch(
    "Adagrad",
    &[
        "lr_decay",
        "weight_decay",
        "initial_accumulator_value",
        "eps",
        "foreach",
        "fused",
        "maximize",
        "differentiable",
    ],
);
pub(super) const RMSPROP: OptimizerClass = torch(
    "RMSprop",
    &[
        "alpha",
        "eps",
        "weight_decay",
        "momentum",
        "centered",
        "foreach",
        "maximize",
        "capturable",
        "differentiable",
    ],
);
pub(super) const ADAFACTOR: OptimizerClass =
    torch("Adafactor", &["beta2_decay", "eps", "d", "weight_decay", "foreach", "maximize"]);
pub(super) const ADAFACTOR_OF_TRANSFORMERS: OptimizerClass = OptimizerClass {
    library: "transformers",
    name: "Adafactor",
    arguments: &[
        "eps",
        "clip_threshold",
        "decay_rate",
        "beta1",
        "weight_decay",
        "scale_parameter",
        "relative_step",
        "warmup_init",
    ],
};

/// Every class that is simulated; a name without a library means the first.
pub(super) fn known() -> impl Iterator<Item = OptimizerClass> {
    let torch = [ADAMW, ADAM, NADAM, RADAM, ADAMAX, ADADELTA, SGD, ADAGRAD, RMSPROP, ADAFACTOR];
    torch
        .into_iter()
        .chain([ADAFACTOR_OF_TRANSFORMERS])
        .chain(bitsandbytes::classes())
        .chain(torchao::classes())
}

/// The classes as an error lists them, of libraries with many only the first; each name is taken as it stands there.
pub(super) fn listed() -> String {
    let of = |library: &'static str| known().filter(move |class| class.library == library);
    let some =
        of("torch").chain(of("transformers")).chain(of("bitsandbytes").take(3)).chain(of("torchao").take(2));
    some.map(|class| format!("{}.{}", class.library, class.name)).collect::<Vec<_>>().join(", ")
}
