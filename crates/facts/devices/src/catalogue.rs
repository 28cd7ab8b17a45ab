//! The GPUs of `data/gpus.tsv`, searched line by line.

use brimful_units::{Bytes, nearest};

use crate::context::overhead;
use crate::spelling::{Spelling, is_marketed_as, vocabulary};
use crate::{Basis, BasisKind, Gpu, GpuError};

const LINES: &str = include_str!("../data/gpus.tsv");

/// A line of the table, cut at its tabs.
#[derive(Clone, Copy)]
struct Row<'a> {
    id: &'a str,
    aliases: &'a str,
    name: &'a str,
    vendor: &'a str,
    compute_capability: &'a str,
    multiprocessors: &'a str,
    total: &'a str,
    basis: &'a str,
    margin: &'a str,
    source: &'a str,
}

fn rows() -> impl Iterator<Item = Row<'static>> {
    LINES.lines().filter(|line| !line.starts_with('#')).filter_map(Row::of)
}

/// The catalogue's ids.
pub fn ids() -> impl Iterator<Item = &'static str> {
    rows().map(|row| row.id)
}

/// A GPU of the catalogue as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The id, such as `h100-sxm-80gb`.
    pub id: &'static str,
    /// The name shown to people.
    pub name: &'static str,
    /// The vendor.
    pub vendor: &'static str,
    /// The figures of a GPU that runs CUDA; `None` for other vendors' GPUs.
    pub cuda: Option<Gpu>,
    /// The total that the driver reports; `None` if it is not known.
    pub total: Option<Bytes>,
}

/// The GPUs whose name has every word of the filter, in the order of the catalogue; an empty filter takes them all.
///
/// ```
/// let found = brimful_devices::catalogue::entries("4060 ti");
/// assert_eq!(found.len(), 2);
/// ```
pub fn entries(filter: &str) -> Vec<Entry> {
    let typed = Spelling::typed(filter, &vocabulary(rows().flat_map(Row::names)));
    let holds = |row: &Row| {
        let known: Vec<String> = row.names().flat_map(|name| Spelling::of(name).words).collect();
        let vendor = row.vendor.to_ascii_lowercase();
        let has =
            |word: &String| known.iter().any(|other| other.starts_with(word.as_str())) || vendor == *word;
        typed.words.iter().all(has) && row.may_have(typed.memory)
    };
    let entry = |row: Row<'static>| Entry {
        id: row.id,
        name: row.name,
        vendor: row.vendor,
        cuda: row.gpu().filter(|_| row.vendor == "NVIDIA"),
        total: row.total.parse().ok().map(Bytes::new),
    };
    rows().filter(holds).map(entry).collect()
}

/// The memory of the largest GPU of the catalogue, of a vendor or of all.
pub fn largest_total(vendor: Option<&str>) -> Option<Bytes> {
    let of_vendor = rows().filter(|row| vendor.is_none_or(|vendor| row.vendor == vendor));
    of_vendor.filter_map(|row| row.total.parse().ok()).max().map(Bytes::new)
}

/// The ids of the GPUs that run CUDA, for which a job can be predicted.
pub fn ids_with_cuda() -> impl Iterator<Item = &'static str> {
    rows().filter(|row| row.vendor == "NVIDIA" && row.gpu().is_some()).map(|row| row.id)
}

impl<'a> Row<'a> {
    fn of(line: &'a str) -> Option<Row<'a>> {
        let mut cells = line.split('\t');
        let mut next = || cells.next();
        Some(Row {
            id: next()?,
            aliases: next()?,
            name: next()?,
            vendor: next()?,
            compute_capability: next()?,
            multiprocessors: next()?,
            total: next()?,
            basis: next()?,
            margin: next()?,
            source: next()?,
        })
    }

    fn names(self) -> impl Iterator<Item = &'a str> {
        [self.id, self.name].into_iter().chain(self.aliases.split(',').filter(|alias| !alias.is_empty()))
    }

    /// The GPU, if it runs CUDA kernels.
    fn gpu(self) -> Option<Gpu> {
        let (major, minor) = self.compute_capability.split_once('.')?;
        let compute_capability = (major.parse().ok()?, minor.parse().ok()?);
        let total_basis = self.basis()?;
        let (context, context_basis) = overhead(compute_capability);
        Some(Gpu {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            total: Bytes::new(self.total.parse().ok()?),
            compute_capability,
            multiprocessors: self.multiprocessors.parse().ok()?,
            context,
            total_source: total_basis.source.clone(),
            context_source: context_basis.source.clone(),
            total_basis,
            context_basis,
            assumed: None,
        })
    }

