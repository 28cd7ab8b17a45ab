//! The optimizer of a job: a name or a table → [`Optimizer`](crate::Optimizer). `classes` has the names and the arguments.

mod bitsandbytes;
mod classes;
mod torchao;

use std::cell::RefCell;

use serde_json::{Map, Value};

pub use self::bitsandbytes::{BitsAndBytes, Update};
pub use self::classes::OptimizerClass;
use self::classes::{COMMON, known};
pub use self::torchao::TorchAo;
use crate::keys::keys_of;
use crate::section::Section;
use crate::{JobFault, Optimizer, OptimizerKind, Recipe};

impl OptimizerKind {
    /// The class of the optimizer.
    pub fn class(self) -> OptimizerClass {
        match self {
            OptimizerKind::Sgd { .. } => classes::SGD,
            OptimizerKind::Adam { .. } => classes::ADAM,
            OptimizerKind::AdamW { .. } => classes::ADAMW,
            OptimizerKind::NAdam { .. } => classes::NADAM,
            OptimizerKind::RAdam { .. } => classes::RADAM,
            OptimizerKind::Adamax { .. } => classes::ADAMAX,
            OptimizerKind::Adadelta { .. } => classes::ADADELTA,
            OptimizerKind::Adagrad { .. } => classes::ADAGRAD,
            OptimizerKind::RmsProp { .. } => classes::RMSPROP,
            OptimizerKind::Adafactor => classes::ADAFACTOR,
            OptimizerKind::TransformersAdafactor { .. } => classes::ADAFACTOR_OF_TRANSFORMERS,
            OptimizerKind::BitsAndBytes(optimizer) => optimizer.class(),
            OptimizerKind::TorchAo(optimizer) => optimizer.class(),
        }
    }
}

const PATH: &str = "train.optimizer";

/// Whether a name is that of a class, in its own case.
pub(crate) fn is_a_class(name: &str) -> bool {
    known().any(|class| class.name == name)
}

/// The optimizer of `[train]`: a table, a bare name, or "none". Absent means AdamW.
pub(crate) fn optimizer(train: &Section, recipe: &RefCell<Recipe>) -> Result<Option<Optimizer>, JobFault> {
    let table = match train.get("optimizer") {
        None => table_of(&train.text("optimizer")?),
        Some(Value::String(name)) if name == "none" => return Ok(None),
        Some(Value::String(name)) => name_only(name),
        Some(other) => other.clone(),
    };
    let class = which(&table, train)?;
    let keys: Vec<&str> = COMMON.iter().chain(class.arguments).copied().collect();
    let section = Section::new(PATH, &table, &keys, recipe)?.checked()?;
    let (foreach, fused) = (section.given_flag("foreach"), section.given_flag("fused"));
    if foreach == Some(true) && fused == Some(true) {
        return Err(section.bad("fused", true, "torch refuses `foreach` and `fused` together; keep one"));
    }
    let kind = kind(&section, &class)?;
    if foreach.is_none() && fused != Some(true) && runs_over_lists(kind) {
        section.assume(
            "foreach",
            true,
            "torch's own default on a GPU; transformers' Trainer and TRL pass fused = true",
        );
    }
    Ok(Some(Optimizer { kind, foreach, fused }))
}

/// Whether torch steps over lists of tensors unless an argument says otherwise (`_default_to_fused_or_foreach` in
/// torch/optim/optimizer.py, 2.15). Its Adafactor does not (torch/optim/_adafactor.py).
fn runs_over_lists(kind: OptimizerKind) -> bool {
    match kind {
        OptimizerKind::Sgd { .. }
        | OptimizerKind::Adam { .. }
        | OptimizerKind::AdamW { .. }
        | OptimizerKind::NAdam { .. }
        | OptimizerKind::RAdam { .. }
        | OptimizerKind::Adamax { .. }
        | OptimizerKind::Adadelta { .. }
        | OptimizerKind::Adagrad { .. }
        | OptimizerKind::RmsProp { .. } => true,
        OptimizerKind::Adafactor
        | OptimizerKind::TransformersAdafactor { .. }
        | OptimizerKind::BitsAndBytes(_)
        | OptimizerKind::TorchAo(_) => false,
    }
}

/// The table of a word: what the table of keys spells it as, else a name.
fn table_of(word: &str) -> Value {
    let mut spelled = keys_of("train").filter(|key| key.name == "optimizer").flat_map(|key| key.spelled);
    let table = spelled.find(|row| row.0 == word).and_then(|row| serde_json::from_str(row.1).ok());
    table.unwrap_or_else(|| name_only(word))
}

fn name_only(name: &str) -> Value {
    Value::Object(Map::from_iter([("name".to_owned(), Value::String(name.to_owned()))]))
}

