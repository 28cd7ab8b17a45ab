//! `brimful completions` and `brimful man`: bash runs the script, `man`'s pages are read as text.

use std::fs;
use std::process::Command;

mod seen;

/// What bash offers for the last of these words.
#[cfg(unix)]
fn offered(words: &[&str]) -> Vec<String> {
    let script = r#"
        source <("$1" completions bash); shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _brimful brimful "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash", env!("CARGO_BIN_EXE_brimful")])
        .args(words)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn bash_offers_commands_and_none_that_is_hidden() {
    assert_eq!(offered(&["brimful", "fi"]), ["fit"]);
    let all = offered(&["brimful", ""]);
    assert!(all.contains(&"rehearse".to_owned()) && all.contains(&"completions".to_owned()), "{all:?}");
    assert!(!all.contains(&"nvidia-smi".to_owned()) && !all.contains(&"man".to_owned()), "{all:?}");
}

#[cfg(unix)]
#[test]
fn bash_offers_flags_keys_of_the_job_and_possible_values() {
    assert_eq!(offered(&["brimful", "fit", "--tech"]), ["--techniques"]);
    assert_eq!(offered(&["brimful", "fit", "--no-such"]), [""]);
    assert_eq!(offered(&["brimful", "fit", "--qlo"]), [""]);
    assert_eq!(offered(&["brimful", "fit", "--checkp"]), ["--checkpointing"]);
    assert_eq!(offered(&["brimful", "fit", "--max", ""]), ["batch", "sequence"]);
    assert_eq!(offered(&["brimful", "export", "--format", "spe"]), ["speedscope"]);
    assert_eq!(offered(&["brimful", "completions", "po"]), ["powershell"]);
}

#[test]
fn every_shell_has_a_script_that_names_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = seen::seen(&["completions", shell]);
        assert!(script.starts_with("exit 0"), "{shell}");
        for word in [
            "fit",
            "replay",
            "explain",
            "rehearse",
            "diff",
            "ranks",
            "open",
            "export",
            "techniques",
            "gpus",
            "models",
            "top",
            "doctor",
        ] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        assert!(!script.contains("nvidia-smi"), "{shell} offers what is hidden");
    }
}

#[test]
fn each_visible_command_has_a_man_page_with_its_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    assert_eq!(seen::seen(&["man", path.to_str().unwrap()]), "exit 0\n--- stdout\n--- stderr\n");
    let mut pages: Vec<String> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    let expected = [
        "completions",
        "diff",
        "doctor",
        "explain",
        "export",
        "fit",
        "gpus",
        "models",
        "open",
        "ranks",
        "rehearse",
        "replay",
        "top",
    ];
    let expected = expected.map(|command| format!("brimful-{command}.1"));
    assert_eq!(pages[..expected.len()], expected);
    assert_eq!(pages[expected.len()..], ["brimful.1"]);
    let fit = fs::read_to_string(path.join("brimful-fit.1")).unwrap();
    assert!(fit.contains("Exit status: 0 every job fits") && fit.contains("\\-\\-techniques"), "{fit}");
}
