//! What was typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use brimful_ask::{Allowance, name_of};
use brimful_plan::Dimension;
use brimful_rehearsal::HISTORY;
use brimful_units::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::deferred::Deferred;
use crate::job_flags::JobFlags;

/// GPU memory for machine learning: will it fit, what fills it, what would change it.
#[derive(Parser)]
#[command(name = "brimful", version, disable_version_flag = true, max_term_width = 110)]
#[command(arg_required_else_help = true, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// Print the version.
    #[arg(long, short = 'V')]
    pub version: bool,
    /// With --version, print the versions of programs whose behaviour is known, and how many GPUs, models, log formats and
    /// causes.
    #[arg(long, requires = "version")]
    pub facts: bool,
    /// With --facts, print one JSON object.
    #[arg(long, requires = "facts")]
    pub json: bool,
    /// What is asked.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What people ask first. Each line is run by a test.
const FIT_EXAMPLES: &str = "\
Examples:
  brimful fit llama-3-8b --gpu 4090
  brimful fit Qwen/Qwen2.5-0.5B --gpu 24GiB --batch 4 --sequence 1k --lora 16
  brimful fit gpt2 --gpu h100,a100-80gb,rtx4090
  brimful fit gpt2 --batch 8 --gpu any
  brimful fit gpt2 --gpu 4060ti-16gb --max batch
  brimful fit gpt2 --gradient-checkpointing --optimizer adamw_torch_fused
  brimful fit gpt2 --set optimizer.fused=true --set model.n_layer=4
  brimful fit gpt2 --set infer.batch=1
  brimful fit --gpu rtx-4090 -- vllm serve llama-3.1-8b --max-model-len 32768
More:
  brimful gpus 4060
  brimful models llama";

