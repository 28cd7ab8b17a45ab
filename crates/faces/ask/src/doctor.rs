//! Can the GPUs of this machine be read, and how?

use std::path::PathBuf;

use brimful_capture::{Monitor, Options, Sample};
use brimful_report::{DoctorAnswer, DoctorDriver, doctor_json, doctor_text};

use crate::{Answer, Outcome};

/// What was found of the drivers, after one look.
pub struct DoctorReply {
    monitor: Monitor,
    sample: Sample,
}

/// Looks for drivers, and calls them once. `proc` is `/proc`, or the host's where a container mounts it. With `records`, the
/// reply has what NVIDIA's driver returned.
pub fn doctor(proc: PathBuf, records: bool) -> DoctorReply {
    let mut monitor = Monitor::open(Options { proc, records, ..Options::default() });
    let sample = monitor.sample();
    DoctorReply { monitor, sample }
}

impl DoctorReply {
    /// What NVIDIA's driver returned, as a fixture of the form in `fixtures/nvml`: a line for each key. `None` if its library
    /// was not found, or nothing was recorded.
    pub fn fixture(&self) -> Option<String> {
        let fixture = self.monitor.fixture(&self.sample)?;
        let keys = fixture.as_object()?.iter().map(|(key, value)| format!("  \"{key}\": {value}"));
        Some(format!("{{\n{}\n}}\n", keys.collect::<Vec<_>>().join(",\n")))
    }

    fn answer(&self, form: fn(&DoctorAnswer<'_>) -> String) -> String {
        let surroundings = self.monitor.surroundings();
        let nvml = self.monitor.nvml().map(|thread| DoctorDriver {
            opened: thread.opened(),
            rungs: thread.rungs(),
            costs: thread.meter().costs(),
        });
        form(&DoctorAnswer {
            looked: self.monitor.looked(),
            surroundings: &surroundings,
            nvml,
            sample: &self.sample,
        })
    }
}

impl Answer for DoctorReply {
    fn text(&self) -> String {
        self.answer(doctor_text)
    }

    fn json(&self) -> String {
        self.answer(doctor_json)
    }

    fn outcome(&self) -> Outcome {
        if self.sample.gpus.is_empty() { Outcome::Wrong } else { Outcome::Well }
    }
}
