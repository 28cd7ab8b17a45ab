//! `brimful export`: the files of other tools.

use std::fs;

use anyhow::{Context, Result};
use brimful_explain::holders;
use brimful_report::{collapsed, perfetto, speedscope};

use crate::args::{ExportArguments, ExportFormat};
use crate::out::{Outcome, complain, print};
use crate::runs::open_run;

/// Writes the file, or prints it.
///
/// # Errors
/// An input that cannot be read, or a file that cannot be written.
pub fn run(arguments: &ExportArguments) -> Result<Outcome> {
    let opened = open_run(&arguments.input, arguments.device, &arguments.keys.overrides())?;
    let run = opened.run();
    let text = match arguments.format {
        ExportFormat::Collapsed => collapsed(&holders(run).1, run.is_predicted()),
        ExportFormat::Speedscope => speedscope(&arguments.input, &holders(run).1, run.is_predicted()) + "\n",
        ExportFormat::Perfetto => perfetto(run.trace) + "\n",
    };
    opened.notes.iter().for_each(|note| complain(&format!("note: {note}")));
    match &arguments.output {
        Some(path) => fs::write(path, text).with_context(|| format!("--output {}", path.display()))?,
        None => print(&text)?,
    }
    Ok(Outcome::Well)
}
