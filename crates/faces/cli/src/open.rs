//! `brimful open`: a run as one HTML page, or two runs beside each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use brimful_ask::{Outcome, page};

use crate::args::OpenArguments;
use crate::out::{HOST, complain, print};

/// Writes the page, and shows it unless a file was named.
///
/// # Errors
/// An input that cannot be read, or a file that cannot be written.
pub fn run(arguments: &OpenArguments) -> Result<Outcome> {
    let OpenArguments { inputs, output, device, keys } = arguments;
    let page = page(HOST, inputs, *device, &keys.overrides())?;
    let path = output.clone().unwrap_or_else(|| beside(&inputs[0]));
    fs::write(&path, page).with_context(|| format!("--output {}", path.display()))?;
    print(&format!("{}\n", path.display()))?;
    if output.is_none() {
        show(&path);
    }
    Ok(Outcome::Well)
}

/// The page's name where none was given: in the folder for temporary files.
fn beside(input: &str) -> PathBuf {
    let name =
        Path::new(input).file_name().map_or("run".to_owned(), |name| name.to_string_lossy().into_owned());
    std::env::temp_dir().join(format!("{name}.brimful.html"))
}

/// Opens the page with the system's program for it.
fn show(path: &Path) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let started = Command::new(opener).arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if started.is_err() {
        complain(&format!("{opener} is not here; open {} in a browser", path.display()));
    }
}
