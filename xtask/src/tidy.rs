//! `cargo xtask tidy [--list]`: the rules of STYLE.md and ARCHITECTURE.md that a program can check.
//!
//! Each rule has a name, and each of its breaches names a file and an item in it. Breaches that are known and not yet mended
//! stand in `xtask/tidy-known.txt`; an entry there that no longer is a breach is a breach itself, so the list only shrinks.

mod circles;
mod code;
mod families;
mod invariants;
mod known;
mod lexer;
mod manifests;
mod map;
mod prose;
mod source;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::map::CodeMap;
use self::source::Source;

/// Crates whose modules do not import each other in a circle.
const WITHOUT_CIRCLES: [&str; 2] = ["crates/engine/replay", "crates/sources/snapshot"];
/// The list of breaches that are known and not yet mended.
const KNOWN: &str = "xtask/tidy-known.txt";
/// Folders that hold nothing of the project's own writing.
const SKIPPED: [&str; 4] = ["target", "node_modules", ".git", "seeds"];

/// A place where a rule is not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    /// The rule's name.
    rule: &'static str,
    /// The file, relative to the root of the repository.
    file: String,
    /// What in the file breaks the rule: a function, a word, a dependency.
    item: String,
    /// The line where one is known, counted from 1, and else 0.
    line: usize,
    /// What is wrong, and where it helps, what would be right.
    detail: String,
}

/// Checks every rule and prints every breach that is not on the list; with `--list`, prints all breaches in the form of
/// the list.
///
/// # Errors
/// A file that cannot be read or parsed, or a breach.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let (found, files) = breaches(root)?;
    match arguments {
        [] => {}
        [list] if list == "--list" => {
            print!("{}", known::list(&found));
            return Ok(());
        }
        _ => bail!("usage: cargo xtask tidy [--list]"),
    }
    let known_text = fs::read_to_string(root.join(KNOWN)).unwrap_or_default();
    let left = known::subtract(found, &known_text, KNOWN)?;
    if left.is_empty() {
        println!("tidy: {files} files, no breach, {} known", known::entries(&known_text).count());
        return Ok(());
    }
    let lines: Vec<String> = left.iter().map(Breach::to_string).collect();
    bail!("{} breaches:\n  {}", left.len(), lines.join("\n  "));
}

/// Every breach of every rule, in the order of rules and files, and how many files were read.
fn breaches(root: &Path) -> Result<(Vec<Breach>, usize)> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let architecture = read(root, map::FILE)?;
    let map = CodeMap::parse(&architecture);
    let private = words::private_words(&read(root, "STYLE.md")?);
    let sources = sources(root, &files)?;
    let mut found = manifests::check(root, &map, &sources)?;
    found.extend(invariants::check(&architecture, &sources));
    for source in &sources {
        found.extend(code::check(source, map.is_pure(&source.name)));
        found.extend(words::in_rust(source, &private));
    }
    found.extend(lengths(&map, &sources));
    for folder in WITHOUT_CIRCLES {
        found.extend(circles::check(folder, &sources));
    }
    for file in files.iter().filter(|file| prose::is_prose(file)) {
        let text = read(root, file)?;
        found.extend(words::in_prose(file, &text, &private));
        found.extend(families::check(file, &text));
    }
    found.sort();
    Ok((found, files.len()))
}

fn read(root: &Path, file: &str) -> Result<String> {
    fs::read_to_string(root.join(file)).with_context(|| file.to_owned())
}

fn sources(root: &Path, files: &[String]) -> Result<Vec<Source>> {
    let rust = files.iter().filter(|file| file.ends_with(".rs"));
    let folders = ["crates/", "truth/", "xtask/"];
    let ours = rust.filter(|file| folders.iter().any(|folder| file.starts_with(folder)));
    ours.map(|file| Source::parse(file, &read(root, file)?)).collect()
}

/// The rule of long functions, crate by crate.
fn lengths(map: &CodeMap, sources: &[Source]) -> Vec<Breach> {
    let mut by_crate: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test && !source.is_generated) {
        if let Some(folder) = map.folder_of(&source.name) {
            by_crate.entry(folder).or_default().extend(source.functions().iter().map(|f| f.lines()));
        }
    }
    by_crate.into_iter().filter_map(|(folder, lengths)| code::long_functions(folder, lengths)).collect()
}

/// The files of a folder as paths from the root with `/`, without links and without what is built or fetched.
fn collect(root: &Path, files: &mut Vec<String>) -> Result<()> {
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
                folders.push(path);
            } else if kind.is_file() {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                files.push(relative.display().to_string().replace('\\', "/"));
            }
        }
    }
    Ok(())
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Breach { rule, file, item, line, detail } = self;
        let place = if *line == 0 { file.clone() } else { format!("{file}:{line}") };
        write!(f, "{place}: {rule}: {item}: {detail}")
    }
}
