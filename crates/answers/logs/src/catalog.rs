//! The known formats, read from `formats/*.toml` at first use.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::context::Context;
use crate::pattern::{Field, Lazy};
use crate::search::Needles;

const FILES: [&str; 9] = [
    include_str!("../formats/pytorch.toml"),
    include_str!("../formats/library.toml"),
    include_str!("../formats/xla.toml"),
    include_str!("../formats/serving.toml"),
    include_str!("../formats/ggml.toml"),
    include_str!("../formats/others.toml"),
    include_str!("../formats/devices.toml"),
    include_str!("../formats/host.toml"),
    include_str!("../formats/unknown.toml"),
];

/// What a format means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Device memory, or a budget on it, ran out.
    Oom,
    /// A size that cannot be meant.
    Absurd,
    /// One buffer is above what a single allocation may be.
    Limit,
    /// The host's memory.
    Host,
    /// The /dev/shm mount.
    Shm,
    /// On-chip memory of one kernel.
    Shared,
    /// Page-locked host memory.
    Pinned,
    /// Another failure, in words that are taken for a lack of memory.
    Lookalike,
    /// A line speaks of a lack of memory in words that no format claims: of which memory is open.
    Unknown,
    /// Memory was refused, and the program went on as before.
    Recovered,
    /// A refusal that costs speed at most.
    Harmless,
    /// Figures of a healthy program.
    Ledger,
}

/// The gravity of a failure that ends a program for lack of memory.
pub(crate) const MOST_SEVERE: u8 = 4;

impl Kind {
    /// Whether the GPU's memory ran out.
    pub fn is_gpu_oom(self) -> bool {
        self == Kind::Oom
    }

    /// How severe the failure is: of two failures in a log the more severe one is reported; ties go to the first.
    pub(crate) fn gravity(self) -> u8 {
        match self {
            Kind::Oom | Kind::Absurd | Kind::Limit | Kind::Host | Kind::Shm => MOST_SEVERE,
            Kind::Shared | Kind::Pinned | Kind::Lookalike => 3,
            Kind::Unknown => 2,
            Kind::Recovered | Kind::Harmless => 1,
            Kind::Ledger => 0,
        }
    }
}

#[derive(Deserialize)]
struct File {
    message: Option<Message>,
    format: Vec<Raw>,
}

#[derive(Deserialize)]
struct Message {
    fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    title: String,
    framework: String,
    kind: Kind,
    #[serde(default = "usual_weight")]
    weight: u8,
    needle: Vec<String>,
    #[serde(rename = "match")]
    pattern: String,
    unless: Option<String>,
    before: Option<String>,
    #[serde(default)]
    message: bool,
    #[serde(default)]
    wide: bool,
    #[serde(default)]
    repeats: bool,
    cause: Option<String>,
    #[serde(default)]
    secondary: BTreeMap<String, String>,
    #[serde(default)]
    fields: Vec<String>,
    example: String,
    #[serde(default)]
    expect: BTreeMap<String, toml::Value>,
}

fn usual_weight() -> u8 {
    50
}

/// A format that the scanner knows.
#[derive(Clone, Debug, PartialEq)]
pub struct FormatInfo {
    /// Its name, such as `pt-2.5-plus`.
    pub id: String,
    /// What it is, in a line.
    pub title: String,
    /// The program that prints it.
    pub framework: String,
    /// What it means.
    pub kind: Kind,
    /// How it looks.
    pub example: String,
    /// Whole numbers that the example carries, by name.
    pub expect: Vec<(String, i64)>,
}

#[derive(Debug)]
pub(crate) struct Format {
    pub info: FormatInfo,
    pub weight: u8,
    pub pattern: Lazy,
    pub unless: Option<Lazy>,
    pub before: Option<Lazy>,
    pub fields: Vec<Field>,
    /// Figures may stand anywhere around, not only after the message's beginning.
    pub wide: bool,
    /// All figures of a kind are of interest, not only the first.
    pub repeats: bool,
    /// The cause that the format alone establishes.
    pub cause: Option<String>,
    /// Other names for figures when this is not the main format of an incident.
    pub secondary: BTreeMap<String, String>,
}

/// All formats and the search for their needles.
pub(crate) struct Catalog {
    pub formats: Vec<Format>,
    /// Whose each needle is, in the order of `needles`.
    pub owners: Vec<Vec<Owner>>,
    pub needles: Needles,
}

/// Whose a needle is.
#[derive(Clone, Copy)]
pub(crate) enum Owner {
    Format(usize),
    Setting(usize),
}

impl Catalog {
    /// The built-in catalogue.
    pub fn get() -> &'static Catalog {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(Catalog::build)
    }

    /// The formats that a needle may begin.
    pub fn formats_of(&self, needle: usize) -> impl Iterator<Item = usize> {
        self.owners[needle].iter().filter_map(|owner| match owner {
            Owner::Format(at) => Some(*at),
            Owner::Setting(_) => None,
        })
    }

    /// The settings that a needle may begin.
    pub fn settings_of(&self, needle: usize) -> impl Iterator<Item = usize> {
        self.owners[needle].iter().filter_map(|owner| match owner {
            Owner::Format(_) => None,
            Owner::Setting(at) => Some(*at),
        })
    }

    fn build() -> Catalog {
        let mut formats: Vec<Format> = Vec::new();
        let mut by_needle: BTreeMap<String, Vec<Owner>> = BTreeMap::new();
        for (at, needles) in Context::get().needles.iter().enumerate() {
            for needle in needles {
                by_needle.entry(needle.clone()).or_default().push(Owner::Setting(at));
            }
        }
        for file in FILES {
            // Cannot fail: the files are part of the program, and tests read them.
            let file: File = toml::from_str(file).unwrap_or_else(|error| panic!("formats/*.toml: {error}"));
            let shared = file.message.map_or(Vec::new(), |message| message.fields);
            for raw in file.format {
                for needle in &raw.needle {
                    by_needle.entry(needle.clone()).or_default().push(Owner::Format(formats.len()));
                }
                formats.push(compile(raw, &shared));
            }
        }
        let (needles, owners): (Vec<_>, Vec<Vec<Owner>>) = by_needle.into_iter().unzip();
        let quiet = |owner: &Owner| match owner {
            Owner::Format(at) => formats[*at].info.kind == Kind::Ledger,
            Owner::Setting(_) => true,
        };
        let needles = Needles::new(needles, |at| owners[at].iter().all(quiet));
        Catalog { formats, owners, needles }
    }
}

fn compile(raw: Raw, shared: &[String]) -> Format {
    let own = raw.fields.iter().map(String::as_str);
    let more = if raw.message { shared } else { &[] };
    let fields = own.chain(more.iter().map(String::as_str)).flat_map(Field::parse).collect();
    let number = |(name, value): (String, toml::Value)| Some((name, value.as_integer()?));
    Format {
        weight: raw.weight,
        pattern: Lazy::new(raw.pattern),
        unless: raw.unless.map(Lazy::new),
        before: raw.before.map(Lazy::new),
        fields,
        wide: raw.wide,
        repeats: raw.repeats,
        cause: raw.cause,
        secondary: raw.secondary,
        info: FormatInfo {
            id: raw.id,
            title: raw.title,
            framework: raw.framework,
            kind: raw.kind,
            example: raw.example,
            expect: raw.expect.into_iter().filter_map(number).collect(),
        },
    }
}

/// Every format that the scanner knows, in the order of preference.
pub fn formats() -> impl Iterator<Item = &'static FormatInfo> {
    Catalog::get().formats.iter().map(|format| &format.info)
}
