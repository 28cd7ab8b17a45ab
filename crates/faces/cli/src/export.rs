//! `brimful export`: the files of other tools.

use std::fs;

use anyhow::{Context, Result};
use brimful_explain::{holders, purposes};
use brimful_report::{collapsed, dhat, parquet, perfetto, speedscope};

use crate::args::{ExportArguments, ExportFormat};
use crate::out::{Outcome, complain, print_bytes};
use crate::runs::open_run;

/// Writes the file, or prints it.
///
/// # Errors
/// An input that cannot be read, or a file that cannot be written.
pub fn run(arguments: &ExportArguments) -> Result<Outcome> {
    let opened = open_run(&arguments.input, arguments.device, &arguments.keys.overrides())?;
    let run = opened.run();
    let content = match arguments.format {
        ExportFormat::Collapsed => collapsed(&holders(run).1, run.is_predicted()).into_bytes(),
        ExportFormat::Speedscope => {
            (speedscope(&arguments.input, &holders(run).1, run.is_predicted()) + "\n").into_bytes()
        }
        ExportFormat::Perfetto => (perfetto(run.trace) + "\n").into_bytes(),
        ExportFormat::Dhat => (dhat(&arguments.input, run) + "\n").into_bytes(),
        ExportFormat::Parquet => {
            let mut content = Vec::new();
            parquet(run.trace, &purposes(run), &mut content)?;
            content
        }
    };
    opened.notes.iter().for_each(|note| complain(&format!("note: {note}")));
    match &arguments.output {
        Some(path) => fs::write(path, content).with_context(|| format!("--output {}", path.display()))?,
        None => print_bytes(&content)?,
    }
    Ok(Outcome::Well)
}
