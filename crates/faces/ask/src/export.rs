//! A run as the file of another tool.

use anyhow::Result;
use brimful_explain::{holders, purposes};
use brimful_jobs::Overrides;
use brimful_report::{collapsed, dhat, parquet, perfetto, speedscope};

use crate::Host;
use crate::run::open_run;

/// A file format of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// The memory at the peak as collapsed stacks (flamegraph.pl, inferno).
    Collapsed,
    /// The memory at the peak as a flame graph (speedscope.app).
    Speedscope,
    /// Memory over time, and phases (ui.perfetto.dev).
    Perfetto,
    /// A heap profile (Firefox Profiler, DHAT's viewer).
    Dhat,
    /// Events as rows (DuckDB, Spark, Ray).
    Parquet,
}

/// The file's bytes, and what to know about the run.
///
/// # Errors
/// An input that cannot be read, with its name.
pub fn export(
    host: Host<'_>,
    input: &str,
    device: Option<usize>,
    changes: &Overrides,
    format: ExportFormat,
) -> Result<(Vec<u8>, Vec<String>)> {
    let opened = open_run(host, input, device, changes)?;
    let run = opened.run();
    let line = |text: String| (text + "\n").into_bytes();
    let content = match format {
        ExportFormat::Collapsed => collapsed(&holders(run).1, run.is_predicted()).into_bytes(),
        ExportFormat::Speedscope => line(speedscope(input, &holders(run).1, run.is_predicted())),
        ExportFormat::Perfetto => line(perfetto(run.trace)),
        ExportFormat::Dhat => line(dhat(input, run)),
        ExportFormat::Parquet => {
            let mut content = Vec::new();
            parquet(run.trace, &purposes(run), &mut content)?;
            content
        }
    };
    Ok((content, opened.notes))
}
