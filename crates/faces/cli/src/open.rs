//! `brimful open`: a run as one HTML page, or two runs beside each other.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use brimful_ask::{Outcome, name_of, page};

use crate::args::OpenArguments;
use crate::out::{HOST, note, print_document};
use crate::output::{is_stdout, private_place, write};

/// Writes the page, and shows it unless a file was named.
///
/// # Errors
/// An input that cannot be read, or a file that cannot be written.
pub fn run(arguments: &OpenArguments) -> Result<Outcome> {
    let OpenArguments { inputs, output, device, keys } = arguments;
    let page = page(HOST, inputs, *device, &keys.overrides())?;
    let path = match output {
        Some(path) => path.clone(),
        None => private_place(&inputs[0])?,
    };
    write("--output", &path, inputs.iter().map(String::as_str), page.as_bytes())?;
    if !is_stdout(&path) {
        print_document(&format!("{}\n", name_of(path.as_os_str())))?;
    }
    if output.is_none() {
        show(&path);
    }
    Ok(Outcome::Well)
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
        note(&format!("there is no {opener} here; open {} in a browser", name_of(path.as_os_str())));
    }
}
