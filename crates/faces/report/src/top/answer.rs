use std::collections::BTreeMap;

use brimful_capture::{Gpu, GpuMemory, GpuProcess, Holder, Looked, Sample, Surroundings};
use brimful_units::Bytes;

/// One look at the GPUs with what stands around it.
pub struct TopAnswer<'a> {
    /// What was seen.
    pub sample: &'a Sample,
    /// Where GPUs were looked for.
    pub looked: &'a Looked,
    /// What is around them.
    pub surroundings: &'a Surroundings,
    /// What a CUDA context takes, by the name of the GPU.
    pub contexts: &'a BTreeMap<String, Bytes>,
    /// Processes that have a GPU of NVIDIA open and are in no list, looked for where memory is unaccounted.
    pub holders: &'a [Holder],
}

impl TopAnswer<'_> {
    /// What a CUDA context takes on a GPU, if the catalogue knows it.
    pub(super) fn context(&self, gpu: &Gpu) -> Option<Bytes> {
        self.contexts.get(&gpu.name).copied()
    }

    /// Whether a process runs where this one cannot see it.
    pub(super) fn is_outside(&self, process: &GpuProcess) -> bool {
        !process.facts.is_seen && self.surroundings.is_in_container
    }

    /// What to know about the figures, as sentences.
    pub(super) fn notes(&self) -> Vec<String> {
        let gpus = &self.sample.gpus;
        let mut notes = self.sample.troubles.clone();
        let mut add = |holds: bool, note: &str| notes.extend(holds.then(|| note.to_owned()));
        add(
            gpus.iter().any(|gpu| gpu.memory == GpuMemory::Shared),
            "UMA: the GPU has no memory of its own. What it may use is the host's MemAvailable, and a cgroup's limit does not \
             count what it uses.",
        );
        add(
            gpus.iter().any(|gpu| gpu.is_wddm) || self.surroundings.is_wsl,
            "Windows' WDDM manages the memory: the driver does not know the memory of a process, and a program that asks for \
             too much becomes slow and does not fail.",
        );
        add(
            gpus.iter().any(|gpu| gpu.has_garbage),
            "The driver's list of processes has entries that make no sense. They are left out.",
        );
        add(
            self.sample.processes.iter().any(|process| process.mps),
            "MPS: clients of the Multi-Process Service hold their memory through its server.",
        );
        notes.extend(self.surroundings.preload.iter().map(|library| {
            format!("{library} is loaded into every process and changes what the driver reports (HAMi): the figures are its own.")
        }));
        notes
    }

    /// Why there is no GPU, as lines, each with what was looked for.
    pub(super) fn searched(&self) -> Vec<String> {
        let tries = self.looked.tries.iter().map(|tried| {
            let outcome = tried.failure.as_deref().unwrap_or("loaded");
            format!("{}: {outcome}", tried.place.display())
        });
        let mut lines: Vec<String> = tries.collect();
        lines.extend(self.looked.refusal.map(|error| format!("NVIDIA's driver: {error}")));
        lines.push(match &self.surroundings.kernel_module {
            Some(version) => format!("/proc/driver/nvidia/version: {version}"),
            None => {
                "/proc/driver/nvidia/version: the kernel module of NVIDIA's driver is not loaded".to_owned()
            }
        });
        lines.push("/sys/class/drm: no card of AMD or Intel".to_owned());
        lines
    }

    /// What makes a GPU appear, if that is known.
    pub(super) fn hint(&self) -> Option<&'static str> {
        let has_library = self.looked.tries.iter().any(|tried| tried.failure.is_none());
        let is_loaded = self.surroundings.kernel_module.is_some();
        match (is_loaded, has_library, self.surroundings.is_in_container) {
            (true, false, _) => Some(
                "the driver runs, and its library is not here: in a container, set NVIDIA_DRIVER_CAPABILITIES=compute,utility",
            ),
            (false, false, true) => Some("start the container with a GPU: docker run --gpus all"),
            _ => None,
        }
    }
}
