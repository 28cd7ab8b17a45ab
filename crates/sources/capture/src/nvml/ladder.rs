//! The GPUs of a driver of any version: each figure by the newest function that answers.

use super::backend::{Backend, Function, Handle, MemoryInfo};
use super::processes::{List, ListForm, ListReader, ProcessReading};
use super::status::Status;

/// What the driver says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverFacts {
    /// The driver's version, such as 580.95.05.
    pub driver: Option<String>,
    /// The library's own version.
    pub nvml: Option<String>,
    /// The newest CUDA that the driver runs, major and minor.
    pub cuda: Option<(u32, u32)>,
}

/// What stays the same about a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuFacts {
    /// Its number in the order of the PCI bus, which is not CUDA's order. A partition has its GPU's number.
    pub index: u32,
    /// Its UUID, by which it is known everywhere.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Its name on the PCI bus.
    pub bus: Option<String>,
    /// Which part of a GPU it is; `None` for a whole one.
    pub partition: Option<Partition>,
    /// Whether it is divided into MIG partitions.
    pub is_partitioned: bool,
    /// Whether it is a virtual GPU in a guest (`NVML_GPU_VIRTUALIZATION_MODE_VGPU`).
    pub is_vgpu: bool,
    /// Whether Windows' WDDM manages its memory, also seen from WSL.
    pub is_wddm: bool,
    /// Whether the driver stays loaded without clients; `None` if it is not known.
    pub persistence: Option<bool>,
    /// Why the driver does not let this GPU be read; `None` if it does.
    pub refusal: Option<Status>,
}

/// A MIG partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The UUID of its GPU.
    pub parent: String,
    /// Its number among the partitions of its GPU.
    pub number: u32,
    /// The GPU instance; `None` if the driver does not say.
    pub instance: Option<u32>,
}

/// The memory of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It has its own.
    Own(MemoryInfo),
    /// It shares the host's memory (UMA). NVML has no figure, or one that is not to be believed.
    Shared,
    /// The driver does not say, for this reason.
    Hidden(Status),
}

/// What changes about a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuReading {
    /// Its memory.
    pub memory: Memory,
    /// The share of time in which a kernel ran, in percent.
    pub utilization: Option<u32>,
    /// The processes on it, each once.
    pub processes: Vec<ProcessReading>,
    /// Why there is no list of processes; `None` if there is one.
    pub unlisted: Option<Status>,
    /// Whether the driver's list held entries that make no sense, which are left out.
    pub has_garbage: bool,
}

/// Which functions answered last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rungs {
    /// The function that initialised the library.
    pub init: Option<Function>,
    /// The function that returned the memory of the last GPU that has a figure.
    pub memory: Option<Function>,
    /// How each list of processes was read, in the order of [`List::ALL`].
    pub lists: [Option<ListForm>; 3],
}

/// The library cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} returned {status}", .function.name())]
pub struct OpenError {
    /// The function that failed.
    pub function: Function,
    /// What it returned.
    pub status: Status,
}

/// Names of GPUs that share the host's memory, as far as NVML's total is concerned.
const INTEGRATED: [&str; 6] = ["GB10", "N1X", "Orin", "Thor", "Tegra", "Xavier"];

/// An initialised driver with its GPUs.
pub struct Driver {
    backend: Box<dyn Backend>,
    facts: DriverFacts,
    gpus: Vec<GpuFacts>,
    handles: Vec<Option<Handle>>,
    lists: ListReader,
    rungs: Rungs,
}

impl Driver {
    /// Initialises the library and finds the GPUs.
    ///
    /// # Errors
    /// The driver is not there, or does not fit its library.
    pub fn open(mut backend: Box<dyn Backend>) -> Result<Driver, OpenError> {
        use Function::*;
        let init = if backend.has(nvmlInit_v2) { nvmlInit_v2 } else { nvmlInit };
        backend.call(init).map_err(|status| OpenError { function: init, status })?;
        let count_by =
            if backend.has(nvmlDeviceGetCount_v2) { nvmlDeviceGetCount_v2 } else { nvmlDeviceGetCount };
        let count =
            backend.number(count_by, None).map_err(|status| OpenError { function: count_by, status })?;
        let lists = ListReader::new(backend.as_ref());
        let mut driver = Driver {
            facts: driver_facts(backend.as_mut()),
            backend,
            gpus: Vec::new(),
            handles: Vec::new(),
            lists,
            rungs: Rungs { init: Some(init), ..Rungs::default() },
        };
        for index in 0..count {
            driver.find(index);
        }
        Ok(driver)
    }

