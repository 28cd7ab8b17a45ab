use std::ffi::OsString;
use std::time::Duration;

use serde::Serialize;

use crate::{Device, Synthetic, imagined};

/// Events that a history keeps if the user names no number: about half a gigabyte of host memory.
pub const HISTORY: u64 = 300_000;

/// The command to rehearse, and how.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The GPUs that it is shown.
    pub device: Device,
    /// `PYTORCH_CUDA_ALLOC_CONF`.
    pub conf: Option<String>,
    /// The time after which the run ends.
    pub time_limit: Option<Duration>,
    /// Ranks that run, among ranks that are imagined.
    pub imagined: Option<imagined::Ranks>,
    /// The settings of the hook.
    pub options: HookOptions,
    /// What the user should know of the settings.
    pub notes: Vec<String>,
    /// Whether the command's standard output goes to the standard error.
    pub talk_only: bool,
}

/// What the hook in the command's Python does. `settings.py` of the hook has the same names.
#[derive(Clone, Debug, Serialize)]
pub struct HookOptions {
    /// The number of optimizer steps after which the run ends.
    pub steps: Option<u64>,
    /// Whether models are built from their config.json where a checkpoint is missing.
    pub dummy_weights: bool,
    /// Whether a server continues once it listens; else the rehearsal ends then.
    pub keep_serving: bool,
    /// Rows that stand in for data sets.
    pub synthetic: Vec<Synthetic>,
    /// How many events the history keeps, the newest.
    pub history: u64,
}
