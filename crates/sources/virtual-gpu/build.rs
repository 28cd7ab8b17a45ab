//! Writes the functions that nothing models, from `data/symbols.tsv` less what the sources define.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=data/symbols.tsv");
    println!("cargo::rerun-if-changed=src");
    if env::var_os("CARGO_FEATURE_DEVICE").is_none() {
        return;
    }
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
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR"));
    fs::write(out.join("unmodelled.rs"), text).expect("OUT_DIR can be written");
}

/// Names of functions that a folder's sources define or hand to a macro.
fn functions_of(folder: &Path, names: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).expect("src/device").flatten() {
        let path = entry.path();
        if path.is_dir() {
            functions_of(&path, names);
        } else if let Ok(source) = fs::read_to_string(&path) {
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
            names.extend(words.filter(|word| word.starts_with(['c', 'n', '_'])).map(str::to_owned));
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
    let _ = writeln!(text, "#[unsafe(no_mangle)] extern \"C\" fn {name}({list}) -> Status {{ {writes}called({number}) }}");
}
