use brimful_capture::proc::Host;
use brimful_capture::{Gpu, GpuMemory, GpuProcess};
use serde::Serialize;

use super::answer::TopAnswer;
use crate::wire::line;

/// The schema `brimful.top/1`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TopJson<'a> {
    /// The name and the version of this schema.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "brimful.top/1")))]
    pub schema: &'static str,
    /// Milliseconds since 1970.
    pub time: u64,
    /// NVIDIA's driver; null without one.
    pub driver: Option<DriverJson<'a>>,
    /// The GPUs in the order of the PCI bus, each followed by its partitions.
    pub gpus: Vec<TopGpu<'a>>,
    /// The processes on them, the largest of each GPU first.
    pub processes: Vec<TopProcess<'a>>,
    /// Processes that have a GPU of NVIDIA open and are in no list: `unaccounted` may be theirs. Absent if there are none, and
    /// where nothing is unaccounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<TopHolder<'a>>,
    /// The host's memory.
    pub host: HostJson<'a>,
    /// What to know about the figures.
    pub notes: Vec<String>,
    /// Where GPUs were looked for; absent if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched: Option<Vec<String>>,
}

/// NVIDIA's driver.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DriverJson<'a> {
    /// Its version; null if it does not say.
    pub version: Option<&'a str>,
    /// The newest CUDA that it runs, such as "13.2"; null if it does not say.
    pub cuda: Option<String>,
}

/// A GPU or a partition.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TopGpu<'a> {
    /// Its number in the order of the PCI bus, which is not CUDA's order. A partition has its GPU's.
    pub index: u32,
    /// Its UUID, or its name on the bus.
    pub uuid: &'a str,
    /// Its name.
    pub name: &'a str,
    /// "nvidia", "amd" or "intel".
    pub vendor: &'a str,
    /// Its name on the PCI bus; null if it is not known.
    pub bus: Option<&'a str>,
    /// "gpu", "partitioned" (it is divided), "mig" (a partition) or "vgpu".
    pub kind: &'static str,
    /// The UUID of its GPU; absent if it is no partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<&'a str>,
    /// "own", "shared" (the host's, UMA) or "hidden" (the driver does not say).
    pub memory: &'static str,
    /// Why the memory is hidden; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'a str>,
    /// All memory, in bytes; null unless it is its own.
    pub total: Option<u64>,
    /// Memory that is free, in bytes; null unless it is its own.
    pub free: Option<u64>,
    /// Where the used memory is; null unless it is its own.
    pub ledger: Option<LedgerJson>,
    /// The share of time in which it worked, in percent; null if it is not known.
    pub utilization: Option<u32>,
    /// Why there is no list of processes; null if there is one.
    pub unlisted: Option<&'a str>,
}

/// Where the used memory of a GPU is, in bytes: `used` is the sum of all others.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerJson {
    /// All memory that is in use, with what the driver reserves.
    pub used: u64,
    /// What the processes hold, with their CUDA contexts.
    pub processes: u64,
    /// What the driver reserves; null if it does not say, and its part is in `unaccounted`.
    pub reserved: Option<u64>,
    /// CUDA contexts of processes whose memory the driver does not know, from the catalogue.
    pub contexts: u64,
    /// The rest; negative where memory is counted in two processes.
    pub unaccounted: i64,
}

/// A process on a GPU.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TopProcess<'a> {
    /// The GPU's UUID.
    pub gpu: &'a str,
    /// The process ID, as the driver has it.
    pub pid: u32,
    /// Its memory on this GPU in bytes; null if the driver does not know.
    pub used: Option<u64>,
    /// The most that was seen while this command runs; null if nothing was.
    pub peak: Option<u64>,
    /// "C" computes, "G" draws, "C+G" both, "M" a client of the Multi-Process Service.
    pub kind: &'static str,
    /// Whether it runs outside of this container, where its ID means nothing here.
    pub outside: bool,
    /// Its user; null if it cannot be seen.
    pub user: Option<&'a str>,
    /// Its command line; null if it cannot be seen.
    pub command: Option<&'a str>,
    /// Its process ID within its own container; null outside of containers.
    pub inner_pid: Option<u32>,
    /// The ID of its container; null without one.
    pub container: Option<&'a str>,
    /// The UID of its Kubernetes pod; null without one.
    pub pod: Option<&'a str>,
    /// The ID of its Slurm job; null without one.
    pub slurm_job: Option<&'a str>,
}

/// A process to which unaccounted memory may belong.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TopHolder<'a> {
    /// Its process ID.
    pub pid: u32,
    /// Its user; null if it cannot be seen.
    pub user: Option<&'a str>,
    /// Its command line; null if it cannot be seen.
    pub command: Option<&'a str>,
}

/// The host's memory in bytes. What is not known is null.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostJson<'a> {
    /// MemTotal.
    pub total: Option<u64>,
    /// MemAvailable.
    pub available: Option<u64>,
    /// The share of the last ten seconds in which some process waited for memory, in percent.
    pub pressure_some: Option<f64>,
    /// The share of the last ten seconds in which all processes waited for memory, in percent.
    pub pressure_full: Option<f64>,
    /// The control group with the smallest limit that holds for this process.
    pub cgroup: Option<CgroupJson<'a>>,
    /// The size of /dev/shm.
    pub shm_total: Option<u64>,
    /// Bytes in use in /dev/shm.
    pub shm_used: Option<u64>,
}

