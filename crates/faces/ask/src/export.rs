//! A run as the file of another tool.

use anyhow::Result;
use brimful_explain::{TracedRun, holders};
use brimful_jobs::Overrides;
use brimful_report::{collapsed, dhat, perfetto, speedscope};

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
        ExportFormat::Parquet => rows(run)?,
    };
    Ok((content, opened.notes))
}

#[cfg(feature = "parquet")]
fn rows(run: TracedRun<'_>) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    brimful_report::parquet(run.trace, &brimful_explain::purposes(run), &mut content)?;
    Ok(content)
}

/// The writer is left out of a build by default.
#[cfg(not(feature = "parquet"))]
fn rows(_: TracedRun<'_>) -> Result<Vec<u8>> {
    anyhow::bail!(
        "--format parquet: this brimful was built without it; a released binary has it, and so has \
         cargo install --locked --path crates/faces/cli --features parquet"
    )
}
