//! Calls of `brimful rehearse` that cannot be answered: each says what is missing and how to get it.

#![cfg(target_os = "linux")]

mod rehearsed;

use std::fs;
use std::process::Command;

use rehearsed::call;
use tempfile::TempDir;

/// A Python that says this of its torch.
///
/// A program that is open for writing anywhere cannot be started (ETXTBSY). If this process wrote it, a command that another
/// test starts at that moment would inherit the open file until it executes. So a process of its own writes it.
fn python(says: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("python3").display().to_string();
    let write = r#"printf '#!/bin/sh\ncat <<END\n%s\nEND\n' "$2" >"$1" && chmod 755 "$1""#;
    let written = Command::new("sh").args(["-c", write, "sh", &path, says]).status().unwrap();
    assert!(written.success());
    (folder, path)
}

#[test]
fn no_torch() {
    let (_folder, python) = python(r#"{"torch": null, "cuda": null, "hip": null}"#);
    let answer = call(&["rehearse", "--", &python, "train.py"]);
    assert_eq!(answer.code, 2);
    let install = format!("{python} -m pip install --no-deps torch\n");
    assert!(
        answer.stderr.contains("has no PyTorch") && answer.stderr.contains(&install),
        "{}",
        answer.stderr
    );
}

#[test]
fn torch_for_something_else() {
    for (says, built_for) in [
        (
            r#"{"torch": "2.15.0+cpu", "cuda": null, "hip": null}"#,
            "torch 2.15.0+cpu, which is built for the CPU",
        ),
        (r#"{"torch": "2.9.1+rocm6.4", "cuda": null, "hip": "6.4"}"#, "which is built for AMD GPUs"),
    ] {
        let (_folder, python) = python(says);
        let answer = call(&["rehearse", "--", &python, "train.py"]);
        assert_eq!(answer.code, 2);
        assert!(answer.stderr.contains(built_for), "{}", answer.stderr);
        assert!(answer.stderr.contains("--no-deps --force-reinstall"), "{}", answer.stderr);
    }
}

#[test]
fn a_program_that_is_not_there() {
    let answer = call(&["rehearse", "--", "no-such-program", "train.py"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("no-such-program cannot be started"), "{}", answer.stderr);
}

#[test]
fn a_command_without_torch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.zip").display().to_string();
    let answer = call(&["rehearse", "--output", &file, "--", "sh", "-c", "exit 3"]);
    assert_eq!(answer.code, 2);
    let said =
        "no process of the command imported torch, so nothing was rehearsed (it ended with exit status 3)";
    assert!(answer.stderr.contains(said), "{}", answer.stderr);
    assert!(!fs::exists(&file).unwrap());
}

#[test]
fn words_that_are_wrong() {
    for (arguments, said) in [
        (&["rehearse", "--gpu", "h1000", "--", "true"][..], "\"h1000\" is not a known GPU"),
        (&["rehearse", "--conf", "max_split_size_mb:x", "--", "true"], "max_split_size_mb"),
        (&["rehearse", "--gpu", "l4", "--capacity", "1GiB", "--", "true"], "cannot be used with"),
        (&["rehearse", "--time-limit", "soon", "--", "true"], "--time-limit"),
        (&["rehearse", "--search", "batch", "--", "true"], "--gpu"),
        (
            &["rehearse", "--gpu", "l4", "--search", "batch", "--", "true"],
            "neither the command nor --with has a {}",
        ),
        (&["rehearse", "--ranks", "0", "--", "true"], "--world-size"),
        (&["rehearse", "--synthetic", "ids", "--", "true"], "--synthetic ids: expected"),
        (&["rehearse"], "<COMMAND>"),
    ] {
        let answer = call(arguments);
        assert_eq!(answer.code, 2, "{arguments:?}");
        assert!(answer.stderr.contains(said), "{arguments:?}: {}", answer.stderr);
    }
}

#[test]
fn a_place_that_cannot_be_written() {
    let answer = call(&["rehearse", "--output", "/no/such/folder/run.zip", "--", "true"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("--output /no/such/folder/run.zip: "), "{}", answer.stderr);
}
