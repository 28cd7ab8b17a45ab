//! The known formats, read from `formats/*.toml` at first use.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::context::Context;
use crate::pattern::{Field, Pattern};
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

/// The part of a file before its first format.
#[derive(Deserialize)]
struct Preamble {
    message: Option<Message>,
}

/// One format of a file, as TOML has it.
#[derive(Deserialize)]
struct One {
    format: [Raw; 1],
}

/// What of all formats of a file must be known before one of them is found.
#[derive(Deserialize)]
struct Heads {
    format: Vec<Head>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Head {
    kind: Kind,
    needle: Vec<String>,
}

/// The lines that begin so make the heads of a file; each of them is one line, which a test checks.
const OF_HEADS: [&str; 3] = [BEGIN, "kind = ", "needle = "];
/// The line before a format.
const BEGIN: &str = "[[format]]";

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
    /// Read with the head.
    #[serde(rename = "needle")]
    _needle: IgnoredAny,
    #[serde(rename = "match")]
    pattern: String,
    unless: Option<String>,
    before: Option<String>,
    before_not: Option<String>,
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
    pub pattern: Pattern,
    pub unless: Option<Pattern>,
    pub before: Option<Pattern>,
    /// What must not stand before the match.
    pub before_not: Option<Pattern>,
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

/// A format that is read when it is first asked for: a text needs few of them.
struct Section {
    /// The number of the file.
    file: usize,
    source: &'static str,
    kind: Kind,
    format: OnceLock<Format>,
}

/// All formats and the search for their needles.
pub(crate) struct Catalog {
    sections: Vec<Section>,
    /// The fields that messages of a file share, read when a format first needs them.
    shared: [OnceLock<Vec<String>>; FILES.len()],
    /// Whose each needle is, in the order of `texts`.
    owners: Vec<Vec<Owner>>,
    texts: Vec<String>,
    needles: OnceLock<Needles>,
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

    /// The format of this number.
    pub fn format(&self, at: usize) -> &Format {
        let section = &self.sections[at];
        section.format.get_or_init(|| {
            let One { format: [raw] } = parsed(section.source);
            let shared = || {
                let preamble = || preamble(FILES[section.file]);
                let fields = || preamble().message.map_or(Vec::new(), |message| message.fields);
                self.shared[section.file].get_or_init(fields)
            };
            let more = if raw.message { shared() } else { &[][..] };
            compile(raw, more)
        })
    }

    /// What the format of this number means.
    pub fn kind(&self, at: usize) -> Kind {
        self.sections[at].kind
    }

