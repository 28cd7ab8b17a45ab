//! A program as a whole: its header and its sections.

use brimful_units::Dtype;

use crate::error::{EvaluationError, ProgramError};
use crate::evaluate::{ConfigScope, Scope};
use crate::expression::{Expression, Input};
use crate::instruction::{Instruction, Path};
use crate::values::{Value, Values};

/// A recorded model.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What was recorded, and for which configs it holds.
    pub header: Header,
    /// The constructor. Sections for different configs have different conditions.
    pub builds: Vec<Build>,
    /// The recorded calls. Calls that do the same share a body.
    pub forwards: Vec<Forward>,
}

/// What was recorded, and for which configs it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// The library whose class it is, such as transformers 5.23.0.
    pub library: Library,
    /// The libraries it was recorded with.
    pub recorded: Vec<Library>,
    /// `model_type` of the config.
    pub model_type: String,
    /// The class that was recorded.
    pub class: String,
    /// The task, such as `causal-lm`.
    pub task: String,
    /// The config class's own values.
    pub defaults: Vec<(String, Value)>,
    /// Other names of keys that the config class takes as well (`attribute_map`), each with the key that it stands for.
    pub aliases: Vec<(String, String)>,
    /// What the config class makes of a key, whatever config.json says.
    pub set: Vec<(String, Expression)>,
    /// How a key is made that config.json lacks.
    pub derived: Vec<(String, Expression)>,
    /// The implementations of attention that the class supports; the first is its default.
    pub attention: Vec<Attention>,
    /// Whether the constructor says where each tie of two parameters happens; otherwise the output layer alone is tied, when
    /// it is made.
    pub ordered_ties: bool,
    /// The dtype in which the constructor makes the parameters, where they are converted to the model's afterwards
    /// (`convert`); `None` where they are made in it.
    pub constructed: Option<Dtype>,
    /// Keys and the values for which the recording holds.
    pub required: Vec<(String, Vec<Value>)>,
    /// The lists of layers.
    pub lists: Vec<LayerList>,
}

/// A library and its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A list of modules whose bodies are written once for each kind.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerList {
    /// Its place.
    pub path: Path,
    /// How many modules it has.
    pub length: Expression,
    /// The kinds with their conditions. A layer is of the first kind whose condition holds.
    pub kinds: Vec<(String, Expression)>,
}

/// An implementation of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Attention {
    Sdpa,
    Eager,
}

/// Whether the model trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Mode {
    Train,
    Eval,
}

/// Whether the caller passes an `attention_mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MaskUse {
    Unmasked,
    Masked,
}

/// Where the cache comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheUse {
    /// `use_cache=False`.
    None,
    /// The model makes its own.
    Made,
    /// The caller passes one.
    Given,
}

macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),*) => {
        impl $type {
            /// Every value with its word.
            pub const ALL: &[($type, &'static str)] = &[$(($type::$variant, $word)),*];

            /// The value of a word.
            pub(crate) fn of(word: &str) -> Option<$type> {
                $type::ALL.iter().find(|row| row.1 == word).map(|row| row.0)
            }

            /// The word.
            pub fn word(self) -> &'static str {
                $type::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
            }
        }
    };
}
words!(Attention: Sdpa = "sdpa", Eager = "eager");
words!(Mode: Train = "train", Eval = "eval");
words!(MaskUse: Unmasked = "unmasked", Masked = "masked");
words!(CacheUse: None = "none", Made = "made", Given = "given");

/// Which call of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct ForwardKey {
    pub attention: Attention,
    pub mode: Mode,
    pub mask: MaskUse,
    pub cache: CacheUse,
}

/// A recorded constructor.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// What must hold of the config; all of them.
    pub conditions: Vec<Expression>,
    /// What it does.
    pub body: Vec<Instruction>,
}

/// A recorded call.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// The calls that do this.
    pub keys: Vec<ForwardKey>,
    /// What must hold of the config; all of them.
    pub conditions: Vec<Expression>,
    /// What they do.
    pub body: Vec<Instruction>,
}

impl Program {
    /// Reads a program file.
    ///
    /// # Errors
    /// [`ProgramError`] with the line where the text is not a program.
    pub fn parse(text: &str) -> Result<Program, ProgramError> {
        crate::parse::program(text)
    }

    /// What a call of the model does; `None` if it was not recorded for this config.
    ///
    /// # Errors
    /// A condition that has no value.
    pub fn forward(
        &self,
        key: ForwardKey,
        values: &Values,
    ) -> Result<Option<&[Instruction]>, EvaluationError> {
        for forward in self.forwards.iter().filter(|forward| forward.keys.contains(&key)) {
            if hold(&forward.conditions, values)? {
                return Ok(Some(&forward.body));
            }
        }
        Ok(None)
    }

