//! The optimizer table: torch's names and arguments (torch/optim/*.py), transformers' Adafactor, bitsandbytes' AdamW8bit.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::section::Section;
use crate::{JobFault, Optimizer, OptimizerKind, Recipe};

/// An optimizer that can be asked for: its library, its name and its arguments.
struct Known {
    library: &'static str,
    name: &'static str,
    arguments: &'static [&'static str],
}

/// Arguments that many share.
const COMMON: [&str; 3] = ["name", "library", "lr"];

/// Arguments that would add graph-capturable steps or autograd through the step; they change what is allocated.
const UNFOLLOWED: [&str; 2] = ["capturable", "differentiable"];

const KNOWN: [Known; 8] = [
    Known {
        library: "torch",
        name: "AdamW",
        arguments: &[
            "betas",
            "eps",
            "weight_decay",
            "amsgrad",
            "foreach",
            "fused",
            "maximize",
            "capturable",
            "differentiable",
        ],
    },
    Known {
        library: "torch",
        name: "Adam",
        arguments: &[
            "betas",
            "eps",
            "weight_decay",
            "amsgrad",
            "foreach",
            "fused",
            "maximize",
            "capturable",
            "differentiable",
        ],
    },
    Known {
        library: "torch",
        name: "SGD",
        arguments: &[
            "momentum",
            "dampening",
            "weight_decay",
            "nesterov",
            "foreach",
            "fused",
            "maximize",
            "differentiable",
        ],
    },
    Known {
        library: "torch",
        name: "Adagrad",
        arguments: &[
            "lr_decay",
            "weight_decay",
            "initial_accumulator_value",
            "eps",
            "foreach",
            "fused",
            "maximize",
            "differentiable",
        ],
    },
    Known {
        library: "torch",
        name: "RMSprop",
        arguments: &[
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
    },
    Known {
        library: "torch",
        name: "Adafactor",
        arguments: &["beta2_decay", "eps", "d", "weight_decay", "foreach", "maximize"],
    },
    Known {
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
    },
    Known {
        library: "bitsandbytes",
        name: "AdamW8bit",
        arguments: &["betas", "eps", "weight_decay", "min_8bit_size", "block_wise", "is_paged"],
    },
];

const PATH: &str = "train.optimizer";

/// The optimizer of `[train]`: a table, a bare name, or "none". Absent means AdamW.
pub(crate) fn optimizer(train: &Section, recipe: &RefCell<Recipe>) -> Result<Option<Optimizer>, JobFault> {
    let table = match train.get("optimizer") {
        None => name_only(&train.assume("optimizer", "AdamW".to_owned(), "the default (torch.optim.AdamW)")),
        Some(Value::String(name)) if name == "none" => return Ok(None),
        Some(Value::String(name)) => name_only(name),
        Some(other) => other.clone(),
    };
    let known = which(&table, train)?;
    let keys: Vec<&str> = COMMON.iter().chain(known.arguments).copied().collect();
    let section = Section::new(PATH, &table, &keys, recipe)?;
    read(&section, known).map(Some)
}

fn name_only(name: &str) -> Value {
    Value::Object(Map::from_iter([("name".to_owned(), Value::String(name.to_owned()))]))
}

/// The optimizer that `name` and `library` say.
fn which(table: &Value, train: &Section) -> Result<&'static Known, JobFault> {
    let Value::Object(map) = table else {
        return Err(train.wrong_type("optimizer", table, "a name, \"none\", or a table with `name`"));
    };
    let text = |key: &str, default: &'static str| match map.get(key) {
        None => Ok(default.to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(train.wrong_type(&format!("optimizer.{key}"), other, "a text")),
    };
    let (mut name, library) = (text("name", "")?, text("library", "")?);
    if name.is_empty() && library.is_empty() {
        name = train.assume("optimizer.name", "AdamW".to_owned(), "torch.optim.AdamW");
    } else if name.is_empty() {
        let expected = "write the optimizer's name, such as \"AdamW\"".to_owned();
        return Err(JobFault::Missing { key: format!("{PATH}.name"), expected });
    }
    let of_name = |known: &&Known| known.name == name && (library.is_empty() || known.library == library);
    KNOWN.iter().find(of_name).ok_or_else(|| {
        let meant = brimful_units::nearest(&name, KNOWN.iter().map(|known| known.name));
        let meant = meant
            .filter(|meant| *meant != name)
            .map_or_else(String::new, |m| format!("; did you mean {m:?}?"));
        let all: Vec<String> =
            KNOWN.iter().map(|known| format!("{}.{}", known.library, known.name)).collect();
        let found = if library.is_empty() { format!("{name:?}") } else { format!("{name:?} of {library:?}") };
        train.bad("optimizer.name", found, format!("simulated are {} and \"none\"{meant}", all.join(", ")))
    })
}