/// The optimizer that `name` and `library` say.
fn which(table: &Value, train: &Section) -> Result<OptimizerClass, JobFault> {
    let Value::Object(map) = table else {
        return Err(train.wrong_type("optimizer", table, "a name, \"none\", or a table with `name`"));
    };
    let text = |key: &str, default: &'static str| match map.get(key) {
        None => Ok(default.to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(train.wrong_type(&format!("optimizer.{key}"), other, "a text")),
    };
    let (mut name, mut library) = (text("name", "")?, text("library", "")?);
    // `torch.optim.AdamW` and `bnb.AdamW8bit` name the library, too.
    if let Some((module, class)) = name.rsplit_once('.').filter(|_| library.is_empty()) {
        let root = module.split('.').next().unwrap_or_default();
        library = if root == "bnb" { "bitsandbytes".to_owned() } else { root.to_owned() };
        name = class.to_owned();
    }
    if name.is_empty() && library.is_empty() {
        name = train.assume("optimizer.name", "AdamW".to_owned(), "torch.optim.AdamW");
    } else if name.is_empty() {
        let expected = "write the optimizer's name, such as \"AdamW\"".to_owned();
        return Err(JobFault::Missing { key: format!("{PATH}.name"), expected });
    }
    let of_name =
        |known: &OptimizerClass| known.name == name && (library.is_empty() || known.library == library);
    known().find(of_name).ok_or_else(|| {
        let meant = brimful_units::nearest(&name, known().map(|known| known.name));
        let meant = meant
            .filter(|meant| *meant != name)
            .map_or_else(String::new, |m| format!("; did you mean {m:?}?"));
        let found = if library.is_empty() { format!("{name:?}") } else { format!("{name:?} of {library:?}") };
        train.bad("optimizer.name", found, format!("simulated are {} and \"none\", and the others of bitsandbytes and torchao{meant}; brimful rehearse -- python train.py measures your own script with any other", classes::listed()))
    })
}

fn kind(section: &Section, class: &OptimizerClass) -> Result<OptimizerKind, JobFault> {
    let weight_decay = section.nonzero("weight_decay");
    Ok(match (class.library, class.name) {
        ("torch", "AdamW") => OptimizerKind::AdamW { amsgrad: section.flag("amsgrad") },
        ("torch", "Adam") => OptimizerKind::Adam { amsgrad: section.flag("amsgrad"), weight_decay },
        ("torch", "NAdam") => OptimizerKind::NAdam { weight_decay: coupled(section, weight_decay) },
        ("torch", "RAdam") => OptimizerKind::RAdam { weight_decay: coupled(section, weight_decay) },
        ("torch", "Adamax") => OptimizerKind::Adamax { weight_decay },
        ("torch", "Adadelta") => OptimizerKind::Adadelta { weight_decay },
        ("torch", "SGD") => sgd(section, weight_decay)?,
        ("torch", "Adagrad") => OptimizerKind::Adagrad { weight_decay },
        ("torch", "RMSprop") => OptimizerKind::RmsProp {
            momentum: section.nonzero("momentum"),
            centered: section.flag("centered"),
            weight_decay,
        },
        ("torch", _) => OptimizerKind::Adafactor,
        ("transformers", _) => OptimizerKind::TransformersAdafactor {
            beta1: section.given_number("beta1").is_some(),
            relative_step: section.flag("relative_step"),
            scale_parameter: section.flag("scale_parameter"),
            weight_decay,
        },
        ("torchao", _) => OptimizerKind::TorchAo(torchao::read(section, class)),
        _ => OptimizerKind::BitsAndBytes(bitsandbytes::read(section, class)?),
    })
}

/// Whether weights decay through the gradient, and not in place.
fn coupled(section: &Section, weight_decay: bool) -> bool {
    weight_decay && !section.flag("decoupled_weight_decay")
}

fn sgd(section: &Section, weight_decay: bool) -> Result<OptimizerKind, JobFault> {
    let (momentum, dampening) = (section.nonzero("momentum"), section.nonzero("dampening"));
    let nesterov = section.flag("nesterov");
    if nesterov && (!momentum || dampening) {
        return Err(section.bad("nesterov", true, "torch asks for a momentum and zero dampening with it"));
    }
    Ok(OptimizerKind::Sgd { momentum, nesterov, weight_decay, dampening })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_of_a_class_is_a_key_and_every_key_belongs_to_a_class() {
        let keys: Vec<&str> = keys_of(PATH).map(|key| key.name).collect();
        for class in known() {
            assert!(class.arguments.iter().all(|argument| keys.contains(argument)), "{class:?}");
        }
        let of_a_class = |key: &&str| known().any(|class| class.arguments.contains(key));
        assert!(keys.iter().all(|key| COMMON.contains(key) || of_a_class(key)), "{keys:?}");
    }
}