    /// Whether the forwards take images of the config's own size only: a recording with a table of positions checks it.
    pub fn fixes_images(&self) -> bool {
        self.forwards.iter().any(|forward| checks_images(&forward.body))
    }

    /// What the constructor does; `None` if it was not recorded for this config.
    ///
    /// # Errors
    /// A condition that has no value.
    pub fn build(&self, values: &Values) -> Result<Option<&[Instruction]>, EvaluationError> {
        for build in &self.builds {
            if hold(&build.conditions, values)? {
                return Ok(Some(&build.body));
            }
        }
        Ok(None)
    }
}

impl Program {
    /// What a config lacks for the constructor that is nearest to it, as the conditions of a program are written.
    pub(crate) fn uncovered_by_constructors(&self, values: &Values) -> EvaluationError {
        let failing = |build: &Build| {
            let fails =
                |condition: &&Expression| !hold(std::slice::from_ref(*condition), values).unwrap_or(false);
            build
                .conditions
                .iter()
                .filter(fails)
                .map(|condition| format!("`{condition}`"))
                .collect::<Vec<_>>()
        };
        let nearest = self.builds.iter().map(failing).min_by_key(Vec::len).unwrap_or_default();
        EvaluationError::Uncovered(nearest.join(" and "))
    }
}

/// Whether one of the instructions compares the side of an image with the config.
fn checks_images(body: &[Instruction]) -> bool {
    const SIDES: [Expression; 2] =
        [Expression::InputSize(Input::PixelValues, 2), Expression::InputSize(Input::PixelValues, 3)];
    body.iter().any(|instruction| match instruction {
        Instruction::Check(Expression::Binary(_, sides), _) => {
            SIDES.contains(&sides[0]) && matches!(sides[1], Expression::Key(_))
        }
        Instruction::Scope { body, .. } => checks_images(body),
        Instruction::When(_, body) => checks_images(body),
        _ => false,
    })
}

/// Whether all conditions hold. A condition on a key that the config lacks does not.
fn hold(conditions: &[Expression], values: &Values) -> Result<bool, EvaluationError> {
    for condition in conditions {
        match ConfigScope::new(values).evaluate(condition) {
            Ok(value) if value.is_true() => {}
            Ok(_) | Err(EvaluationError::NoKey(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

impl Header {
    /// The config's values with the class's defaults and derived keys under them.
    ///
    /// # Errors
    /// A key that is set or derived, and whose expression has no value.
    pub fn complete(&self, mut given: Values) -> Result<Values, EvaluationError> {
        for (other, key) in &self.aliases {
            if let Some(value) = given.get(other).cloned() {
                given.insert_if_absent(key, value);
            }
        }
        for (key, value) in &self.defaults {
            given.insert_if_absent(key, value.clone());
        }
        for (key, expression) in &self.set {
            let value = ConfigScope::new(&given).evaluate(expression)?;
            given.insert(key, value);
        }
        for (key, expression) in &self.derived {
            if given.is_null_or_absent(key) {
                let value = ConfigScope::new(&given).evaluate(expression)?;
                given.insert(key, value);
            }
        }
        Ok(given)
    }

    /// The first key whose value the recording does not cover, with the values that it covers.
    pub fn uncovered<'a>(&'a self, values: &Values) -> Option<(&'a str, &'a [Value])> {
        // A key that is absent has the class's own value, which is the recorded one.
        let covered = |(key, allowed): &&(String, Vec<Value>)| {
            values.get(key).is_none_or(|found| allowed.contains(found))
        };
        let (key, allowed) = self.required.iter().find(|row| !covered(row))?;
        Some((key, allowed))
    }
}

impl LayerList {
    /// How many layers a config gives the list.
    ///
    /// # Errors
    /// A length that is no whole number of at least 0.
    pub fn count(&self, values: &Values) -> Result<u64, EvaluationError> {
        let value = ConfigScope::new(values).evaluate(&self.length)?;
        match value {
            Value::Integer(count) if count >= 0 => Ok(count as u64),
            other => Err(EvaluationError::Kind {
                what: self.length.to_string(),
                found: other.to_string(),
                expected: "a whole number of at least 0",
            }),
        }
    }

    /// The position of the kind of layer `index` among the kinds; `None` if no condition holds.
    ///
    /// # Errors
    /// A condition that has no value.
    pub fn kind(&self, values: &Values, index: u64) -> Result<Option<usize>, EvaluationError> {
        let scope = ConfigScope { values, index: Some(index) };
        for (at, (_, condition)) in self.kinds.iter().enumerate() {
            if scope.evaluate(condition)?.is_true() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
