//! Rehearsals with real PyTorch.

use std::process::Command;

use super::{Rehearsed, current_test, left_out, script};

/// The interpreter that `BRIMFUL_TORCH_PYTHON` names; `None` where there is none to use.
pub fn python() -> Option<String> {
    let python = std::env::var("BRIMFUL_TORCH_PYTHON").ok();
    if python.is_none() {
        left_out(&current_test(), "BRIMFUL_TORCH_PYTHON is not set (cargo xtask test --torch sets it)");
    }
    python
}

/// Rehearses a command; the answer is JSON.
pub fn rehearse(arguments: &[&str], command: &[&str]) -> Rehearsed {
    run(&[&["--json"], arguments].concat(), command)
}

/// Rehearses a command.
pub fn run(arguments: &[&str], command: &[&str]) -> Rehearsed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.zip");
    let mut brimful = Command::new(env!("CARGO_BIN_EXE_brimful"));
    // Answers for people are compared line by line, as a wide terminal shows them.
    brimful.env("COLUMNS", "500").args(["rehearse", "--output", file.to_str().unwrap()]);
    brimful.args(arguments).arg("--").args(command);
    Rehearsed::of(brimful.output().unwrap(), folder, file)
}

/// Rehearses a script; the answer is JSON. `None` where there is no PyTorch.
pub fn rehearse_script(arguments: &[&str], text: &str) -> Option<Rehearsed> {
    let python = python()?;
    let (_folder, path) = script(text);
    Some(rehearse(arguments, &[&python, path.to_str().unwrap()]))
}
