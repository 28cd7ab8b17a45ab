//! What was typed.

use std::path::PathBuf;

use brimful_plan::Dimension;
use brimful_units::Bytes;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::job_flags::JobFlags;

/// GPU memory for machine learning: will it fit, what fills it, what would change it.
#[derive(Parser)]
#[command(name = "brimful", version, max_term_width = 110)]
pub struct Arguments {
    /// What is asked.
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Will it fit? The peak memory of a training step or of generation, to the byte, without a GPU.
    ///
    /// Exit status: 0 every job fits (or names no GPU), 1 a job does not fit, 2 a job or the call is wrong.
    Fit(FitArguments),
    /// Would another allocator setting or GPU have held it? The requests of a snapshot or of a predicted trace under other
    /// conditions.
    ///
    /// Exit status: 0 every request is served, 1 a request fails, 2 an input or the call is wrong.
    Replay(ReplayArguments),
    /// Why did it die, and what filled memory? Of a log: the memory failure in it, its cause, and what to change. Of a
    /// PyTorch memory snapshot: what filled memory, what is stranded, what leaks, and why a request failed.
    ///
    /// Exit status: 0 nothing was found, 1 a failure or a leak was found, 2 an input or the call is wrong.
    Explain(ExplainArguments),
    /// What changed between two runs? Two snapshots, traces or jobs, each at its peak: by ledger, by purpose, by place.
    ///
    /// Exit status: 0 they are the same at the peak, 1 they differ, 2 an input or the call is wrong.
    Diff(DiffArguments),
    /// Many ranks of one job: a table of their peaks, the fullest first, and those that are unlike the others.
    ///
    /// Exit status: 0 all is well, 1 a request failed or a rank is unlike the others, 2 an input or the call is wrong.
    Ranks(RanksArguments),
    /// Show a run as one HTML page: memory over time, who holds it, segments, a flame graph of the peak. No network.
    Open(OpenArguments),
    /// A run as the file of another tool: collapsed stacks, speedscope, Firefox Profiler, Perfetto, Parquet.
    Export(ExportArguments),
}

#[derive(Args)]
pub struct RanksArguments {
    /// PyTorch memory snapshots, or folders with them.
    #[arg(required = true, value_name = "FOLDER|SNAPSHOT")]
    pub inputs: Vec<String>,
    /// The GPU of each snapshot, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct OpenArguments {
    /// A PyTorch memory snapshot, a trace of `brimful fit --trace`, a job file, or a model known by name.
    #[arg(value_name = "RUN")]
    pub input: String,
    /// The page to write; without it, a temporary one is opened in the browser.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The GPU of the snapshot, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Keys of the job that were typed as flags.
    #[command(flatten)]
    pub keys: JobFlags,
}

#[derive(Args)]
pub struct ExportArguments {
    /// A PyTorch memory snapshot, a trace of `brimful fit --trace`, a job file, or a model known by name.
    #[arg(value_name = "RUN")]
    pub input: String,
    /// The file's format.
    #[arg(long, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// The file to write; the standard output where none is given.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The GPU of the snapshot, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Keys of the job that were typed as flags.
    #[command(flatten)]
    pub keys: JobFlags,
}

#[derive(Clone, Copy, ValueEnum)]
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

#[derive(Args)]
pub struct DiffArguments {
    /// A PyTorch memory snapshot, a trace of `brimful fit --trace`, a job file, or a model known by name.
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// What it is compared with.
    #[arg(value_name = "AFTER")]
    pub after: String,
    /// The GPU of the snapshots, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Keys of the jobs that were typed as flags.
    #[command(flatten)]
    pub keys: JobFlags,
}

#[derive(Args)]
pub struct ReplayArguments {
    /// PyTorch memory snapshots (pickle or JSON, also gzipped), or traces of `brimful fit --trace`.
    #[arg(required = true, value_name = "SNAPSHOT|TRACE")]
    pub inputs: Vec<String>,
    /// PYTORCH_CUDA_ALLOC_CONF, such as expandable_segments:True; the recorded one where none is given.
    #[arg(long, value_name = "CONF")]
    pub conf: Option<String>,
    /// What the device gives PyTorch, such as "12 GiB"; without an end where none is given.
    #[arg(long, value_name = "SIZE", conflicts_with = "gpu")]
    pub capacity: Option<Bytes>,
    /// A GPU by name (h100-sxm-80gb); its CUDA context is set aside.
    #[arg(long, value_name = "GPU")]
    pub gpu: Option<String>,
    /// The GPU of the snapshot, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Print one JSON object per input.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Clone)]
pub struct ExplainArguments {
    /// Logs, PyTorch memory snapshots (pickle or JSON, also gzipped), folders of either, or - for the standard input.
    #[arg(value_name = "FILE")]
    pub inputs: Vec<String>,
    /// The GPU of a snapshot, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Print one JSON object per file.
    #[arg(long)]
    pub json: bool,
    /// How to print the answer.
    #[arg(long, value_name = "FORMAT", default_value = "text", conflicts_with = "json")]
    pub format: ExplainFormat,
    /// Print every format of messages that is known.
    #[arg(long, conflicts_with_all = ["inputs", "cause"])]
    pub list: bool,
    /// Teach a cause, such as fragmentation.
    #[arg(long, value_name = "CAUSE", conflicts_with = "inputs")]
    pub cause: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// For people.
    Text,
    /// One JSON object per file.
    Json,
    /// Markdown, for an issue.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit, for test reports.
    Junit,
}

#[derive(Args)]
pub struct FitArguments {
    /// Job files (TOML, YAML, JSON), model folders, config.json files, or models known by name.
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Print one JSON object per job.
    #[arg(long)]
    pub json: bool,
    /// Print what each number rests on, and the largest blocks at the peak.
    #[arg(long)]
    pub why: bool,
    /// Print what each memory technique alone would change, computed for this job.
    #[arg(long)]
    pub techniques: bool,
    /// Find the largest value that fits the GPU.
    #[arg(long, value_name = "KEY")]
    pub max: Option<MaxOf>,
    /// Write the simulated allocations to a file (.brim).
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Keys of the job that were typed as flags.
    #[command(flatten)]
    pub keys: JobFlags,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum MaxOf {
    /// Samples per device and micro step.
    Batch,
    /// Tokens per sample.
    Sequence,
}

impl From<MaxOf> for Dimension {
    fn from(of: MaxOf) -> Dimension {
        match of {
            MaxOf::Batch => Dimension::Batch,
            MaxOf::Sequence => Dimension::Sequence,
        }
    }
}
