//! With the feature `device`, this writes a stub for each function in `data/symbols.tsv` that the sources do not define.
//! With the feature `library`, it builds this crate a second time, as the library that is loaded into programs. A launcher
//! then carries it inside itself, since cargo hands no crate the dynamic library of another.

#[path = "build/defined.rs"]
mod defined;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    for input in ["build.rs", "build", "Cargo.toml", "data/symbols.tsv", "src"] {
        println!("cargo::rerun-if-changed={input}");
    }
    if env::var_os("CARGO_FEATURE_DEVICE").is_some() {
        write_unmodelled();
    }
    if env::var_os("CARGO_FEATURE_LIBRARY").is_some() {
        let built =
            if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") { build_library() } else { empty() };
        println!("cargo::rustc-env=BRIMFUL_VIRTUAL_GPU={}", built.display());
    }
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR"))
}

/// The library for platforms on which no program can be given a virtual GPU.
fn empty() -> PathBuf {
    let path = out_dir().join("empty");
    fs::write(&path, []).expect("OUT_DIR can be written");
    path
}

/// Builds the library by one call of rustc and none of cargo: the crate has no dependency, and a cargo within cargo would
/// look for a workspace, a lock file and the registry, which a packaged or vendored crate does not have.
fn build_library() -> PathBuf {
    write_unmodelled();
    let library = out_dir().join("libbrimful_virtual_gpu.so");
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args([
        "src/lib.rs",
        "--crate-name",
        "brimful_virtual_gpu",
        "--crate-type",
        "cdylib",
        "--edition",
        "2024",
    ]);
    rustc.args(["--cfg", "feature=\"device\"", "--target", &env::var("TARGET").expect("TARGET")]);
    // The library is as fast in a debug build: it is loaded into programs that run for minutes.
    rustc.args(["-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols", "--cap-lints", "allow"]);
    // Cargo resolves the linker of the target for build scripts; a cross build's links against its own, older glibc.
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    rustc.arg("-o").arg(&library);
    let status = rustc.status().expect("rustc runs");
    assert!(status.success(), "the library of the virtual GPU does not build: {rustc:?}");
    library
}

fn write_unmodelled() {
    let mut modelled = HashSet::new();
    functions_of(Path::new("src/device"), &mut modelled);
    let table = fs::read_to_string("data/symbols.tsv").expect("data/symbols.tsv");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let mut text = String::new();
    for (number, row) in rows.enumerate() {
        let mut cells = row.split('\t');
        let name = cells.next().unwrap_or_default();
        if !modelled.contains(name) {
            write_function(&mut text, number, name, cells.nth(1).unwrap_or_default());
        }
    }
    fs::write(out_dir().join("unmodelled.rs"), text).expect("OUT_DIR can be written");
}

/// Adds the names of the functions that a folder's sources define for C.
fn functions_of(folder: &Path, names: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).expect("src/device").flatten() {
        let path = entry.path();
        if path.is_dir() {
            functions_of(&path, names);
        } else if let Ok(source) = fs::read_to_string(&path) {
            defined::functions(&source, names);
        }
    }
}

fn write_function(text: &mut String, number: usize, name: &str, parameters: &str) {
    let mut list = String::new();
    let mut writes = String::new();
    for (at, code) in parameters.chars().enumerate() {
        let kind = match code {
            'f' => "f32",
            'd' => "f64",
            _ => "usize",
        };
        let unused = if matches!(code, '4' | '8' | 'h') { "" } else { "_" };
        let _ = write!(list, "{unused}a{at}: {kind}, ");
        let value = match code {
            '4' => "0u32",
            '8' => "0u64",
            'h' => "new_handle()",
            _ => continue,
        };
        // SAFETY in the text: the table says what the function writes there.
        let _ = write!(writes, "unsafe {{ put(a{at}, {value}) }}; ");
    }
    let count = if name.starts_with("nccl") { "sent" } else { "called" };
    let _ = writeln!(
        text,
        "#[unsafe(no_mangle)] extern \"C\" fn {name}({list}) -> Status {{ {writes}{count}({number}) }}"
    );
}
