use brimful_capture::nvml::{Cost, Function, Opened, Rungs};
use brimful_capture::{Looked, Sample, Surroundings};

/// What was found of the drivers of this machine's GPUs.
pub struct DoctorAnswer<'a> {
    /// What was looked for.
    pub looked: &'a Looked,
    /// What is around the GPUs.
    pub surroundings: &'a Surroundings,
    /// NVIDIA's driver; `None` if it cannot be used.
    pub nvml: Option<DoctorDriver<'a>>,
    /// One look at the GPUs.
    pub sample: &'a Sample,
}

/// NVIDIA's driver as it was used for one look.
pub struct DoctorDriver<'a> {
    /// What is known about it.
    pub opened: &'a Opened,
    /// Which functions answered.
    pub rungs: Rungs,
    /// What the calls cost.
    pub costs: Vec<Cost>,
}

/// Resident memory from which nvidia-persistenced is said to leak: it needs about 2 MB.
const LARGE_PERSISTENCED: u64 = 1 << 30;

impl DoctorAnswer<'_> {
    /// The functions that the library does not export.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let Some(nvml) = &self.nvml else { return Vec::new() };
        let all = Function::ALL.iter().filter(|function| !nvml.opened.functions.contains(function));
        all.map(|function| function.name()).collect()
    }

    /// What stands in the way or changes the figures, as sentences.
    pub(super) fn findings(&self) -> Vec<String> {
        let around = self.surroundings;
        let mut findings = Vec::new();
        findings.extend(self.looked.refusal.map(|error| format!("NVIDIA's driver cannot be used: {error}.")));
        findings.extend(self.sample.troubles.iter().map(|trouble| format!("{trouble}.")));
        if self.nvml.is_none() && around.kernel_module.is_some() && self.looked.refusal.is_none() {
            findings.push(
                "The kernel module of NVIDIA's driver is loaded, and its library was not found. In a container, set \
                 NVIDIA_DRIVER_CAPABILITIES=compute,utility."
                    .to_owned(),
            );
        }
        if around.is_in_container {
            findings.push(
                "This is a container: processes outside of it have no user and no command here. Mount the host's /proc, and \
                 name it: brimful top --proc /host/proc"
                    .to_owned(),
            );
        }
        if around.is_wsl {
            findings.push("This is WSL: the driver does not know the memory of a process.".to_owned());
        }
        if let Some(library) = &around.preload {
            findings.push(format!("{library} changes what the driver reports to every process (HAMi)."));
        }
        if !around.mps_servers.is_empty() {
            findings.push(
                "The Multi-Process Service runs: its server holds the memory of its clients.".to_owned(),
            );
        }
        if around.persistenced.is_some_and(|bytes| bytes >= LARGE_PERSISTENCED) {
            findings.push(
                "nvidia-persistenced holds over 1 GiB of the host's memory. Versions of it grow with every client; restart it."
                    .to_owned(),
            );
        }
        let sleeps =
            |nvml: &DoctorDriver<'_>| nvml.opened.gpus.iter().any(|gpu| gpu.persistence == Some(false));
        if self.nvml.as_ref().is_some_and(sleeps) {
            findings.push(
                "Persistence mode is off: without a client, the driver unloads, and the next start takes seconds. Turn it on: \
                 sudo nvidia-smi -pm 1"
                    .to_owned(),
            );
        }
        findings
    }
}