    /// What the driver says about itself.
    pub fn facts(&self) -> &DriverFacts {
        &self.facts
    }

    /// The GPUs in the order of the bus, each followed by its partitions.
    pub fn gpus(&self) -> &[GpuFacts] {
        &self.gpus
    }

    /// Which functions answered last.
    pub fn rungs(&self) -> Rungs {
        self.rungs
    }

    /// Whether the library exports a function.
    pub fn has(&self, function: Function) -> bool {
        self.backend.has(function)
    }

    fn find(&mut self, index: u32) {
        use Function::*;
        let backend = self.backend.as_mut();
        let by = match backend.has(nvmlDeviceGetHandleByIndex_v2) {
            true => nvmlDeviceGetHandleByIndex_v2,
            false => nvmlDeviceGetHandleByIndex,
        };
        let handle = match backend.handle(by, None, index) {
            Ok(handle) => handle,
            Err(status) => {
                let facts = GpuFacts { index, refusal: Some(status), ..GpuFacts::default() };
                self.gpus.push(GpuFacts { uuid: format!("GPU at index {index}"), ..facts });
                self.handles.push(None);
                return;
            }
        };
        let gpu = gpu_facts(backend, handle, index);
        let parent = gpu.is_partitioned.then(|| gpu.clone());
        self.gpus.push(gpu);
        self.handles.push(Some(handle));
        if let Some(parent) = parent {
            self.find_partitions(&parent, handle);
        }
    }

    fn find_partitions(&mut self, parent: &GpuFacts, handle: Handle) {
        use Function::*;
        let backend = self.backend.as_mut();
        // An A100 has up to seven; a driver that does not say is asked for as many.
        let most = backend.number(nvmlDeviceGetMaxMigDeviceCount, Some(handle)).unwrap_or(7).min(64);
        for number in 0..most {
            // Partitions that are not there leave gaps between the numbers.
            let Ok(found) = backend.handle(nvmlDeviceGetMigDeviceHandleByIndex, Some(handle), number) else {
                continue;
            };
            let instance = backend.number(nvmlDeviceGetGpuInstanceId, Some(found)).ok();
            let name = backend.text(nvmlDeviceGetName, Some(found));
            let uuid = backend.text(nvmlDeviceGetUUID, Some(found));
            self.gpus.push(GpuFacts {
                name: name.unwrap_or_else(|_| format!("{} MIG", parent.name)),
                uuid: uuid.unwrap_or_else(|_| format!("{} MIG {number}", parent.uuid)),
                partition: Some(Partition { parent: parent.uuid.clone(), number, instance }),
                is_partitioned: false,
                ..parent.clone()
            });
            self.handles.push(Some(found));
        }
    }

    /// Reads all GPUs. `host` is the memory of the machine, against which the figure of an integrated GPU is held. The
    /// readings of an earlier call are filled again.
    pub fn read(&mut self, host: Option<u64>, readings: &mut Vec<GpuReading>) {
        readings.resize_with(self.gpus.len(), GpuReading::empty);
        for (at, reading) in readings.iter_mut().enumerate() {
            reading.clear();
            match self.handles[at] {
                Some(handle) => self.read_one(at, handle, host, reading),
                None => {
                    let refusal = self.gpus[at].refusal.unwrap_or(Status::NOT_FOUND);
                    (reading.memory, reading.unlisted) = (Memory::Hidden(refusal), Some(refusal));
                }
            }
        }
    }

    fn read_one(&mut self, at: usize, handle: Handle, host: Option<u64>, reading: &mut GpuReading) {
        let gpu = &self.gpus[at];
        reading.memory = match memory(self.backend.as_mut(), handle) {
            Ok((function, memory)) => {
                self.rungs.memory = Some(function);
                if is_shared(gpu, &memory, host) { Memory::Shared } else { Memory::Own(memory) }
            }
            // GB10 and its relatives: both functions are not supported, and the list of processes is.
            Err(Status::NOT_SUPPORTED) if !gpu.is_partitioned && !gpu.is_vgpu => Memory::Shared,
            Err(status) => Memory::Hidden(status),
        };
        // A partitioned GPU has no utilisation, and its processes are those of its partitions.
        if gpu.is_partitioned && self.gpus.get(at + 1).is_some_and(|next| next.partition.is_some()) {
            return;
        }
        let rates = self.backend.pair(Function::nvmlDeviceGetUtilizationRates, handle);
        reading.utilization = rates.ok().map(|(gpu, _)| gpu).filter(|percent| *percent <= 100);
        self.read_processes(handle, reading);
    }

