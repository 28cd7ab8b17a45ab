//! Writes `schemas/*.schema.json` of the answers from their types.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// The test that compares the files with the types; with the variable set it writes them first. The types are reached
/// through a test, so that the other chores build without the whole of brimful.
const TEST: &str = "the_committed_schemas_are_those_of_the_types";

/// Runs the test so that it writes the files.
///
/// # Errors
/// A build that fails, or a file that cannot be written.
pub fn run(root: &Path) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--package", "brimful", "--test", "schemas", TEST]);
    let status = cargo.env("BRIMFUL_WRITE_SCHEMAS", "1").current_dir(root).status()?;
    ensure!(status.success(), "the schemas were not written: {status}");
    Ok(())
}