    /// The search for the needles of all formats and settings. A list of the formats needs none, so that it is built later.
    pub fn needles(&self) -> &Needles {
        let quiet = |owner: &Owner| match owner {
            Owner::Format(at) => self.kind(*at) == Kind::Ledger,
            Owner::Setting(_) => true,
        };
        self.needles.get_or_init(|| Needles::new(self.texts.clone(), |at| self.owners[at].iter().all(quiet)))
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
        let mut sections: Vec<Section> = Vec::new();
        let mut by_needle: BTreeMap<String, Vec<Owner>> = BTreeMap::new();
        for (at, needles) in Context::get().needles.iter().enumerate() {
            for needle in needles {
                by_needle.entry(needle.clone()).or_default().push(Owner::Setting(at));
            }
        }
        for (file, text) in FILES.into_iter().enumerate() {
            for (head, source) in heads(text).into_iter().zip(sources(text)) {
                for needle in head.needle {
                    by_needle.entry(needle).or_default().push(Owner::Format(sections.len()));
                }
                sections.push(Section { file, source, kind: head.kind, format: OnceLock::new() });
            }
        }
        let (texts, owners) = by_needle.into_iter().unzip();
        Catalog { sections, shared: Default::default(), owners, texts, needles: OnceLock::new() }
    }
}

fn parsed<T: DeserializeOwned>(text: &str) -> T {
    // Cannot fail: the files are part of the program, and tests read each format.
    toml::from_str(text).unwrap_or_else(|error| panic!("formats/*.toml: {error}"))
}

/// The heads of the formats of a file.
fn heads(file: &str) -> Vec<Head> {
    let of_heads = |line: &&str| OF_HEADS.iter().any(|begin| line.starts_with(begin));
    let lines: Vec<&str> = file.lines().filter(of_heads).collect();
    parsed::<Heads>(&lines.join("\n")).format
}

/// The text of each format of a file, from its `[[format]]` on.
fn sources(file: &'static str) -> impl Iterator<Item = &'static str> {
    let begins = |at: usize| at == 0 || file[..at].ends_with('\n');
    let starts: Vec<usize> = file.match_indices(BEGIN).map(|(at, _)| at).filter(|at| begins(*at)).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([file.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &file[start..end])
}

fn preamble(file: &'static str) -> Preamble {
    parsed(file.split(BEGIN).next().unwrap_or_default())
}

fn compile(raw: Raw, shared: &[String]) -> Format {
    let own = raw.fields.iter().map(String::as_str);
    let fields = own.chain(shared.iter().map(String::as_str)).flat_map(Field::parse).collect();
    let number = |(name, value): (String, toml::Value)| Some((name, value.as_integer()?));
    Format {
        weight: raw.weight,
        pattern: Pattern::new(raw.pattern),
        unless: raw.unless.map(Pattern::new),
        before: raw.before.map(Pattern::new),
        before_not: raw.before_not.map(Pattern::new),
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
    let catalog = Catalog::get();
    (0..catalog.sections.len()).map(|at| &catalog.format(at).info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::required::required;

    fn patterns() -> Vec<&'static Pattern> {
        let catalog = Catalog::get();
        let formats = (0..catalog.sections.len()).map(|at| catalog.format(at)).flat_map(|format| {
            let around = [format.unless.as_ref(), format.before.as_ref(), format.before_not.as_ref()];
            let own = [Some(&format.pattern)].into_iter().chain(around);
            own.flatten().chain(format.fields.iter().map(Field::pattern))
        });
        formats.chain(Context::get().patterns()).collect()
    }

    #[derive(Deserialize)]
    struct Ids {
        format: Vec<Id>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id {
        id: String,
    }

    #[test]
    fn kind_and_needle_of_each_format_stand_on_lines_of_their_own() {
        for file in FILES {
            assert_eq!(heads(file), parsed::<Heads>(file).format);
            let apart: Vec<Id> = sources(file).flat_map(|source| parsed::<Ids>(source).format).collect();
            assert_eq!(apart, parsed::<Ids>(file).format);
        }
    }

    #[test]
    fn every_needle_has_four_bytes() {
        assert!(Catalog::get().texts.iter().all(|text| text.len() >= 4), "{:?}", Catalog::get().texts);
    }

    #[test]
    fn every_pattern_compiles() {
        for pattern in patterns() {
            assert_eq!(pattern.check(), Ok(()));
        }
    }

    #[test]
    fn the_groups_of_a_field_s_pattern_are_its_placeholders() {
        let catalog = Catalog::get();
        let fields = (0..catalog.sections.len()).flat_map(|at| &catalog.format(at).fields);
        let mut groups: BTreeMap<*const Pattern, (&Pattern, usize)> = BTreeMap::new();
        for field in fields {
            let pattern = field.pattern();
            let last = &mut groups.entry(pattern).or_insert((pattern, 0)).1;
            *last = field.group().max(*last);
        }
        for (pattern, last) in groups.values() {
            // Group 0 is the whole match.
            assert_eq!(pattern.groups(), last + 1, "{}", pattern.source());
        }
    }

    #[test]
    fn no_pattern_matches_a_text_without_what_it_requires() {
        let healthy = include_str!("../../../../fixtures/logs/healthy.txt");
        let examples: Vec<&str> = formats().map(|format| format.example.as_str()).chain([healthy]).collect();
        let mut matches = 0;
        for pattern in patterns() {
            let Some(texts) = required(pattern.source()) else { continue };
            let lacking = examples.iter().filter(|example| !texts.occur(example.as_bytes()));
            matches += examples.len();
            for example in lacking {
                matches -= 1;
                assert!(!pattern.is_match_compiled(example.as_bytes()), "{}: {example}", pattern.source());
            }
        }
        assert!(matches > 1000, "{matches} texts have what a pattern requires");
    }
}