    fn basis(self) -> Option<Basis> {
        let kind = if self.basis == "rule" { BasisKind::Rule } else { BasisKind::Calibrated };
        Some(Basis {
            kind,
            source: self.source.to_owned(),
            margin: Some(Bytes::new(self.margin.parse().ok()?)),
        })
    }
}

/// The GPU with that id, name or alias, or the only one whose id has all of the given words. A memory size beside the name
/// chooses among the variants of that name.
pub(crate) fn find(asked: &str) -> Result<Gpu, GpuError> {
    let typed = Spelling::typed(asked, &vocabulary(rows().flat_map(Row::names)));
    let row = match exact(&typed) {
        Some(row) => row,
        None => only_one_with(&typed, asked)?,
    };
    if row.vendor != "NVIDIA" {
        return Err(GpuError::NotCuda { name: row.name.to_owned(), vendor: row.vendor.to_owned() });
    }
    row.gpu().ok_or_else(|| unknown(asked))
}

/// The row of which a name is what was typed; else the row with that name but for the memory size, if it has that memory.
fn exact(typed: &Spelling) -> Option<Row<'static>> {
    if typed.words.is_empty() {
        return None;
    }
    let whole = rows().find(|row| row.names().any(|name| Spelling::of(name) == *typed));
    let without = || rows().find(|row| is_named(*row, typed) && row.may_have(typed.memory));
    whole.or_else(without)
}

/// Whether a name of the row has these words, whatever its memory.
fn is_named(row: Row, typed: &Spelling) -> bool {
    let mut names = row.names().map(Spelling::of);
    typed.memory.is_some() && names.any(|name| name.memory.is_none() && name.words == typed.words)
}

impl Row<'_> {
    /// Whether the row can be a card that is sold with this memory, in GB: its id says so, or its total is near.
    fn may_have(&self, memory: Option<u64>) -> bool {
        let Some(gigabytes) = memory else { return true };
        match Spelling::of(self.id).memory {
            Some(marketed) => marketed == gigabytes,
            None => self.total.parse().is_ok_and(|total| is_marketed_as(Bytes::new(total), gigabytes)),
        }
    }
}

fn only_one_with(typed: &Spelling, asked: &str) -> Result<Row<'static>, GpuError> {
    let holds = |row: &Row| {
        let known = Spelling::of(row.id).words;
        !typed.words.is_empty() && typed.words.iter().all(|word| known.contains(word))
    };
    let variants: Vec<Row> = rows().filter(holds).collect();
    // A name that is complete but for the memory has variants of its own: "4060 16gb" is no RTX 4060 Ti.
    let same: Vec<Row> =
        variants.iter().copied().filter(|row| Spelling::of(row.id).words == typed.words).collect();
    let variants = if same.is_empty() { variants } else { same };
    let right: Vec<Row> = variants.iter().copied().filter(|row| row.may_have(typed.memory)).collect();
    match (right.as_slice(), typed.memory) {
        ([row], _) => Ok(*row),
        ([], Some(gigabytes)) if !variants.is_empty() => Err(GpuError::OtherMemory {
            asked: asked.to_owned(),
            gigabytes,
            variants: variants.iter().take(CANDIDATES).map(Row::with_total).collect(),
        }),
        ([], _) => Err(unknown(asked)),
        (many, _) => {
            let candidates = many.iter().take(CANDIDATES).map(|row| row.id.to_owned()).collect();
            Err(GpuError::Ambiguous { asked: asked.to_owned(), candidates })
        }
    }
}

/// A message lists at most this many GPUs.
const CANDIDATES: usize = 6;

impl Row<'_> {
    /// The id and the memory, for a message.
    fn with_total(&self) -> String {
        let total = self.total.parse().map_or_else(|_| "unknown".to_owned(), |n| Bytes::new(n).to_string());
        format!("{} reports {total}", self.id)
    }
}

/// A name with another number in it is another GPU, and no misspelling: "2070" is not meant by "9070".
fn unknown(asked: &str) -> GpuError {
    let digits = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    let same_numbers = rows().flat_map(Row::names).filter(|name| digits(name) == digits(asked));
    let nearest = nearest(asked, same_numbers).map(str::to_owned);
    GpuError::Unknown { asked: asked.to_owned(), nearest }
}
