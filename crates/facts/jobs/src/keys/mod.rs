//! The keys of the job file as one table. The checks of a section, the flags of the command line and their help, the
//! JSON schema, the defaults that an answer lists, and the readers of other tools' settings are folds over it.

mod elsewhere;
mod lora;
mod optimizer;
mod parallel;
mod run;
mod serve;
mod spelled;

use brimful_models::JobDefaults;
use serde_json::Value;

pub use elsewhere::{Elsewhere, elsewhere};
pub(crate) use serve::engine_of;
pub use spelled::Spellings;

/// A key of the job file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The sections that have the key, such as `train` and `infer`; the job itself is the empty path.
    pub within: &'static [&'static str],
    /// The key's name in its section.
    pub name: &'static str,
    /// What a value must be.
    pub kind: Kind,
    /// What an absent key means.
    pub absent: Absent,
    /// What the key says, as a full sentence.
    pub help: &'static str,
    /// Which of its values are simulated.
    pub simulated: Simulated,
    /// The flag of the command line, with underscores; `None` if only `--set` reaches the key.
    pub flag: Option<&'static str>,
    /// Other names of the key, as other programs call it; they are flags, too, if the key has one.
    pub also: &'static [&'static str],
    /// Values as other programs write them.
    pub spelled: Spellings,
    /// The key that a bare number in place of the table sets; `None` if a table cannot be written in short.
    pub short: Option<&'static str>,
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number between bounds, both included.
    Count {
        /// The least value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// Any number.
    Number,
    /// A number of at least 0.
    NonNegative,
    /// A number between 0 and 1.
    Probability,
    /// `true` or `false`.
    Flag,
    /// `true`, `false`, or a number of at least 0.
    FlagOrNumber,
    /// A text; the sentence says which.
    Text(&'static str),
    /// A text, or a table that says more; the sentence says which.
    TextOrTable(&'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// A table whose keys are rows of this table.
    Table,
    /// A table that may have further keys than the rows of this table.
    OpenTable,
    /// Something else, which its reader checks further.
    Other {
        /// What is expected.
        expected: &'static str,
        /// The types that JSON schema names.
        types: &'static [&'static str],
    },
}

/// What an absent key means. Values are written as in the job file.
#[derive(Clone, Copy)]
pub enum Absent {
    /// There is no value; the key's help says what then happens.
    Nothing,
    /// This value, which answers do not list.
    Silently(&'static str),
    /// This value, which answers list with the reason.
    Assumed(&'static str, &'static str),
    /// What the model's config class answers: a word and the reason.
    Family(fn(&JobDefaults) -> (&'static str, &'static str)),
    /// What follows from the rest of the job, by the rule in this sentence.
    Follows(&'static str),
    /// The key must be there.
    Required,
}

/// Which values of a key are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simulated {
    /// All of them.
    Yes,
    /// Only these, written as in the job file; the sentence says what to write instead of others.
    Only(&'static [&'static str], &'static str),
    /// None yet; the sentence says what to do instead.
    NotYet(&'static str),
}

impl std::fmt::Debug for Absent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Absent::Nothing => f.write_str("Nothing"),
            Absent::Silently(value) => write!(f, "Silently({value})"),
            Absent::Assumed(value, why) => write!(f, "Assumed({value}, {why})"),
            Absent::Family(_) => f.write_str("Family"),
            Absent::Follows(rule) => write!(f, "Follows({rule})"),
            Absent::Required => f.write_str("Required"),
        }
    }
}

/// The sections of a run.
const RUNS: &[&str] = &["train", "infer"];
/// `[train]`.
const TRAIN: &[&str] = &["train"];
/// `[infer]`.
const INFER: &[&str] = &["infer"];
/// The job itself.
const ROOT: &[&str] = &[""];
/// The most that a count in a job may be.
const MOST: u64 = 1 << 31;
/// A count of at least 1.
const COUNT: Kind = Kind::Count { least: 1, most: MOST };
/// The reason for a value that no rule decides.
const DEFAULT: &str = "the default";

/// A row: simulated, without a default and without a flag.
const fn key(within: &'static [&'static str], name: &'static str, kind: Kind, help: &'static str) -> Key {
    Key {
        within,
        name,
        kind,
        absent: Absent::Nothing,
        help,
        simulated: Simulated::Yes,
        flag: None,
        also: &[],
        spelled: &[],
        short: None,
    }
}

impl Key {
    /// The row with a default that answers list.
    const fn assumed(self, value: &'static str) -> Key {
        Key { absent: Absent::Assumed(value, DEFAULT), ..self }
    }

    /// The row with a default that answers do not list.
    const fn silently(self, value: &'static str) -> Key {
        Key { absent: Absent::Silently(value), ..self }
    }

    /// The row with another answer to an absent key.
    const fn absent(self, absent: Absent) -> Key {
        Key { absent, ..self }
    }

    /// The row whose other values are refused.
    const fn only(self, values: &'static [&'static str], instead: &'static str) -> Key {
        Key { simulated: Simulated::Only(values, instead), ..self }
    }

    /// The row of a key that is refused.
    const fn not_yet(self, instead: &'static str) -> Key {
        Key { simulated: Simulated::NotYet(instead), ..self }
    }

    /// The row with a flag of its own name.
    const fn flag(self) -> Key {
        Key { flag: Some(self.name), ..self }
    }

    /// The row with other names.
    const fn also(self, also: &'static [&'static str]) -> Key {
        Key { also, ..self }
    }

    /// The row with other spellings of its values.
    const fn spelled(self, spelled: Spellings) -> Key {
        Key { spelled, ..self }
    }

    /// The row of a table that a bare number stands for.
    const fn short(self, name: &'static str) -> Key {
        Key { short: Some(name), ..self }
    }

    /// The paths of the key, such as `train.batch` and `infer.batch`.
    pub fn paths(&self) -> impl Iterator<Item = String> + use<> {
        let name = self.name;
        self.within.iter().map(move |section| joined(section, name))
    }

    /// The words among which a value is chosen; none if the key has no words.
    pub fn words(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Words(words) => words,
            _ => &[],
        }
    }

    /// What to write instead of a value that is not simulated; `None` if the value is simulated.
    pub fn instead(&self, value: &Value) -> Option<&'static str> {
        match self.simulated {
            Simulated::Yes => None,
            Simulated::Only(values, _) if values.contains(&plain(value).as_str()) => None,
            Simulated::Only(_, instead) | Simulated::NotYet(instead) => Some(instead),
        }
    }
}

/// The path of a key in a section.
pub(crate) fn joined(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// A value as the job file has it, a text without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every key, in the order of the job file.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [run::KEYS, optimizer::KEYS, lora::KEYS, serve::KEYS, parallel::KEYS, run::OTHER_KEYS]
        .into_iter()
        .flatten()
}

/// The keys of a section.
pub(crate) fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    keys().filter(move |key| key.within.contains(&section))
}

/// The row of a path; `None` if no job has the key.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    keys_of(section).find(|key| key.name == name)
}

/// The rows that have a flag, each flag once.
pub fn flags() -> impl Iterator<Item = (&'static str, &'static Key)> {
    let simulated = |key: &&Key| !matches!(key.simulated, Simulated::NotYet(_));
    keys().filter_map(|key| key.flag.map(|flag| (flag, key))).filter(move |(flag, key)| {
        // A flag of two rows is described by the one that is simulated.
        simulated(key) || !keys().any(|other| other.flag == Some(*flag) && simulated(&other))
    })
}
