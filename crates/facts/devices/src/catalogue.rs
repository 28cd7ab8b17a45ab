//! The GPUs of `data/gpus.tsv`, searched line by line.

use brimful_units::{Bytes, nearest};

use crate::context::overhead;
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

/// The GPU with that id, name or alias, or the only one whose name has all of the given words.
pub(crate) fn find(asked: &str) -> Result<Gpu, GpuError> {
    let words = words(asked);
    let exact = rows().find(|row| row.names().any(|name| self::words(name) == words));
    let row = match exact {
        Some(row) => row,
        None => only_one_with(&words, asked)?,
    };
    if row.vendor != "NVIDIA" {
        return Err(GpuError::NotCuda { name: row.name.to_owned(), vendor: row.vendor.to_owned() });
    }
    row.gpu().ok_or_else(|| unknown(asked))
}

fn only_one_with(words: &[String], asked: &str) -> Result<Row<'static>, GpuError> {
    let holds = |row: &Row| {
        let known = self::words(row.id);
        !words.is_empty() && words.iter().all(|word| known.contains(word))
    };
    let found: Vec<Row> = rows().filter(holds).collect();
    match found.as_slice() {
        [] => Err(unknown(asked)),
        [row] => Ok(*row),
        many => {
            let candidates = many.iter().take(6).map(|row| row.id.to_owned()).collect();
            Err(GpuError::Ambiguous { asked: asked.to_owned(), candidates })
        }
    }
}

fn unknown(asked: &str) -> GpuError {
    let nearest = nearest(asked, rows().flat_map(Row::names)).map(str::to_owned);
    GpuError::Unknown { asked: asked.to_owned(), nearest }
}

/// Words that some spellings of a name have and others lack.
const NOISE: [&str; 8] = ["nvidia", "geforce", "tesla", "rtx", "gtx", "gpu", "generation", "amd"];

/// The name's words in one spelling: `NVIDIA A100-SXM4-80GB` and `a100-sxm-80gb` have the same.
fn words(name: &str) -> Vec<String> {
    let lower = name.to_ascii_lowercase();
    let mut words: Vec<String> = Vec::new();
    for word in lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        match (word, words.last_mut()) {
            ("gb", Some(size)) if size.bytes().all(|b| b.is_ascii_digit()) => size.push_str("gb"),
            ("sxm2" | "sxm4" | "sxm5", _) => words.push("sxm".to_owned()),
            (noise, _) if NOISE.contains(&noise) => {}
            _ => words.push(word.to_owned()),
        }
    }
    words
}
