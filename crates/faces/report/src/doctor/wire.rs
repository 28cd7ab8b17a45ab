use brimful_capture::nvml::{List, ListForm};
use serde::Serialize;

use super::answer::{DoctorAnswer, DoctorDriver};
use crate::wire::line;

/// The schema `brimful.doctor/1`. It holds no names of users and no command lines.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoctorJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.doctor/1")))]
    pub schema: &'static str,
    /// Where NVIDIA's library was looked for, in this order.
    pub tries: Vec<TryJson<'a>>,
    /// The version of the kernel module; null if it is not loaded or not shown.
    pub kernel_module: Option<&'a str>,
    /// NVIDIA's driver; null if it cannot be used.
    pub nvml: Option<NvmlJson<'a>>,
    /// How many GPUs of AMD and Intel there are.
    pub drm_cards: usize,
    /// What stands in the way or changes the figures.
    pub findings: Vec<String>,
}

/// A place where the library was looked for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TryJson<'a> {
    /// The name or the path.
    pub place: String,
    /// Why it could not be loaded; null if it was.
    pub failure: Option<&'a str>,
}

/// NVIDIA's driver as it was used for one look.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NvmlJson<'a> {
    /// The driver's version; null if it does not say.
    pub driver: Option<&'a str>,
    /// GPUs and partitions.
    pub gpus: usize,
    /// The functions that brimful knows and the library exports.
    pub symbols: Vec<&'static str>,
    /// Those that it does not export.
    pub missing: Vec<&'static str>,
    /// The function that returned the memory; null if none did.
    pub memory: Option<&'static str>,
    /// How the lists of processes were read.
    pub lists: Vec<ListJson>,
    /// What the calls cost.
    pub costs: Vec<CostJson>,
}

/// How a list of processes was read.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListJson {
    /// "compute", "graphics" or "mps".
    pub list: &'static str,
    /// The function; null if none answered.
    pub function: Option<&'static str>,
    /// Bytes of an entry; null if none answered.
    pub entry_bytes: Option<u32>,
}

/// What the calls of a function cost.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostJson {
    /// The function.
    pub function: &'static str,
    /// How often it was called.
    pub calls: u64,
    /// Nanoseconds of all calls.
    pub nanoseconds: u64,
    /// What the last call returned; null for success.
    pub status: Option<String>,
}

/// What was found, as one line of JSON.
pub fn doctor_json(answer: &DoctorAnswer<'_>) -> String {
    line(&DoctorJson::from(answer))
}

impl<'a> From<&DoctorAnswer<'a>> for DoctorJson<'a> {
    fn from(answer: &DoctorAnswer<'a>) -> DoctorJson<'a> {
        let tried = answer.looked.tries.iter().map(|tried| TryJson {
            place: tried.place.display().to_string(),
            failure: tried.failure.as_deref(),
        });
        DoctorJson {
            schema: "brimful.doctor/1",
            tries: tried.collect(),
            kernel_module: answer.surroundings.kernel_module.as_deref(),
            nvml: answer.nvml.as_ref().map(|nvml| nvml_json(answer, nvml)),
            drm_cards: answer.looked.drm_cards,
            findings: answer.findings(),
        }
    }
}

fn nvml_json<'a>(answer: &DoctorAnswer<'a>, nvml: &DoctorDriver<'a>) -> NvmlJson<'a> {
    let list = |(list, form): (List, Option<ListForm>)| ListJson {
        list: match list {
            List::Compute => "compute",
            List::Graphics => "graphics",
            List::Mps => "mps",
        },
        function: form.map(|form| form.function.name()),
        entry_bytes: form.map(|form| form.entry_bytes),
    };
    let costs = nvml.costs.iter().map(|cost| CostJson {
        function: cost.function.name(),
        calls: cost.calls,
        nanoseconds: cost.nanoseconds,
        status: cost.status.map(|status| status.to_string()),
    });
    NvmlJson {
        driver: nvml.opened.driver.driver.as_deref(),
        gpus: nvml.opened.gpus.len(),
        symbols: nvml.opened.functions.iter().map(|function| function.name()).collect(),
        missing: answer.missing(),
        memory: nvml.rungs.memory.map(|function| function.name()),
        lists: List::ALL.into_iter().zip(nvml.rungs.lists).map(list).collect(),
        costs: costs.collect(),
    }
}