/// A control group.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CgroupJson<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its limit in bytes; null without one.
    pub limit: Option<u64>,
    /// Bytes in use; null if they are not known.
    pub current: Option<u64>,
    /// How many of its processes the kernel killed for want of memory; null if it is not known.
    pub oom_kills: Option<u64>,
}

/// The look as one line of JSON.
pub fn top_json(answer: &TopAnswer<'_>) -> String {
    line(&TopJson::from(answer))
}

impl<'a> From<&TopAnswer<'a>> for TopJson<'a> {
    fn from(answer: &TopAnswer<'a>) -> TopJson<'a> {
        let sample = answer.sample;
        TopJson {
            schema: "brimful.top/1",
            time: sample.time,
            driver: sample.driver.as_ref().map(|driver| DriverJson {
                version: driver.driver.as_deref(),
                cuda: driver.cuda.map(|(major, minor)| format!("{major}.{minor}")),
            }),
            gpus: sample.gpus.iter().enumerate().map(|(at, gpu)| gpu_json(answer, at, gpu)).collect(),
            processes: sample
                .processes
                .iter()
                .map(|process| process_json(answer, process, &sample.gpus))
                .collect(),
            holders: answer
                .holders
                .iter()
                .map(|holder| TopHolder {
                    pid: holder.pid,
                    user: holder.facts.user.as_deref(),
                    command: holder.facts.command.as_deref(),
                })
                .collect(),
            host: (&sample.host).into(),
            notes: answer.notes(),
            searched: sample.gpus.is_empty().then(|| answer.searched()),
        }
    }
}

fn gpu_json<'a>(answer: &TopAnswer<'a>, at: usize, gpu: &'a Gpu) -> TopGpu<'a> {
    let (memory, why, own) = match &gpu.memory {
        GpuMemory::Own(own) => ("own", None, Some(own)),
        GpuMemory::Shared => ("shared", None, None),
        GpuMemory::Hidden(why) => ("hidden", Some(why.as_str()), None),
    };
    TopGpu {
        index: gpu.index,
        uuid: &gpu.uuid,
        name: &gpu.name,
        vendor: gpu.vendor,
        bus: gpu.bus.as_deref(),
        kind: match (&gpu.partition, gpu.is_partitioned, gpu.is_vgpu) {
            (Some(_), ..) => "mig",
            (_, true, _) => "partitioned",
            (_, _, true) => "vgpu",
            _ => "gpu",
        },
        parent: gpu.partition.as_ref().map(|partition| partition.parent.as_str()),
        memory,
        why,
        total: own.map(|own| own.total),
        free: own.map(|own| own.free),
        ledger: answer.sample.ledger(at, answer.context(gpu)).map(|ledger| LedgerJson {
            used: ledger.used.get(),
            processes: ledger.processes.get(),
            reserved: ledger.reserved.map(|reserved| reserved.get()),
            contexts: ledger.contexts.get(),
            unaccounted: ledger.unaccounted,
        }),
        utilization: gpu.utilization,
        unlisted: gpu.unlisted.as_deref(),
    }
}

/// The letters of nvidia-smi.
pub(super) fn kind(process: &GpuProcess) -> &'static str {
    match (process.compute, process.graphics) {
        (true, true) => "C+G",
        (true, false) => "C",
        (false, true) => "G",
        (false, false) => "M",
    }
}

fn process_json<'a>(answer: &TopAnswer<'a>, process: &'a GpuProcess, gpus: &'a [Gpu]) -> TopProcess<'a> {
    let facts = &process.facts;
    TopProcess {
        gpu: gpus.get(process.gpu).map_or("", |gpu| &gpu.uuid),
        pid: process.pid,
        used: process.used.map(|used| used.get()),
        peak: process.peak.map(|peak| peak.get()),
        kind: kind(process),
        outside: answer.is_outside(process),
        user: facts.user.as_deref(),
        command: facts.command.as_deref(),
        inner_pid: facts.inner_pid,
        container: facts.owner.container.as_deref(),
        pod: facts.owner.pod.as_deref(),
        slurm_job: facts.owner.slurm_job.as_deref(),
    }
}

impl<'a> From<&'a Host> for HostJson<'a> {
    fn from(host: &'a Host) -> HostJson<'a> {
        let percent = |hundredths: u32| f64::from(hundredths) / 100.0;
        HostJson {
            total: host.total,
            available: host.available,
            pressure_some: host.pressure.map(|pressure| percent(pressure.some)),
            pressure_full: host.pressure.map(|pressure| percent(pressure.full)),
            cgroup: host.cgroup.as_ref().map(|cgroup| CgroupJson {
                path: &cgroup.path,
                limit: cgroup.limit,
                current: cgroup.current,
                oom_kills: cgroup.oom_kills,
            }),
            shm_total: host.shared.map(|shared| shared.total),
            shm_used: host.shared.map(|shared| shared.used),
        }
    }
}
