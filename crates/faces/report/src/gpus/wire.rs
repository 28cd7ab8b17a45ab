use brimful_devices::catalogue::Entry;
use brimful_units::Bytes;
use serde::Serialize;

use crate::wire::line;

/// The schema `brimful.gpus/1`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GpusJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.gpus/1")))]
    pub schema: &'static str,
    /// The GPUs, in the order of the catalogue.
    pub gpus: Vec<GpuRow<'a>>,
}

/// A GPU of the catalogue.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GpuRow<'a> {
    /// The name that `--gpu` takes.
    pub id: &'a str,
    /// The name shown to people.
    pub name: &'a str,
    /// The vendor.
    pub vendor: &'a str,
    /// The bytes that the driver reports as the GPU's total; absent if they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub total: Option<Bytes>,
    /// Whether it runs CUDA, so that a job can be predicted for it.
    pub cuda: bool,
    /// The compute capability, such as "8.0"; absent without CUDA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
    /// The streaming multiprocessors; absent without CUDA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiprocessors: Option<u64>,
}

/// The GPUs as one line of JSON.
pub fn gpus_json(gpus: &[Entry]) -> String {
    line(&GpusJson { schema: "brimful.gpus/1", gpus: gpus.iter().map(GpuRow::from).collect() })
}

impl<'a> From<&'a Entry> for GpuRow<'a> {
    fn from(gpu: &'a Entry) -> GpuRow<'a> {
        let cuda = gpu.cuda.as_ref();
        GpuRow {
            id: gpu.id,
            name: gpu.name,
            vendor: gpu.vendor,
            total: gpu.total,
            cuda: cuda.is_some(),
            compute_capability: cuda
                .map(|cuda| format!("{}.{}", cuda.compute_capability.0, cuda.compute_capability.1)),
            multiprocessors: cuda.map(|cuda| cuda.multiprocessors),
        }
    }
}
