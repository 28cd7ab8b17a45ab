//! All sources of a machine together.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brimful_units::Bytes;

use crate::drm::{Drm, DrmReading};
use crate::nvml::{
    Backend, DEADLINE, DriverThread, GpuFacts, GpuReading, Memory, MemoryInfo, Nvml, ProcessReading,
    Recorder, SharedRecording, ThreadError, Try,
};
use crate::proc::{Processes, read_host};
use crate::sample::{Gpu, GpuMemory, GpuProcess, Holder, Peaks, Sample};
use crate::surroundings::Surroundings;

/// How to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// `/proc`, or the host's where a container mounts it, such as `/host/proc`.
    pub proc: PathBuf,
    /// How long the driver may take to answer.
    pub deadline: Duration,
    /// Whether to keep what NVIDIA's driver returns, for [`Monitor::fixture`].
    pub records: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { proc: PathBuf::from("/proc"), deadline: DEADLINE, records: false }
    }
}

/// What was looked for, and what was found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Where NVML was looked for.
    pub tries: Vec<Try>,
    /// Why NVIDIA's driver cannot be used, although its library was found.
    pub refusal: Option<ThreadError>,
    /// How many GPUs of AMD and Intel `/sys/class/drm` has.
    pub drm_cards: usize,
}

/// Looks at the GPUs of this machine again and again.
pub struct Monitor {
    options: Options,
    looked: Looked,
    nvml: Option<DriverThread>,
    drm: Drm,
    processes: Processes,
    peaks: Peaks,
    recording: Option<SharedRecording>,
}

