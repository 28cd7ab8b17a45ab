//! `brimful export`: the files of other tools.

use std::fs;

use anyhow::{Context, Result};
use brimful_ask::{Outcome, export};

use crate::args::ExportArguments;
use crate::out::{HOST, complain, print_bytes};

/// Writes the file, or prints it.
///
/// # Errors
/// An input that cannot be read, or a file that cannot be written.
pub fn run(arguments: &ExportArguments) -> Result<Outcome> {
    let ExportArguments { input, format, output, device, keys } = arguments;
    let (content, notes) = export(HOST, input, *device, &keys.overrides(), (*format).into())?;
    notes.iter().for_each(|note| complain(&format!("note: {note}")));
    match output {
        Some(path) => fs::write(path, content).with_context(|| format!("--output {}", path.display()))?,
        None => print_bytes(&content)?,
    }
    Ok(Outcome::Well)
}
