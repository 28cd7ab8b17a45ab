use std::collections::BTreeMap;

use anyhow::{Context, Result};
use brimful_jobs::{Format, Job, Overrides, load};
use brimful_models::NoFiles;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A job, and what PyTorch did when it ran it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of the case.
    pub id: String,
    /// The job file that asks brimful for the run.
    pub job: Value,
    /// What PyTorch's own statistics reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Every allocation (`+bytes`) and free (`-bytes`), separated by blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// Why PyTorch or a library refuses the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Figures that are not compared, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_compared: BTreeMap<String, String>,
    /// The day of the recording, if it is not the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// Name, requested peak, allocated peak, reserved peak, requested at the end, allocated at the end.
pub type PhaseRow = (String, u64, u64, u64, u64, u64);

/// What PyTorch's own statistics reported of a run outside of loading; amounts are bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// Elements of all parameters.
    pub params: u64,
    /// Elements of the parameters that want a gradient.
    pub trainable: u64,
    /// The peaks.
    pub peak: Ledgers,
    /// The largest sum of tensors alone, without the buffers that kernels ask for themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor_peak_requested: Option<u64>,
    /// The phase of the requested peak.
    pub peak_phase: String,
    /// Op and module that asked for the block that made the peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_at: Option<Place>,
    /// What was in memory at the peak, by the recorder's categories.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub composition: BTreeMap<String, u64>,
    /// How often PyTorch called cudaMalloc, loading included.
    pub num_device_alloc: u64,
    /// Each phase.
    pub phases: Vec<PhaseRow>,
    /// What the last forward kept for the backward, by block of the model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept_per_block: BTreeMap<String, u64>,
}

/// Peaks by ledger in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Ledgers {
    pub requested: u64,
    pub allocated: u64,
    pub reserved: u64,
}

/// Where a peak is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The ATen op.
    pub op: String,
    /// The module's path.
    pub module: String,
    /// The autograd node; empty in the forward.
    pub node: String,
}

impl Case {
    /// A case that is not recorded yet.
    pub fn unrecorded(id: String, job: Value) -> Case {
        Case { id, job, expect: None, events: None, error: None, not_compared: BTreeMap::new(), date: None }
    }

    /// The job as `fit` reads it.
    ///
    /// # Errors
    /// A job that `fit` refuses.
    pub fn job(&self) -> Result<Job> {
        let text = self.job.to_string();
        let loaded = load(&self.id, &text, Format::Json, &NoFiles, &Overrides::default());
        Ok(loaded.with_context(|| self.id.clone())?.job)
    }

    /// The family of the job's model: its `model_type`, or for another library than transformers its library and its name.
    pub fn family(&self) -> String {
        let model = &self.job["model"];
        let text = |key: &str| model[key].as_str();
        match (text("library"), text("_class_name")) {
            (Some(library), _) => format!("{library}.{}", text("name").unwrap_or_default()),
            (None, Some(class)) => format!("diffusers.{class}"),
            (None, None) => text("model_type").unwrap_or_default().to_owned(),
        }
    }

    /// The task of the job, as the job file names it.
    pub fn task(&self) -> &str {
        let of = |section: &str| self.job[section]["task"].as_str();
        of("train").or_else(|| of("infer")).unwrap_or("causal-lm")
    }

    /// The recorded changes of memory in bytes, in their order; none if they were not recorded.
    pub fn changes(&self) -> Vec<i64> {
        self.events
            .iter()
            .flat_map(|events| events.split(' '))
            .filter_map(|change| change.parse().ok())
            .collect()
    }
}
