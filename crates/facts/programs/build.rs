//! Compresses the program files, and writes a table of them: of those that are proven, unless all are asked for.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::DeflateEncoder};

const FOLDER: &str = "data";
const PROVEN: &str = "data/proven.txt";

fn main() {
    println!("cargo::rerun-if-changed={FOLDER}");
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let all = std::env::var_os("CARGO_FEATURE_UNPROVEN").is_some();
    let proven = fs::read_to_string(PROVEN).expect("data/proven.txt is a part of this crate");
    let mut table = String::from("&[\n");
    for file in programs() {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("names of programs are text");
        let header = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or("").trim();
        let (model_type, task, class) = (header("model_type "), header("task "), header("class "));
        if !all && !is_proven(&proven, model_type, task) {
            continue;
        }
        let packed = out.join(format!("{name}.deflate"));
        fs::write(&packed, compressed(&text)).expect("OUT_DIR can be written");
        writeln!(table, "    ({model_type:?}, {task:?}, {class:?}, include_bytes!({packed:?})),")
            .expect("a String takes text");
    }
    table.push(']');
    fs::write(out.join("shipped.rs"), table).expect("OUT_DIR can be written");
}

/// Whether the list names a type and a task; a line without a task speaks of causal language models.
fn is_proven(list: &str, model_type: &str, task: &str) -> bool {
    list.lines()
        .map(|line| line.trim().split_once(' ').unwrap_or((line.trim(), "causal-lm")))
        .any(|row| row == (model_type, task))
}

/// Every program file, in the order of their names.
fn programs() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in entries(Path::new(FOLDER)).iter().filter(|path| path.is_dir()) {
        files.extend(
            entries(folder).into_iter().filter(|path| path.extension().is_some_and(|it| it == "program")),
        );
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(read) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).expect("a Vec takes bytes");
    encoder.finish().expect("a Vec takes bytes")
}
