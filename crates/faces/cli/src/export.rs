//! `brimful export`: the files of other tools.

use std::path::Path;

use anyhow::Result;
use brimful_ask::{Outcome, export};

use crate::args::ExportArguments;
use crate::out::{HOST, note};
use crate::output::write;

/// Writes the file, or prints it.
///
/// # Errors
/// An input that cannot be read, or a file that cannot be written.
pub fn run(arguments: &ExportArguments) -> Result<Outcome> {
    let ExportArguments { input, format, output, device, keys } = arguments;
    let (content, notes) = export(HOST, input, *device, &keys.overrides(), (*format).into())?;
    notes.iter().for_each(|about| note(about));
    let path = output.as_deref().unwrap_or(Path::new("-"));
    write("--output", path, [input.as_str()], &content)?;
    Ok(Outcome::Well)
}
