//! Lists the files of the hook, so that none can be forgotten: `HOOK` holds each with its path below `hook/`.

use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let hook = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("hook");
    let mut files = vec![hook.join("sitecustomize.py")];
    add_sources(&hook.join("brimful_rehearsal"), &mut files)?;
    // The order of a folder's entries is the file system's.
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&hook).unwrap_or(file);
        list +=
            &format!("({:?}, include_str!({:?})),\n", name.display().to_string(), file.display().to_string());
    }
    list += "]\n";
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("hook.rs"), list)
}

/// Adds the Python files of a folder and of those in it. Cargo runs this script again if one comes or goes.
fn add_sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("__pycache__") {
            add_sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
    }
    Ok(())
}
