//! `cargo xtask test [--torch]`: every test; with `--torch` those, too, that rehearse with the real PyTorch.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// What is installed, without dependencies and so without NVIDIA's packages.
const REQUIREMENTS: &str = "fixtures/rehearsal/requirements.txt";

/// Runs the tests.
///
/// # Errors
/// An argument that is not known, or tests that fail.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let torch = match arguments {
        [] => Err(anyhow!("`cargo xtask test --torch` installs PyTorch and runs them")),
        [torch] if torch == "--torch" => torch_in(root).context("no PyTorch can be had here"),
        _ => bail!("usage: cargo xtask test [--torch]"),
    };
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--workspace"]).current_dir(root);
    if let Ok(python) = &torch {
        tests.env("BRIMFUL_TORCH_PYTHON", python);
    }
    ensure!(tests.status().context("cargo")?.success(), "tests failed");
    if let Err(why) = torch {
        eprintln!("all passed; rehearsals with the real PyTorch were left out: {why:#}");
    }
    Ok(())
}

/// The interpreter of an environment with PyTorch, which is made where it is not there as the requirements are now.
fn torch_in(root: &Path) -> Result<PathBuf> {
    let wanted = std::fs::read_to_string(root.join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let folder = root.join("target/torch");
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    call(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let install =
        ["-m", "pip", "install", "--quiet", "--retries", "2", "--no-deps", "--requirement", REQUIREMENTS];
    call(Command::new(&python).args(install).current_dir(root))?;
    std::fs::write(installed, wanted)?;
    Ok(python)
}

fn call(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