    fn read_processes(&mut self, handle: Handle, reading: &mut GpuReading) {
        let total = match reading.memory {
            Memory::Own(memory) => Some(memory.total),
            _ => None,
        };
        for (at, list) in List::ALL.into_iter().enumerate() {
            let found = &mut reading.processes;
            match self.lists.read(self.backend.as_mut(), list, handle, total, found) {
                Ok((form, is_whole)) => {
                    self.rungs.lists[at] = Some(form);
                    reading.has_garbage |= !is_whole;
                }
                // The other lists are not there for every kind of GPU.
                Err(status) if list == List::Compute => reading.unlisted = Some(status),
                Err(_) => {}
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // What it returns changes nothing: the process ends, or opens the library again.
        let _ = self.backend.call(Function::nvmlShutdown);
    }
}

impl GpuReading {
    fn empty() -> GpuReading {
        GpuReading {
            memory: Memory::Hidden(Status::NOT_FOUND),
            utilization: None,
            processes: Vec::new(),
            unlisted: None,
            has_garbage: false,
        }
    }

    /// Forgets the figures and keeps the room.
    fn clear(&mut self) {
        self.processes.clear();
        (self.utilization, self.unlisted, self.has_garbage) = (None, None, false);
    }
}

fn driver_facts(backend: &mut dyn Backend) -> DriverFacts {
    use Function::*;
    let cuda = backend
        .number(nvmlSystemGetCudaDriverVersion_v2, None)
        .or_else(|_| backend.number(nvmlSystemGetCudaDriverVersion, None));
    DriverFacts {
        driver: backend.text(nvmlSystemGetDriverVersion, None).ok(),
        nvml: backend.text(nvmlSystemGetNVMLVersion, None).ok(),
        // 13020 is 13.2.
        cuda: cuda.ok().map(|number| (number / 1000, number % 1000 / 10)),
    }
}

fn gpu_facts(backend: &mut dyn Backend, handle: Handle, index: u32) -> GpuFacts {
    use Function::*;
    let bus = backend
        .bus(nvmlDeviceGetPciInfo_v3, handle)
        .or_else(|_| backend.bus(nvmlDeviceGetPciInfo_v2, handle));
    GpuFacts {
        index,
        uuid: backend
            .text(nvmlDeviceGetUUID, Some(handle))
            .unwrap_or_else(|_| format!("GPU at index {index}")),
        name: backend
            .text(nvmlDeviceGetName, Some(handle))
            .unwrap_or_else(|_| "a GPU without a name".to_owned()),
        bus: bus.ok().filter(|bus| !bus.is_empty()),
        partition: None,
        // NVML_DEVICE_MIG_ENABLE
        is_partitioned: backend.pair(nvmlDeviceGetMigMode, handle).is_ok_and(|(current, _)| current == 1),
        // NVML_GPU_VIRTUALIZATION_MODE_VGPU
        is_vgpu: backend.number(nvmlDeviceGetVirtualizationMode, Some(handle)) == Ok(2),
        // NVML_DRIVER_WDDM is 0; Linux returns that it is not supported.
        is_wddm: backend.pair(nvmlDeviceGetDriverModel, handle).is_ok_and(|(current, _)| current == 0),
        persistence: backend.number(nvmlDeviceGetPersistenceMode, Some(handle)).ok().map(|mode| mode == 1),
        refusal: None,
    }
}

/// The newer function separates what the driver reserves from what is used; the older one adds it to what is used.
fn memory(backend: &mut dyn Backend, handle: Handle) -> Result<(Function, MemoryInfo), Status> {
    use Function::{nvmlDeviceGetMemoryInfo, nvmlDeviceGetMemoryInfo_v2};
    match backend.memory(nvmlDeviceGetMemoryInfo_v2, handle) {
        Ok(memory) => Ok((nvmlDeviceGetMemoryInfo_v2, memory)),
        Err(status) if status.is_of_the_form() || status == Status::NOT_SUPPORTED => {
            backend.memory(nvmlDeviceGetMemoryInfo, handle).map(|memory| (nvmlDeviceGetMemoryInfo, memory))
        }
        Err(status) => Err(status),
    }
}

/// Whether a figure is that of a GPU without memory of its own: nothing, or (N1X) a small part of the host's.
fn is_shared(gpu: &GpuFacts, memory: &MemoryInfo, host: Option<u64>) -> bool {
    let is_integrated = INTEGRATED.iter().any(|name| gpu.name.contains(name));
    memory.total == 0 || is_integrated && host.is_some_and(|host| memory.total < host / 2)
}
