//! The facts of models beside transformers: `cargo xtask truth configs` and `cargo xtask truth catalogue`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use brimful_models::catalogue::{published_parameters, simulated};
use brimful_truth::{ConfigsHeader, config_difference, read_configs};
use serde::Deserialize;

use super::{Draw, recorder};

const SCRIPT: &str = "fixtures/models/configs.py";
const CONFIGS: &str = "fixtures/models/configs.jsonl";
const CATALOGUE: &str = "crates/facts/models/data/catalogue.jsonl";
/// A file in a temporary folder, for what the script writes.
const ROWS: &str = "rows.jsonl";

/// Draws random keys of config.json, and compares what transformers and brimful make of them.
///
/// # Errors
/// A script that fails, or configs that differ.
pub fn configs(root: &Path, asked: &Draw) -> Result<()> {
    ensure!(asked.families.is_empty(), "configs are drawn of all families; leave --family out");
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let rows = folder.path().join(ROWS);
    let (seed, count) = (asked.seed.to_string(), asked.count.to_string());
    call(root, &["draw", &seed, &count, &rows.to_string_lossy()])?;
    let (_, cases) = read_configs(&rows)?;
    let accepted = cases.iter().filter(|case| case.real.get("error").is_none()).count();
    let differences: Vec<String> = cases.iter().filter_map(config_difference).collect();
    differences.iter().for_each(|text| println!("{text}"));
    println!(
        "{} drawn; transformers takes {accepted}; {} equal",
        cases.len(),
        cases.len() - differences.len()
    );
    if asked.keep {
        let (header, known) = read_configs(&root.join(CONFIGS))?;
        let header = ConfigsHeader { cases: known.len() + cases.len(), ..header };
        let mut text = serde_json::to_string(&header)?;
        for case in known.iter().chain(&cases) {
            write!(text, "\n{}", serde_json::to_string(case)?)?;
        }
        fs::write(root.join(CONFIGS), text + "\n").context(CONFIGS)?;
    }
    ensure!(differences.is_empty(), "{} of {} differ", differences.len(), cases.len());
    Ok(())
}

/// One line that the script writes for a published model.
#[derive(Deserialize)]
struct Count {
    name: String,
    params: u64,
}

/// Builds every published model of the catalogue that is simulated on the meta device, and compares the count of parameters.
///
/// # Errors
/// A script that fails, a model without a count, or counts that differ.
pub fn catalogue(root: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let rows = folder.path().join(ROWS);
    call(root, &["count", CATALOGUE, &rows.to_string_lossy()])?;
    let text = fs::read_to_string(&rows).context(SCRIPT)?;
    let counts: BTreeMap<String, u64> = text
        .lines()
        .map(|line| serde_json::from_str(line).map(|Count { name, params }| (name, params)))
        .collect::<Result<_, _>>()?;
    let differing: Vec<String> = simulated()
        .filter(|name| published_parameters(name) != counts.get(*name).copied())
        .map(|name| {
            format!(
                "{name}: the catalogue has {:?}, the class {:?}",
                published_parameters(name),
                counts.get(name)
            )
        })
        .collect();
    differing.iter().for_each(|text| println!("{text}"));
    println!("{} published models are built; {} differ", counts.len(), differing.len());
    ensure!(differing.is_empty(), "{} differ", differing.len());
    Ok(())
}

/// Runs the script with real PyTorch, which needs CUDA's libraries to be imported and so a rehearsal.
fn call(root: &Path, arguments: &[&str]) -> Result<()> {
    let recorder = recorder(root, false)?;
    let mut command = Command::new(&recorder.brimful);
    let folder = tempfile::tempdir().context("a temporary folder")?;
    command
        .args(["rehearse", "--json", "--gpu", "a100-sxm-80gb", "--output"])
        .arg(folder.path().join("run.zip"));
    command.arg("--").arg(&recorder.python).arg(SCRIPT).args(arguments).current_dir(root);
    let output = command.stdout(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{SCRIPT}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
