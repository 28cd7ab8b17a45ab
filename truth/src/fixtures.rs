//! `fixtures/step`: one gzipped file of JSON lines for each family. The first line says what was recorded, with which
//! versions and when; each other line is a [`Case`].

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

use crate::Case;

/// What PyTorch saw of a GPU that cases ran on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The GPU's name in a job.
    pub gpu: String,
    /// The compute capability.
    pub capability: String,
    /// The number of streaming multiprocessors.
    pub multiprocessors: u32,
    /// The total memory in bytes.
    pub total_memory: u64,
    /// The version of cuDNN.
    pub cudnn: String,
}

/// The first line of a family's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The `model_type` of all cases.
    pub family: String,
    /// How many cases follow: a file that was cut off is noticed.
    pub cases: usize,
    /// The day of the recording.
    pub date: String,
    /// The version of each library.
    pub versions: std::collections::BTreeMap<String, String>,
    /// The GPUs.
    pub devices: Vec<Device>,
}

/// A family's file.
#[derive(Clone, Debug)]
pub struct Family {
    /// What was recorded.
    pub header: Header,
    /// The recorded runs.
    pub cases: Vec<Case>,
}

/// The environment variable that narrows tests to cases whose name, `FAMILY/CASE`, holds its text.
pub const FILTER: &str = "BRIMFUL_CASE";

fn folder(root: &Path) -> PathBuf {
    root.join("fixtures/step")
}

fn path(root: &Path, family: &str) -> PathBuf {
    folder(root).join(format!("{family}.jsonl.gz"))
}

/// The families that have a file, in the order of their names.
///
/// # Errors
/// A folder that cannot be read.
pub fn names(root: &Path) -> Result<Vec<String>> {
    let folder = folder(root);
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".jsonl.gz").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Reads a family's file.
///
/// # Errors
/// A file that is not there, is cut off, or has a line that is no case.
pub fn read(root: &Path, family: &str) -> Result<Family> {
    let path = path(root, family);
    let named = || path.display().to_string();
    let file = File::open(&path).with_context(named)?;
    let mut lines = BufReader::new(GzDecoder::new(file)).lines();
    let first = lines.next().context("the file is empty").with_context(named)??;
    let header: Header = serde_json::from_str(&first).with_context(named)?;
    let mut cases = Vec::with_capacity(header.cases);
    for (at, line) in lines.enumerate() {
        let case: Case = serde_json::from_str(&line?).with_context(|| format!("{}:{}", named(), at + 2))?;
        cases.push(case);
    }
    ensure!(
        cases.len() == header.cases,
        "{}: the first line says {} cases, the file holds {}",
        named(),
        header.cases,
        cases.len()
    );
    Ok(Family { header, cases })
}

/// Writes a family's file; the same cases give the same bytes.
///
/// # Errors
/// A file that cannot be written.
pub fn write(root: &Path, family: &Family) -> Result<()> {
    let path = path(root, &family.header.family);
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    // Without a time of modification in the header.
    let mut packed = GzBuilder::new().mtime(0).write(file, Compression::best());
    let header = Header { cases: family.cases.len(), ..family.header.clone() };
    writeln!(packed, "{}", serde_json::to_string(&header)?)?;
    for case in &family.cases {
        writeln!(packed, "{}", serde_json::to_string(case)?)?;
    }
    packed.finish()?;
    Ok(())
}

/// All cases of all families whose name, `FAMILY/CASE`, holds one of the texts; all of them without a text.
///
/// # Errors
/// A file that cannot be read, or texts that no case has.
pub fn select(root: &Path, filters: &[String]) -> Result<Vec<Case>> {
    let mut found = Vec::new();
    for family in names(root)? {
        let cases = read(root, &family)?.cases.into_iter();
        found.extend(cases.filter(|case| {
            let name = format!("{family}/{}", case.id);
            filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
        }));
    }
    ensure!(
        !found.is_empty(),
        "no recorded case has {} in its name; see `cargo xtask truth list`",
        filters.join(" or ")
    );
    Ok(found)
}

/// The cases that a test looks at: all, or those that [`FILTER`] names.
///
/// # Errors
/// As [`select`].
pub fn for_tests(root: &Path) -> Result<Vec<Case>> {
    let filter = std::env::var(FILTER).ok().filter(|filter| !filter.is_empty());
    select(root, &Vec::from_iter(filter))
}
