//! One look at all GPUs of a machine.

use std::collections::HashMap;

use brimful_units::Bytes;

use crate::nvml::{DriverFacts, MemoryInfo, Partition};
use crate::proc::{Host, ProcessFacts};

/// All GPUs, their processes and the host at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub time: u64,
    /// What NVIDIA's driver says about itself; `None` without one.
    pub driver: Option<DriverFacts>,
    /// The GPUs, each followed by its partitions.
    pub gpus: Vec<Gpu>,
    /// The processes, by GPU and then by memory, the largest first.
    pub processes: Vec<GpuProcess>,
    /// The host's memory.
    pub host: Host,
    /// What kept figures away, as sentences.
    pub troubles: Vec<String>,
}

/// A GPU, or a partition of one.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// Its number in the order of the PCI bus. A partition has its GPU's number.
    pub index: u32,
    /// Its UUID, or its name on the bus where the driver has no UUIDs.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Its maker: "nvidia", "amd" or "intel".
    pub vendor: &'static str,
    /// Its name on the PCI bus.
    pub bus: Option<String>,
    /// Which part of a GPU it is; `None` for a whole one.
    pub partition: Option<Partition>,
    /// Whether it is divided into partitions.
    pub is_partitioned: bool,
    /// Whether it is a virtual GPU in a guest.
    pub is_vgpu: bool,
    /// Whether Windows' WDDM manages its memory, so that the driver does not know the memory of a process.
    pub is_wddm: bool,
    /// Its memory.
    pub memory: GpuMemory,
    /// The share of time in which it worked, in percent.
    pub utilization: Option<u32>,
    /// Why there is no list of processes; `None` if there is one.
    pub unlisted: Option<String>,
    /// Whether the driver's list held entries that make no sense, which are left out.
    pub has_garbage: bool,
}

/// The memory of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuMemory {
    /// It has its own.
    Own(MemoryInfo),
    /// It shares the host's memory (UMA).
    Shared,
    /// It is not known, for this reason.
    Hidden(String),
}

/// A process on a GPU.
#[derive(Clone, Debug)]
pub struct GpuProcess {
    /// The place of the GPU in [`Sample::gpus`].
    pub gpu: usize,
    /// Its process ID, as the driver has it.
    pub pid: u32,
    /// Its memory on the GPU with its CUDA context; `None` if the driver does not know.
    pub used: Option<Bytes>,
    /// The most that was seen since the monitor looks.
    pub peak: Option<Bytes>,
    /// Whether it has a compute context.
    pub compute: bool,
    /// Whether it draws.
    pub graphics: bool,
    /// Whether it is a client of CUDA's Multi-Process Service.
    pub mps: bool,
    /// Who and what it is.
    pub facts: ProcessFacts,
}

/// A process that has a GPU open and is in none of the driver's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process ID.
    pub pid: u32,
    /// Who and what it is.
    pub facts: ProcessFacts,
}

/// Where the memory in use on a GPU is. The parts add up to `used`, to the byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// All memory that is not free.
    pub used: Bytes,
    /// What the processes hold, as far as the driver knows.
    pub processes: Bytes,
    /// What the driver reserves for itself; `None` if it does not say, and its part is in `unaccounted`.
    pub reserved: Option<Bytes>,
    /// CUDA contexts of processes whose memory the driver does not know.
    pub contexts: Bytes,
    /// The rest. It is negative where memory is counted in two processes, or was freed between two calls.
    pub unaccounted: i64,
}

/// The server that holds the memory of its clients.
const MPS_SERVER: &str = "nvidia-cuda-mps-server";

impl Sample {
    /// The GPU's processes.
    pub fn processes_of(&self, gpu: usize) -> impl Iterator<Item = &GpuProcess> {
        self.processes.iter().filter(move |process| process.gpu == gpu)
    }

    /// Where a GPU's memory is; `None` if its memory is not known or is the host's. `context` is what a CUDA context takes
    /// there, if that is known: it stands in for processes without a figure.
    pub fn ledger(&self, gpu: usize, context: Option<Bytes>) -> Option<Ledger> {
        let found = self.gpus.get(gpu)?;
        let GpuMemory::Own(memory) = &found.memory else { return None };
        let reserved = memory.reserved.map(Bytes::new);
        let used = memory.used.saturating_add(memory.reserved.unwrap_or(0));
        let is_here = |at: usize| {
            let parent = self.gpus.get(at).and_then(|gpu| gpu.partition.as_ref()).map(|part| &part.parent);
            at == gpu || parent == Some(&found.uuid)
        };
        let here: Vec<&GpuProcess> = self.processes.iter().filter(|process| is_here(process.gpu)).collect();
        let has_server = here.iter().any(|process| process.is_mps_server() && process.used.is_some());
        let counted = here.iter().filter(|process| process.compute || process.graphics || !has_server);
        let processes = counted
            .filter_map(|process| process.used)
            .fold(0_u64, |sum, used| sum.saturating_add(used.get()));
        let without = here.iter().filter(|process| process.used.is_none() && process.compute).count() as u64;
        let known = processes.saturating_add(memory.reserved.unwrap_or(0));
        let contexts = context.and_then(|context| context.checked_mul(without)).unwrap_or_default();
        // A guess never exceeds what there is to explain.
        let contexts = contexts.min(Bytes::new(used.saturating_sub(known)));
        let rest = i128::from(used) - i128::from(known) - i128::from(contexts.get());
        let unaccounted = i64::try_from(rest).unwrap_or(if rest < 0 { i64::MIN } else { i64::MAX });
        Some(Ledger {
            used: Bytes::new(used),
            processes: Bytes::new(processes),
            reserved,
            contexts,
            unaccounted,
        })
    }
}

