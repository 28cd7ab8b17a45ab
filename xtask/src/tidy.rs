//! Prose rules as tests: who may depend on whom, how large a file may be, what no source may hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What each crate may depend on among ours (DESIGN.md, ARCHITECTURE.md). `xtask` and the faces may all.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("brimful-units", &[]),
    ("brimful-trace", &["units"]),
    ("brimful-models", &["units"]),
    ("brimful-devices", &["units"]),
    ("brimful-jobs", &["units", "models", "devices"]),
    ("brimful-step", &["units", "trace", "models", "devices", "jobs"]),
    ("brimful-snapshot", &["units", "trace"]),
    ("brimful-replay", &["units", "trace"]),
    ("brimful-logs", &["units"]),
    ("brimful-virtual-gpu", &[]),
    ("brimful-rehearsal", &["units", "virtual-gpu"]),
    ("brimful-explain", &["units", "trace", "replay", "logs"]),
    ("brimful-plan", &["units", "trace", "models", "devices", "jobs", "step", "replay", "explain"]),
];
const FACES: [&str; 4] = ["brimful-report", "brimful-ask", "brimful", "xtask"];

/// Crates that may neither do I/O nor read a clock or the environment.
const PURE: [&str; 11] = [
    "base/units",
    "base/trace",
    "facts/models",
    "facts/devices",
    "facts/jobs",
    "sources/step",
    "sources/snapshot",
    "answers/logs",
    "engine/replay",
    "answers/explain",
    "answers/plan",
];
/// What a pure crate's source may not name.
const IMPURE: [&str; 5] = ["std::fs", "std::env", "std::net", "std::time::Instant", "SystemTime::now"];
/// Lines of a source file above which it is no longer one room.
const LONGEST_FILE: usize = 600;
/// Words that no source may hold.
const UNFINISHED: [&str; 4] = ["todo!(", "unimplemented!(", "FIXME", "XXX"];

/// Checks every rule and tells every breach.
pub fn run(root: &Path) -> Result<()> {
    let mut breaches = Vec::new();
    check_dependencies(root, &mut breaches)?;
    let mut sources = Vec::new();
    for folder in ["crates", "xtask"] {
        rust_files(&root.join(folder), &mut sources)?;
    }
    for path in &sources {
        check_source(root, path, &mut breaches)?;
    }
    check_documents(root, &mut breaches);
    if breaches.is_empty() {
        println!("tidy: {} source files, no breach", sources.len());
        return Ok(());
    }
    bail!("{} breaches:\n  {}", breaches.len(), breaches.join("\n  "));
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

fn check_dependencies(root: &Path, breaches: &mut Vec<String>) -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata's output")?;
    for package in &metadata.packages {
        if FACES.contains(&package.name.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|row| row.0 == package.name) else {
            breaches.push(format!("{}: not in the table of crates in xtask/src/tidy.rs", package.name));
            continue;
        };
        let ours =
            package.dependencies.iter().filter(|d| d.path.is_some() && d.kind.as_deref() != Some("dev"));
        for dependency in ours {
            let short = dependency.name.trim_start_matches("brimful-");
            if !allowed.contains(&short) {
                breaches.push(format!("{} depends on {}: not allowed", package.name, dependency.name));
            }
        }
    }
    Ok(())
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn check_source(root: &Path, path: &Path, breaches: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string().replace('\\', "/");
    let lines = text.lines().count();
    let generated = text.lines().take(3).any(|line| line.contains("Written by `cargo xtask"));
    if lines > LONGEST_FILE && !generated {
        breaches.push(format!("{name}: {lines} lines, more than {LONGEST_FILE}"));
    }
    if name != "xtask/src/tidy.rs" {
        let unfinished = UNFINISHED.iter().filter(|word| text.contains(*word));
        breaches.extend(unfinished.map(|word| format!("{name}: {word}")));
    }
    let pure = PURE.iter().any(|folder| name.starts_with(&format!("crates/{folder}/src/")));
    if pure {
        // Tests read fixtures.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let impure = IMPURE.iter().filter(|word| code.contains(*word));
        breaches.extend(impure.map(|word| format!("{name}: {word} in a crate without I/O")));
        if text.contains("unsafe ") {
            breaches.push(format!("{name}: unsafe"));
        }
    }
    Ok(())
}

/// Every crate is on the map.
fn check_documents(root: &Path, breaches: &mut Vec<String>) {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let names: BTreeSet<&str> =
        ALLOWED.iter().map(|row| row.0).chain(["brimful-report", "brimful-ask"]).collect();
    for name in names {
        if !map.contains(&format!("`{name}`")) {
            breaches.push(format!("ARCHITECTURE.md: {name} is not in the code map"));
        }
    }
}
