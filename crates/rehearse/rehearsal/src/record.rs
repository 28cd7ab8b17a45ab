//! What processes handed over.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use brimful_units::Bytes;
use serde::{Deserialize, Serialize};

use crate::RehearsalError;
use crate::ServingRecord;
use crate::Values;
use crate::error::at;

/// Amounts by ledger, in bytes: `requested ≤ allocated ≤ active ≤ reserved`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Amounts {
    /// Asked of the allocator.
    pub requested: Bytes,
    /// Handed out.
    pub allocated: Bytes,
    /// Handed out, or waiting for another stream.
    pub active: Bytes,
    /// In segments.
    pub reserved: Bytes,
}

/// A GPU as one process used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceRecord {
    /// Its number in that process.
    pub device: u32,
    /// Its number on the machine, which differs where `CUDA_VISIBLE_DEVICES` is set; `None` where nobody counted.
    #[serde(default)]
    pub gpu: Option<u32>,
    /// Peaks of the whole run.
    pub peak: Amounts,
    /// What there was at the end.
    pub end: Amounts,
    /// How often a failed request made the allocator return its cached memory.
    pub retries: u64,
    /// How many requests failed.
    pub ooms: u64,
    /// The sum of all requests that did not.
    #[serde(default)]
    pub asked: Bytes,
    /// What the process took of it at most: PyTorch's memory, the CUDA context, libraries. `None` where nobody counted.
    #[serde(default)]
    pub taken: Option<Bytes>,
}

/// A request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The GPU, by its number in that process.
    pub device: u32,
    /// What was asked of the device.
    pub tried_bytes: Bytes,
    /// The device's total.
    pub total_bytes: Bytes,
    /// What it had free.
    pub free_bytes: Bytes,
    /// Optimizer steps that were done.
    pub step: u64,
    /// The sum of all requests on that GPU that had been served; `None` in files of older versions.
    #[serde(default)]
    pub asked: Option<Bytes>,
}

/// The exception that ended a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScriptError {
    /// Its type's name, such as `OutOfMemoryError`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its text.
    pub message: String,
}

/// One process of the command that imported torch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessRecord {
    /// Its number.
    pub pid: u32,
    /// How it ended: `exit`, `steps`, a signal's name; `running` where it could not say.
    pub ended: String,
    /// Its command line.
    pub argv: Vec<String>,
    /// Its rank, where it had one.
    pub rank: Option<u64>,
    /// Its rank on its machine.
    pub local_rank: Option<u64>,
    /// How many ranks there were.
    pub world_size: Option<u64>,
    /// Of Python, torch and the frameworks it had imported.
    pub versions: BTreeMap<String, String>,
    /// CUDA's version that torch was built for; `None` for a build for something else.
    pub torch_cuda: Option<String>,
    /// ROCm's.
    pub torch_hip: Option<String>,
    /// Optimizer steps.
    pub steps: u64,
    /// Whether it made the steps after which the run was to end.
    #[serde(default)]
    pub reached: bool,
    /// The libraries it had imported that take GPU memory beside PyTorch's allocator, such as jax.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Their optimizers.
    pub optimizers: Vec<String>,
    /// The GPUs it used.
    pub devices: Vec<DeviceRecord>,
    /// Pinned host memory at most, in bytes; `None` where nobody counted.
    #[serde(default)]
    pub pinned: Option<Bytes>,
    /// The function of CUDA that it called last among those that are not modelled.
    #[serde(default)]
    pub last_call: Option<String>,
    /// How many sizes that depend on data it read as zero.
    #[serde(default)]
    pub size_reads: u64,
    /// Requests that failed, the first 64.
    pub failures: Vec<Failure>,
    /// What ended it.
    pub error: Option<ScriptError>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// The figures that a serving engine reported.
    #[serde(default)]
    pub serving: Option<ServingRecord>,
    /// What it read of the GPU without knowing it; `None` in records that do not say.
    #[serde(default)]
    pub values: Option<Values>,
    /// The file with its snapshot.
    pub snapshot: Option<String>,
}

impl ProcessRecord {
    /// The GPU on which it reserved most.
    pub fn fullest(&self) -> Option<&DeviceRecord> {
        self.devices.iter().max_by_key(|device| device.peak.reserved)
    }

    /// The last request that failed, if nothing was allocated on its GPU afterwards: a program that went on was not ended by it.
    pub(crate) fn last_straw(&self) -> Option<&Failure> {
        let failure = self.failures.last()?;
        let on = self.devices.iter().find(|device| device.device == failure.device);
        on.is_none_or(|on| failure.asked.is_none_or(|asked| on.asked <= asked)).then_some(failure)
    }
}

/// Every record of a folder: ranks in order, then by process.
///
/// # Errors
/// A file that cannot be read. One that is no record is none of the hook's, and is left out.
#[cfg(target_os = "linux")]
pub(crate) fn records(folder: &Path) -> Result<Vec<ProcessRecord>, RehearsalError> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = fs::read(&path).map_err(at(&path))?;
            records.extend(serde_json::from_slice::<ProcessRecord>(&text));
        }
    }
    records.sort_by_key(|record| (record.rank.is_none(), record.rank, record.pid));
    Ok(records)
}