impl GpuProcess {
    /// Whether it is the server of CUDA's Multi-Process Service.
    pub fn is_mps_server(&self) -> bool {
        self.facts.command.as_ref().is_some_and(|command| command.contains(MPS_SERVER))
    }
}

/// The most memory of each process, while it runs.
#[derive(Debug, Default)]
pub(crate) struct Peaks(HashMap<Key, u64>);

/// The UUID's place in the list of GPUs, the process ID and the start of the process: another process can get the same ID.
type Key = (usize, u32, u64);

impl Peaks {
    /// Adds the memory of now, and fills in the peaks. Processes that are gone are forgotten.
    pub fn update(&mut self, processes: &mut [GpuProcess]) {
        let mut peaks = HashMap::with_capacity(processes.len());
        for process in processes {
            let key = (process.gpu, process.pid, process.facts.start);
            let before = self.0.get(&key).copied();
            let peak = before.max(process.used.map(Bytes::get));
            process.peak = peak.map(Bytes::new);
            peaks.extend(peak.map(|peak| (key, peak)));
        }
        self.0 = peaks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, used: Option<u64>, command: &str) -> GpuProcess {
        let facts = ProcessFacts { command: Some(command.to_owned()), ..ProcessFacts::default() };
        let used = used.map(Bytes::new);
        GpuProcess { gpu: 0, pid, used, peak: None, compute: true, graphics: false, mps: false, facts }
    }

    fn sample(memory: MemoryInfo, processes: Vec<GpuProcess>) -> Sample {
        let gpu = Gpu {
            index: 0,
            uuid: "GPU-0".to_owned(),
            name: "NVIDIA L4".to_owned(),
            vendor: "nvidia",
            bus: None,
            partition: None,
            is_partitioned: false,
            is_vgpu: false,
            is_wddm: false,
            memory: GpuMemory::Own(memory),
            utilization: None,
            unlisted: None,
            has_garbage: false,
        };
        Sample { gpus: vec![gpu], processes, ..Sample::default() }
    }

    const MEMORY: MemoryInfo = MemoryInfo { total: 1000, reserved: Some(50), free: 450, used: 500 };

    #[test]
    fn the_parts_add_up_to_what_is_used() {
        let sample = sample(MEMORY, vec![process(1, Some(300), "a"), process(2, None, "b")]);
        let ledger = sample.ledger(0, Some(Bytes::new(70))).unwrap();
        assert_eq!((ledger.used.get(), ledger.processes.get(), ledger.contexts.get()), (550, 300, 70));
        assert_eq!(ledger.unaccounted, 130);
        assert_eq!(sample.ledger(0, Some(Bytes::new(700))).unwrap().unaccounted, 0);
        assert_eq!(sample.ledger(0, None).unwrap().unaccounted, 200);
    }

    #[test]
    fn memory_that_is_counted_twice_is_a_negative_rest() {
        let sample = sample(MEMORY, vec![process(1, Some(300), "a"), process(2, Some(300), "b")]);
        assert_eq!(sample.ledger(0, None).unwrap().unaccounted, -100);
    }

    #[test]
    fn clients_of_the_mps_server_are_in_its_figure() {
        let mut client = process(2, Some(100), "python");
        (client.compute, client.mps) = (false, true);
        let with = sample(MEMORY, vec![process(1, Some(400), "nvidia-cuda-mps-server"), client.clone()]);
        assert_eq!(with.ledger(0, None).unwrap().processes.get(), 400);
        let without = sample(MEMORY, vec![client]);
        assert_eq!(without.ledger(0, None).unwrap().processes.get(), 100);
    }

    #[test]
    fn a_peak_is_kept_while_the_process_runs_and_not_for_the_next_with_its_number() {
        let mut peaks = Peaks::default();
        let mut seen = |used, start| {
            let mut processes = [process(1, used, "a")];
            processes[0].facts.start = start;
            peaks.update(&mut processes);
            processes[0].peak.map(Bytes::get)
        };
        assert_eq!([seen(Some(5), 1), seen(Some(3), 1), seen(None, 1)], [Some(5), Some(5), Some(5)]);
        assert_eq!(seen(Some(2), 9), Some(2));
        assert_eq!(seen(None, 10), None);
    }
}