impl Monitor {
    /// Looks for GPUs. A machine without any is no error: [`Monitor::looked`] says where they were looked for.
    pub fn open(options: Options) -> Monitor {
        let (library, tries) = Nvml::load();
        let recording = (options.records && library.is_some()).then(SharedRecording::default);
        let backend = library.map(|library| -> Box<dyn Backend> {
            match &recording {
                Some(recording) => Box::new(Recorder::new(Box::new(library), recording.clone())),
                None => Box::new(library),
            }
        });
        let opened = backend.map(|backend| DriverThread::open(backend, options.deadline));
        let (nvml, refusal) = match opened {
            Some(Ok(thread)) => (Some(thread), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let drm = Drm::find(Path::new("/sys"), &options.proc);
        let looked = Looked { tries, refusal, drm_cards: drm.cards().len() };
        let processes = Processes::new(&options.proc);
        Monitor { options, looked, nvml, drm, processes, peaks: Peaks::default(), recording }
    }

    /// What was looked for, and what was found.
    pub fn looked(&self) -> &Looked {
        &self.looked
    }

    /// NVIDIA's driver, if it can be used.
    pub fn nvml(&self) -> Option<&DriverThread> {
        self.nvml.as_ref()
    }

    /// What NVIDIA's driver returned until `sample`, the last one, as a fixture of the form in `fixtures/nvml`. `None` if its
    /// library was not found, or nothing is kept.
    pub fn fixture(&self, sample: &Sample) -> Option<serde_json::Value> {
        let recording = self.recording.as_ref()?.get();
        let read = match (&self.nvml, self.looked.refusal) {
            (Some(thread), _) => Ok(thread.readings()),
            (None, refusal) => Err(refusal.map_or(String::new(), |error| error.to_string())),
        };
        Some(recording.fixture(sample.host.total, read))
    }

    /// What is around the GPUs.
    pub fn surroundings(&self) -> Surroundings {
        Surroundings::look(&self.options.proc, self.processes.sees_host())
    }

    /// Whether every process of the machine can be seen from here.
    pub fn sees_host(&self) -> bool {
        self.processes.sees_host()
    }

    /// Looks at everything.
    pub fn sample(&mut self) -> Sample {
        let host = read_host(&self.options.proc);
        let mut sample = Sample { time: now(), host, ..Sample::default() };
        self.add_nvidia(&mut sample);
        self.add_drm(&mut sample);
        let by_memory = |process: &GpuProcess| (process.gpu, std::cmp::Reverse(process.used), process.pid);
        sample.processes.sort_by_key(by_memory);
        self.peaks.update(&mut sample.processes);
        let live = &sample.processes;
        self.processes.retain(|pid| live.iter().any(|process| process.pid == pid));
        sample
    }

    /// The processes that have a GPU of NVIDIA open and are in none of the lists of `sample`: memory that no process accounts
    /// for may be theirs.
    pub fn holders(&mut self, sample: &Sample) -> Vec<Holder> {
        let mut pids = self.processes.with_device();
        pids.retain(|pid| sample.processes.iter().all(|process| process.pid != *pid));
        pids.into_iter().map(|pid| Holder { pid, facts: self.processes.get(pid).clone() }).collect()
    }

    fn add_nvidia(&mut self, sample: &mut Sample) {
        let Some(thread) = &mut self.nvml else { return };
        let opened = thread.opened().clone();
        sample.driver = Some(opened.driver);
        let readings = match thread.read(sample.host.total) {
            Ok(readings) => readings,
            Err(error) => {
                sample.troubles.push(format!("NVIDIA's driver gives no figures: {error}"));
                &[]
            }
        };
        for (facts, reading) in opened.gpus.iter().zip(readings) {
            let gpu = sample.gpus.len();
            sample.gpus.push(nvidia(facts, reading));
            for process in &reading.processes {
                let facts = self.processes.get(process.pid).clone();
                sample.processes.push(GpuProcess { facts, ..of_driver(gpu, process) });
            }
        }
    }

    fn add_drm(&mut self, sample: &mut Sample) {
        for (card, reading) in self.drm.cards().iter().zip(self.drm.read()) {
            let gpu = sample.gpus.len();
            sample.gpus.push(Gpu {
                index: u32::try_from(gpu).unwrap_or(u32::MAX),
                uuid: card.bus.clone(),
                name: card.name.clone(),
                vendor: card.vendor,
                bus: Some(card.bus.clone()),
                partition: None,
                is_partitioned: false,
                is_vgpu: false,
                is_wddm: false,
                memory: drm_memory(&reading),
                utilization: reading.utilization,
                unlisted: None,
                has_garbage: false,
            });
            for (pid, used) in reading.processes {
                let facts = self.processes.get(pid).clone();
                let used = Some(Bytes::new(used));
                let process = GpuProcess {
                    gpu,
                    pid,
                    used,
                    peak: None,
                    compute: true,
                    graphics: false,
                    mps: false,
                    facts,
                };
                sample.processes.push(process);
            }
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn nvidia(facts: &GpuFacts, reading: &GpuReading) -> Gpu {
    let memory = match reading.memory {
        Memory::Own(memory) => GpuMemory::Own(memory),
        Memory::Shared => GpuMemory::Shared,
        Memory::Hidden(status) => GpuMemory::Hidden(status.to_string()),
    };
    Gpu {
        index: facts.index,
        uuid: facts.uuid.clone(),
        name: facts.name.clone(),
        vendor: "nvidia",
        bus: facts.bus.clone(),
        partition: facts.partition.clone(),
        is_partitioned: facts.is_partitioned,
        is_vgpu: facts.is_vgpu,
        is_wddm: facts.is_wddm,
        memory,
        utilization: reading.utilization,
        unlisted: reading.unlisted.map(|status| status.to_string()),
        has_garbage: reading.has_garbage,
    }
}

fn of_driver(gpu: usize, process: &ProcessReading) -> GpuProcess {
    GpuProcess {
        gpu,
        pid: process.pid,
        used: process.used.map(Bytes::new),
        peak: None,
        compute: process.compute,
        graphics: process.graphics,
        mps: process.mps,
        facts: Default::default(),
    }
}

/// Intel's drivers have no figure for the whole card.
fn drm_memory(reading: &DrmReading) -> GpuMemory {
    match (reading.total, reading.used) {
        (Some(total), Some(used)) => {
            GpuMemory::Own(MemoryInfo { total, reserved: None, free: total.saturating_sub(used), used })
        }
        _ => GpuMemory::Hidden("the kernel's driver has no figure for it".to_owned()),
    }
}