fn read(section: &Section, known: &Known) -> Result<Optimizer, JobFault> {
    for name in UNFOLLOWED {
        if known.arguments.contains(&name) && section.flag(name)? {
            return Err(section.not_simulated(name, &Value::Bool(true), "leave it out"));
        }
    }
    check_numbers(section, known)?;
    let has = |name: &str| known.arguments.contains(&name);
    let foreach = if has("foreach") { section.optional_flag("foreach")? } else { None };
    let fused = if has("fused") { section.optional_flag("fused")? } else { None };
    if foreach == Some(true) && fused == Some(true) {
        return Err(section.bad("fused", true, "torch refuses `foreach` and `fused` together; keep one"));
    }
    Ok(Optimizer { kind: kind(section, known)?, foreach, fused })
}

/// Arguments that are numbers and do not change what is allocated must at least be numbers.
fn check_numbers(section: &Section, known: &Known) -> Result<(), JobFault> {
    let plain = [
        "lr_decay",
        "initial_accumulator_value",
        "alpha",
        "d",
        "beta2_decay",
        "clip_threshold",
        "decay_rate",
    ];
    section.number("lr")?;
    plain
        .iter()
        .filter(|name| known.arguments.contains(name))
        .try_for_each(|name| section.number(name).map(drop))
}

/// Whether a number is there and not zero.
fn nonzero(section: &Section, name: &str) -> Result<bool, JobFault> {
    match section.number(name)? {
        Some(number) if number < 0.0 => Err(section.bad(name, number, "torch refuses a negative value")),
        Some(number) => Ok(number != 0.0),
        None => Ok(false),
    }
}

fn kind(section: &Section, known: &Known) -> Result<OptimizerKind, JobFault> {
    let weight_decay = nonzero(section, "weight_decay")?;
    Ok(match (known.library, known.name) {
        ("torch", "AdamW") => OptimizerKind::AdamW { amsgrad: section.flag("amsgrad")? },
        ("torch", "Adam") => OptimizerKind::Adam { amsgrad: section.flag("amsgrad")?, weight_decay },
        ("torch", "SGD") => sgd(section, weight_decay)?,
        ("torch", "Adagrad") => OptimizerKind::Adagrad { weight_decay },
        ("torch", "RMSprop") => OptimizerKind::RmsProp {
            momentum: nonzero(section, "momentum")?,
            centered: section.flag("centered")?,
            weight_decay,
        },
        ("torch", _) => OptimizerKind::Adafactor,
        ("transformers", _) => OptimizerKind::TransformersAdafactor {
            beta1: section.number("beta1")?.is_some(),
            relative_step: trainer_flag(section, "relative_step")?,
            scale_parameter: trainer_flag(section, "scale_parameter")?,
            weight_decay,
        },
        _ => adamw_8bit(section)?,
    })
}

/// transformers' class has `true` as its default, but its Trainer passes `false` (trainer_optimizer.py), and so does
/// everybody who passes a learning rate.
fn trainer_flag(section: &Section, name: &str) -> Result<bool, JobFault> {
    let found = section.optional_flag(name)?;
    Ok(found.unwrap_or_else(|| section.assume(name, false, "as transformers' Trainer passes it")))
}

fn sgd(section: &Section, weight_decay: bool) -> Result<OptimizerKind, JobFault> {
    let (momentum, dampening) = (nonzero(section, "momentum")?, nonzero(section, "dampening")?);
    let nesterov = section.flag("nesterov")?;
    if nesterov && (!momentum || dampening) {
        return Err(section.bad("nesterov", true, "torch asks for a momentum and zero dampening with it"));
    }
    Ok(OptimizerKind::Sgd { momentum, nesterov, weight_decay, dampening })
}

/// bitsandbytes' arguments that would keep other states.
fn adamw_8bit(section: &Section) -> Result<OptimizerKind, JobFault> {
    if section.flag("is_paged")? {
        return Err(section.not_simulated(
            "is_paged",
            &Value::Bool(true),
            "paged states live in host memory",
        ));
    }
    if section.optional_flag("block_wise")? == Some(false) {
        return Err(section.not_simulated(
            "block_wise",
            &Value::Bool(false),
            "states are quantised by block",
        ));
    }
    match section.count("min_8bit_size", 0, u64::MAX)? {
        Some(size) if size != 4096 => {
            Err(section.not_simulated("min_8bit_size", &size.into(), "4096, the default, is simulated"))
        }
        _ => Ok(OptimizerKind::AdamW8bit),
    }
}
