use std::ffi::OsString;
use std::time::Duration;

use crate::{Device, Synthetic, imagined};

/// Events that a history keeps where nothing else is said: about half a gigabyte of host memory.
pub const HISTORY: u64 = 300_000;

/// What is to be rehearsed, and how.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The GPUs that it is shown.
    pub device: Device,
    /// `PYTORCH_CUDA_ALLOC_CONF`.
    pub conf: Option<String>,
    /// Ends after so many optimizer steps.
    pub steps: Option<u64>,
    /// Ends after so long.
    pub time_limit: Option<Duration>,
    /// Ranks that run, among ranks that are imagined.
    pub imagined: Option<imagined::Ranks>,
    /// Whether missing weights are made up.
    pub dummy_weights: bool,
    /// Whether a server goes on once it listens; else the rehearsal ends then.
    pub keep_serving: bool,
    /// Rows that stand in for data sets.
    pub synthetic: Option<Synthetic>,
    /// Events that the history keeps.
    pub history: u64,
    /// What the user should know of the settings.
    pub notes: Vec<String>,
    /// Whether the command's standard output goes to the standard error.
    pub talk_only: bool,
}