/// What is asked.
#[derive(Subcommand)]
pub enum Command {
    /// Will it fit? The peak memory of a training step or of generation, to the byte, without a GPU.
    ///
    /// Exit status: 0 every job fits (or names no GPU), 1 a job does not fit, 2 a job or the call is wrong.
    #[command(after_help = FIT_EXAMPLES)]
    Fit(Deferred<FitArguments>),
    /// Would another allocator setting or GPU have held it? The requests of a snapshot or of a predicted trace under other
    /// conditions.
    ///
    /// Exit status: 0 every request is served, 1 a request fails, 2 an input or the call is wrong.
    Replay(Deferred<ReplayArguments>),
    /// Why did it die, and what filled memory? Of a log: the memory failure in it, its cause, and what to change. Of a
    /// PyTorch memory snapshot: what filled memory, what is stranded, what leaks, and why a request failed.
    ///
    /// Exit status: 0 nothing was found, 1 a failure or a leak was found, 2 an input or the call is wrong.
    Explain(Deferred<ExplainArguments>),
    /// What will my own script use? Runs a command as it is on a virtual GPU of any kind and size: real PyTorch, real
    /// allocator, kernels that do nothing. No GPU is needed, and none is touched.
    ///
    /// Exit status: 0 it fits (or no GPU was named), 1 memory ran out, 2 the call is wrong, there is no PyTorch to rehearse,
    /// or the command failed for another reason.
    Rehearse(Box<Deferred<RehearseArguments>>),
    /// Who uses the GPUs of this machine now? Used and free memory, every process with its user, command and peak, and what
    /// nobody accounts for, to the byte.
    ///
    /// Exit status: 0 there is a GPU, 2 there is none that can be read, or the call is wrong.
    Top(Deferred<TopArguments>),
    /// Can the GPUs of this machine be read, and how? Where the driver's library was looked for, which of its functions
    /// answer, what each call costs here, and what changes the figures.
    ///
    /// Exit status: 0 there is a GPU, 2 there is none that can be read, or the call is wrong.
    Doctor(Deferred<DoctorArguments>),
    /// What `nvidia-smi` says within a rehearsal.
    #[command(hide = true, disable_help_flag = true)]
    NvidiaSmi {
        /// As `nvidia-smi` takes them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// What changed between two runs? Two snapshots, traces or jobs, each at its peak: by ledger, by purpose, by place.
    ///
    /// Exit status: 0 they are the same at the peak, 1 they differ, 2 an input or the call is wrong.
    #[command(alias = "compare")]
    Diff(Deferred<DiffArguments>),
    /// Many ranks of one job: a table of their peaks, the fullest first, and those that are unlike the others.
    ///
    /// Exit status: 0 all is well, 1 a request failed or a rank is unlike the others, 2 an input or the call is wrong.
    Ranks(Deferred<RanksArguments>),
    /// Show a run as one HTML page, or compare two: memory over time, who holds it, segments, a flame graph. No network.
    ///
    /// Exit status: 0 the page is written, 2 the input or the call is wrong.
    Open(Deferred<OpenArguments>),
    /// A run as the file of another tool: collapsed stacks, speedscope, Firefox Profiler, Perfetto, Parquet.
    ///
    /// Exit status: 0 the file is written, 2 the input or the call is wrong.
    Export(Deferred<ExportArguments>),
    /// Which GPUs are known by name? The names that --gpu takes, with the memory that the driver reports.
    ///
    /// Exit status: 0 there are some, 2 no GPU has these words.
    Gpus(Deferred<CatalogueArguments>),
    /// Which models are known by name? Their architecture and size, and whether they are simulated.
    ///
    /// Exit status: 0 there are some, 2 no model has these words.
    Models(Deferred<CatalogueArguments>),
    /// Print the completions of commands, flags and values for a shell.
    ///
    /// Bash: brimful completions bash > ~/.local/share/bash-completion/completions/brimful
    ///
    /// Zsh, into a folder of $fpath: brimful completions zsh > ~/.zfunc/_brimful
    ///
    /// Fish: brimful completions fish > ~/.config/fish/completions/brimful.fish
    ///
    /// Elvish: brimful completions elvish >> ~/.config/elvish/rc.elv
    ///
    /// PowerShell: brimful completions powershell >> $PROFILE
    Completions {
        /// The shell that reads them.
        shell: Shell,
    },
    /// Write a man page for each command.
    #[command(hide = true)]
    Man {
        /// The folder, which is made where it is missing.
        folder: PathBuf,
    },
}

/// The arguments of `brimful gpus` and `brimful models`.
#[derive(Args)]
pub struct CatalogueArguments {
    /// Words that the name has, such as 4060 or llama 8b; all are listed where none is given.
    #[arg(value_name = "WORD")]
    pub filter: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `brimful top`.
#[derive(Args)]
pub struct TopArguments {
    /// Look once. This is what the command does in any case where neither --watch nor --count is given.
    #[arg(long, conflicts_with_all = ["watch", "count"])]
    pub once: bool,
    /// Print one line (with --json, one object) at every so many seconds, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub watch: Option<Duration>,
    /// End after so many looks.
    #[arg(long, value_name = "NUMBER", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Print one JSON object for each look.
    #[arg(long)]
    pub json: bool,
    /// The host's /proc, where a container mounts it, such as /host/proc.
    #[arg(long, value_name = "FOLDER", default_value = "/proc")]
    pub proc: PathBuf,
}

/// The arguments of `brimful doctor`.
#[derive(Args)]
pub struct DoctorArguments {
    /// Print one JSON object. It holds no names of users and no command lines.
    #[arg(long)]
    pub json: bool,
    /// Write what NVIDIA's driver returned to a file, from which it can be replayed elsewhere. The file holds no names of users
    /// and no command lines, and numbers the processes from 1. It does hold the UUIDs of the GPUs.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// The host's /proc, where a container mounts it, such as /host/proc.
    #[arg(long, value_name = "FOLDER", default_value = "/proc")]
    pub proc: PathBuf,
}

/// The arguments of `brimful ranks`.
#[derive(Args)]
pub struct RanksArguments {
    /// PyTorch memory snapshots, or folders with them.
    #[arg(required = true, value_name = "FOLDER|SNAPSHOT", value_parser = input_name())]
    pub inputs: Vec<String>,
    /// The GPU of each snapshot, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `brimful open`.
#[derive(Args)]
pub struct OpenArguments {
    /// A PyTorch memory snapshot, a trace of `brimful fit --trace`, a job file, or a model known by name.
    /// A second one is compared with the first.
    #[arg(value_name = "RUN", required = true, num_args = 1..=2, value_parser = input_name())]
    pub inputs: Vec<String>,
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

/// The arguments of `brimful export`.
#[derive(Args)]
pub struct ExportArguments {
    /// A PyTorch memory snapshot, a trace of `brimful fit --trace`, a job file, or a model known by name.
    #[arg(value_name = "RUN", value_parser = input_name())]
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

/// The value of `export --format`.
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

/// The arguments of `brimful diff`.
#[derive(Args)]
pub struct DiffArguments {
    /// A PyTorch memory snapshot, a trace of `brimful fit --trace`, a job file, or a model known by name.
    #[arg(value_name = "BEFORE", value_parser = input_name())]
    pub before: String,
    /// What it is compared with.
    #[arg(value_name = "AFTER", value_parser = input_name())]
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

/// The arguments of `brimful replay`.
#[derive(Args)]
pub struct ReplayArguments {
    /// PyTorch memory snapshots (pickle or JSON, also gzipped), or traces of `brimful fit --trace`.
    #[arg(required = true, value_name = "SNAPSHOT|TRACE", value_parser = input_name())]
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
    /// The version of torch, such as 2.11.0: it decides between free blocks of equal size. Without it, brimful infers the
    /// version's rule from the recording.
    #[arg(long, value_name = "VERSION")]
    pub torch: Option<String>,
    /// The GPU of the snapshot, by its number; the fullest where none is given.
    #[arg(long, value_name = "NUMBER")]
    pub device: Option<usize>,
    /// Print one JSON object per input.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `brimful explain`.
#[derive(Args, Clone)]
pub struct ExplainArguments {
    /// Logs, PyTorch memory snapshots (pickle or JSON, also gzipped), folders of either, or - for the standard input.
    #[arg(value_name = "FILE", value_parser = input_name())]
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

/// The value of `explain --format`.
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

/// The arguments of `brimful rehearse`.
#[derive(Args, Clone)]
pub struct RehearseArguments {
    /// The command with its arguments: -- python train.py --bs 4
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// A GPU by name (h100-sxm-80gb) or by size ("24 GiB"); its CUDA context is set aside. Without one, the device has no
    /// end.
    #[arg(long, value_name = "GPU", group = "fits_what")]
    pub gpu: Option<String>,
    /// Exactly what PyTorch's allocator may take, such as "12 GiB"; nothing is set aside.
    #[arg(long, value_name = "SIZE", group = "fits_what")]
    pub capacity: Option<Bytes>,
    /// What CUDA calls the GPU's total where its driver reports another than the catalogue, such as "79.19 GiB".
    #[arg(long, value_name = "SIZE", requires = "gpu")]
    pub gpu_total: Option<Bytes>,
    /// How many such GPUs the machine has.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub gpus: u32,
    /// How many ranks the job has, where only some of them run (--ranks); the others are imagined.
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u64).range(1..))]
    pub world_size: Option<u64>,
    /// The ranks that run, such as 0,63; the first and the last where none is named.
    #[arg(long, value_name = "RANKS", value_delimiter = ',', requires = "world_size")]
    pub ranks: Vec<u64>,
    /// End the run after so many optimizer steps; 2 show the steady state.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// PYTORCH_CUDA_ALLOC_CONF, such as expandable_segments:True.
    #[arg(long, value_name = "CONF")]
    pub conf: Option<String>,
    /// The version of cuDNN that PyTorch sees, such as 9.1.0: from some on, it uses cuDNN's attention.
    #[arg(long, value_name = "VERSION", value_parser = cudnn_number)]
    pub cudnn: Option<u32>,
    /// Batches hold padding: a check on the GPU whether a computed mask is all true answers that it is not;
    /// masks that the host sent are known.
    #[arg(long)]
    pub padded: bool,
    /// Work on a stream is done only after so many further launches, or when somebody waits for it: memory that another
    /// stream used comes back late, as on hardware. Else it is done at once.
    #[arg(long, value_name = "LAUNCHES")]
    pub delay: Option<u64>,
    /// End the run after this time, such as 10m; the answer is of what was seen until then.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub time_limit: Option<Duration>,
    /// Find the largest value that fits, by runs: every {} in the command or in the words of --with becomes the value.
    #[arg(long, value_name = "NAME", requires = "fits_what")]
    pub search: Option<String>,
    /// The words that --search puts behind the command, such as '--bs {}'.
    #[arg(long, value_name = "WORDS", requires = "search", allow_hyphen_values = true)]
    pub with: Option<String>,
    /// Where a checkpoint is missing, build the model from its config.json; its weights are of no value.
    #[arg(long)]
    pub dummy_weights: bool,
    /// Let a server (vLLM, SGLang) go on once it listens; else the run ends then.
    #[arg(long)]
    pub keep_serving: bool,
    /// Rows in place of data sets: `input_ids:int64[4,2048]` is four rows of 2048 numbers. Several fields are separated by
    /// ';'. `text:string[8,500]` are 500 words, `image:image[16,224,224]` pictures. `NAME=FIELDS` is for the data set or file of
    /// that name; the option can be repeated.
    #[arg(long, value_name = "[NAME=]FIELDS")]
    pub synthetic: Vec<String>,
    /// Events that the history keeps, the newest. Peaks are of the whole run in any case.
    #[arg(long, value_name = "EVENTS", default_value_t = HISTORY)]
    pub history: u64,
    /// The run file: a snapshot for each rank, for explain, open, diff, ranks and replay. Without it, rehearsal.zip is written,
    /// or rehearsal-2.zip if that is there, and so on.
    #[arg(long, short, value_name = "RUN")]
    pub output: Option<PathBuf>,
    /// Hold the requested peak of each phase against this file: exit status 1 if one rose by more than --allow. Runs that are
    /// not in the file are added to it, and it is written if it does not exist.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// The share by which a peak may rise above the lock file's, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "1", requires = "lock")]
    pub allow: Allowance,
    /// Print one JSON object; what the command prints then goes to the standard error.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `brimful fit`.
#[derive(Args)]
pub struct FitArguments {
    /// Job files (TOML, YAML, JSON), configs of axolotl, LLaMA-Factory or transformers' Trainer, model folders, config.json
    /// files, or models known by name or by their page on the hub.
    #[arg(required_unless_present = "command", value_name = "JOB", value_parser = input_name())]
    pub jobs: Vec<String>,
    /// The command that starts a server, in place of a job: -- vllm serve MODEL --max-model-len 32768
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "jobs")]
    pub command: Vec<String>,
    /// Print one JSON object per job.
    #[arg(long)]
    pub json: bool,
    /// End with exit status 1 as well where a job is too close to call.
    #[arg(long)]
    pub strict: bool,
    /// Print what each number rests on, and the largest blocks at the peak.
    #[arg(long)]
    pub why: bool,
    /// Print what each memory technique alone would change, computed for this job.
    #[arg(long)]
    pub techniques: bool,
    /// Find the largest value that fits the GPU.
    #[arg(long, value_name = "KEY")]
    pub max: Option<MaxOf>,
    /// Hold the requested peak of each phase against this file: exit status 1 if one rose by more than --allow. Runs that are
    /// not in the file are added to it, and it is written if it does not exist.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// The share by which a peak may rise above the lock file's, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "1")]
    pub allow: Allowance,
    /// As --lock, which is brimful.lock if it is not given, but write nothing: a job that is not in the file is an error.
    #[arg(long)]
    pub check: bool,
    /// Write the simulated allocations to a file (.brim).
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Keys of the job that were typed as flags.
    #[command(flatten)]
    pub keys: JobFlags,
}

/// The value of `fit --max`.
#[derive(Clone, Copy, ValueEnum)]
pub enum MaxOf {
    /// Samples per device and micro step.
    Batch,
    /// Tokens per sample.
    #[value(alias = "seq")]
    Sequence,
}

impl From<ExportFormat> for brimful_ask::ExportFormat {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Collapsed => Self::Collapsed,
            ExportFormat::Speedscope => Self::Speedscope,
            ExportFormat::Perfetto => Self::Perfetto,
            ExportFormat::Dhat => Self::Dhat,
            ExportFormat::Parquet => Self::Parquet,
        }
    }
}

impl From<MaxOf> for Dimension {
    fn from(of: MaxOf) -> Dimension {
        match of {
            MaxOf::Batch => Dimension::Batch,
            MaxOf::Sequence => Dimension::Sequence,
        }
    }
}

/// The name of a file that is read, also one that is not UTF-8.
fn input_name() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|name| {
        let empty = "the name is empty; name a file, or - for the standard input";
        if name.is_empty() { Err(empty) } else { Ok(name_of(&name)) }
    })
}

/// Seconds between two looks. Lists of processes hold a lock of the driver for milliseconds, so looks that follow each other
/// closer than a tenth of a second would slow the job down.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?}: expected seconds from 0.1 to 86400");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    (0.1..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds)).ok_or_else(wrong)
}

/// `9.1.0` as `cudnnGetVersion` returns it: 90100.
fn cudnn_number(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?}: expected a version such as 9.1.0");
    let mut numbers = text.split('.').map(|number| number.parse::<u32>().map_err(|_| wrong()));
    let mut next = || numbers.next().unwrap_or(Ok(0));
    let (major, minor, patch) = (next()?, next()?, next()?);
    let known = (8..100).contains(&major) && minor < 100 && patch < 100;
    known
        .then_some(if major < 9 { 1000 } else { 10_000 })
        .map(|scale| major * scale + minor * 100 + patch)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_cudnn_is_a_number() {
        assert_eq!(cudnn_number("9.26.0"), Ok(92600));
        assert_eq!(cudnn_number("9.1"), Ok(90100));
        assert_eq!(cudnn_number("8.9.7"), Ok(8907));
        assert!(cudnn_number("nine").is_err() && cudnn_number("1.0").is_err());
    }
}
