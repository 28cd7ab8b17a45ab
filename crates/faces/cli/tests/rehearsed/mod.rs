//! A rehearsal as a user sees it.

// Each test file uses a part of it.
#![allow(dead_code)]

#[path = "../left_out/mod.rs"]
pub mod left_out;
#[path = "../seen/mod.rs"]
pub mod seen;
pub mod torch;

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

// Each test file uses a part of it.
#[allow(unused_imports)]
pub use left_out::{current_test, left_out};

/// As much of PyTorch as a rehearsal touches.
pub const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/rehearsal/stand-in");

/// What a call answered.
pub struct Rehearsed {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The run file.
    pub file: PathBuf,
    /// The folder of the script and of the run file.
    pub folder: TempDir,
}

impl Rehearsed {
    pub fn of(output: Output, folder: TempDir, file: PathBuf) -> Rehearsed {
        seen::assert_follows_schema(&output.stdout);
        Rehearsed {
            code: output.status.code().expect("brimful is not ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            file,
            folder,
        }
    }

    /// The answer, which is all that there is on the standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }
}

/// The command, with variables of its own.
pub fn brimful(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brimful"));
    // Answers are compared line by line, as a wide terminal shows them.
    command.env("COLUMNS", "500").env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    command.args(arguments).env("PYTHONPATH", STAND_IN).envs(variables.iter().copied());
    command
}

/// A call without a rehearsal.
pub fn call(arguments: &[&str]) -> Rehearsed {
    let folder = tempfile::tempdir().unwrap();
    Rehearsed::of(brimful(arguments, &[]).output().unwrap(), folder, PathBuf::new())
}

/// A script in a folder of its own.
pub fn script(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.py");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Rehearses a script of Python with the stand-in; `None` where there is no Python.
pub fn rehearse(name: &str, text: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Option<Rehearsed> {
    if is_left_out() {
        return None;
    }
    let (folder, path) = script(text);
    let file = folder.path().join(format!("{name}.zip"));
    let mut command = brimful(&["rehearse", "--output", file.to_str().unwrap()], variables);
    command.args(arguments).args(["--", "python3", path.to_str().unwrap()]);
    Some(Rehearsed::of(command.output().unwrap(), folder, file))
}

/// Whether there is no Python to rehearse with.
pub fn is_left_out() -> bool {
    let missing = Command::new("python3").arg("--version").output().is_err();
    if missing {
        left_out(&current_test(), "there is no python3");
    }
    missing
}
