//! The commands that the README and the help of `fit` show, run as they stand. Those of `rehearse` need PyTorch and have
//! tests of their own.

mod seen;

use std::fs::{self, File};
use std::io;
use std::path::Path;

use flate2::read::GzDecoder;
use seen::{ROOT, brimful, stderr, stdout};

/// The README's stand-ins, and files that are there.
const STAND_INS: &[(&str, &str)] = &[
    ("JOB…", "examples/qwen2.5-0.5b-amp-4090.toml"),
    ("JOB", "examples/qwen2.5-0.5b-amp-4090.toml"),
    ("train.log", "crates/faces/cli/tests/logs/train.log"),
    ("snapshot.pickle", "fixtures/snapshots/tiny/torch-2.15.pickle"),
    ("before.pickle", "fixtures/snapshots/tiny/torch-2.15.pickle"),
    ("after.pickle", "fixtures/snapshots/tiny/torch-2.15.pickle"),
    ("snapshots/", "fixtures/snapshots/tiny"),
];

/// Runs a line without its comment; it must answer, whatever the answer is.
fn run(line: &str, folder: &Path) {
    let line = line.trim().split("  ").next().unwrap_or_default();
    let file = folder.join("written").to_str().unwrap().to_owned();
    let named = |word: &str| match STAND_INS.iter().find(|pair| pair.0 == word) {
        Some((_, there)) => (*there).to_owned(),
        None if word == "MODEL.gguf" => unpacked_model(folder),
        None => word.replace("FILE", &file),
    };
    let mut words: Vec<String> = line.split(' ').skip(1).map(named).collect();
    // Without a file to write, the page would be opened in a browser.
    if words[0] == "open" {
        words.extend(["--output".to_owned(), file.clone()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = brimful(&words);
    // These two are about this machine, which may have no GPU: they then say what was looked for.
    let of_machine = ["top", "doctor"].contains(&words[0]);
    let no_gpu = of_machine && !(output.stdout.is_empty() && output.stderr.is_empty());
    let answered = matches!(output.status.code(), Some(0 | 1)) || (no_gpu && output.status.code() == Some(2));
    assert!(answered, "{line}: {}", stderr(&output));
}

/// The header of a model for llama.cpp, which is all that is read of its file.
fn unpacked_model(folder: &Path) -> String {
    let packed = File::open(format!("{ROOT}/fixtures/llama-cpp/headers/qwen3-4b.gguf.gz")).unwrap();
    let path = folder.join("model.gguf");
    io::copy(&mut GzDecoder::new(packed), &mut File::create(&path).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_command_of_the_readme_that_needs_no_pytorch_answers() {
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let lines = readme.split("```").skip(1).step_by(2).flat_map(str::lines);
    let (folder, mut count) = (tempfile::tempdir().unwrap(), 0);
    for line in lines.filter(|line| line.starts_with("brimful ") && !line.starts_with("brimful rehearse")) {
        run(line, folder.path());
        count += 1;
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn every_example_of_the_help_of_fit_answers() {
    let help = stdout(&brimful(&["fit", "--help"]));
    let (folder, mut count) = (tempfile::tempdir().unwrap(), 0);
    for line in help.lines().filter(|line| line.starts_with("  brimful ")) {
        run(line, folder.path());
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
