//! Who uses the GPUs of this machine now?

use std::collections::BTreeMap;
use std::path::PathBuf;

use brimful_capture::{Holder, Looked, Monitor, Options, Sample, Surroundings};
use brimful_devices::Gpu;
use brimful_report::{TopAnswer, top_json, top_line, top_text};
use brimful_units::Bytes;

use crate::{Answer, Outcome};

/// Looks at the GPUs again and again.
pub struct Watcher {
    monitor: Monitor,
    surroundings: Surroundings,
    /// What a CUDA context takes, by the name of the GPU; `None` for a GPU that the catalogue does not know.
    contexts: BTreeMap<String, Option<Bytes>>,
}

/// One look.
pub struct TopReply {
    sample: Sample,
    looked: Looked,
    surroundings: Surroundings,
    contexts: BTreeMap<String, Bytes>,
    holders: Vec<Holder>,
}

impl Watcher {
    /// Looks for GPUs. `proc` is `/proc`, or the host's where a container mounts it.
    pub fn open(proc: PathBuf) -> Watcher {
        let monitor = Monitor::open(Options { proc, ..Options::default() });
        let surroundings = monitor.surroundings();
        Watcher { monitor, surroundings, contexts: BTreeMap::new() }
    }

    /// Looks once.
    pub fn look(&mut self) -> TopReply {
        let sample = self.monitor.sample();
        // Only processes without a figure need one: the catalogue is not read for all others.
        for process in sample.processes.iter().filter(|process| process.used.is_none()) {
            let name = &sample.gpus[process.gpu].name;
            if !self.contexts.contains_key(name) {
                self.contexts.insert(name.clone(), Gpu::find(name).ok().map(|gpu| gpu.context));
            }
        }
        let known = self.contexts.iter().filter_map(|(name, context)| Some((name.clone(), (*context)?)));
        let contexts: BTreeMap<String, Bytes> = known.collect();
        let is_open = |(at, gpu): (usize, &brimful_capture::Gpu)| {
            let ledger = sample.ledger(at, contexts.get(&gpu.name).copied());
            gpu.vendor == "nvidia" && ledger.is_some_and(|ledger| ledger.unaccounted > 0)
        };
        // All open files of all processes are looked at: only where there is something to explain.
        let is_any_open = sample.gpus.iter().enumerate().any(is_open);
        let holders = if is_any_open { self.monitor.holders(&sample) } else { Vec::new() };
        TopReply {
            contexts,
            holders,
            looked: self.monitor.looked().clone(),
            surroundings: self.surroundings.clone(),
            sample,
        }
    }
}

impl TopReply {
    fn view(&self) -> TopAnswer<'_> {
        TopAnswer {
            sample: &self.sample,
            looked: &self.looked,
            surroundings: &self.surroundings,
            contexts: &self.contexts,
            holders: &self.holders,
        }
    }

    /// The look in one line.
    pub fn line(&self) -> String {
        top_line(&self.view())
    }
}

impl Answer for TopReply {
    fn text(&self) -> String {
        top_text(&self.view())
    }

    fn json(&self) -> String {
        top_json(&self.view())
    }

    fn outcome(&self) -> Outcome {
        if self.sample.gpus.is_empty() { Outcome::Wrong } else { Outcome::Well }
    }
}
