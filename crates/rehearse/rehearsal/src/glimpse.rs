//! A run while it goes on, for a line on a terminal.

#[cfg(target_os = "linux")]
use std::{fs, path::Path};

use std::time::Duration;

use brimful_units::Bytes;

/// A run at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// How long it has run.
    pub elapsed: Duration,
    /// Whether a process has called the GPU.
    pub uses_gpu: bool,
    /// Optimizer steps that are done.
    pub steps: u64,
    /// Bytes that are taken now, on the GPU of which most was taken at once.
    pub used: Bytes,
    /// The most bytes that were taken of it.
    pub peak: Bytes,
}

impl Glimpse {
    /// The moment in words: phase, step, time, and memory.
    ///
    /// ```
    /// use brimful_rehearsal::Glimpse;
    /// use brimful_units::Bytes;
    /// let elapsed = std::time::Duration::from_secs(75);
    /// let glimpse = Glimpse { elapsed, uses_gpu: true, steps: 2, used: Bytes::gib(3), peak: Bytes::gib(5) };
    /// assert_eq!(glimpse.line(), "rehearsing: in step 3, 1 min 15 s, 3.00 GiB in use, 5.00 GiB at the peak so far");
    /// ```
    pub fn line(&self) -> String {
        let phase = match self.steps {
            0 if !self.uses_gpu => "starting, no GPU memory yet".to_owned(),
            0 => "before the end of the first step".to_owned(),
            done => format!("in step {}", done + 1),
        };
        let seconds = self.elapsed.as_secs();
        let time = if seconds < 60 {
            format!("{seconds} s")
        } else {
            format!("{} min {} s", seconds / 60, seconds % 60)
        };
        let memory = if self.uses_gpu {
            format!(", {} in use, {} at the peak so far", self.used, self.peak)
        } else {
            String::new()
        };
        format!("rehearsing: {phase}, {time}{memory}")
    }
}

/// Looks at the counters of the virtual GPUs and at the steps that the processes wrote down.
#[cfg(target_os = "linux")]
pub(crate) fn look(elapsed: Duration, states: &Path, records: &Path) -> Glimpse {
    let state = crate::counted::read(states);
    let devices = state.processes.iter().flat_map(|process| &process.devices);
    let fullest = devices.max_by_key(|device| device.peak).copied().unwrap_or_default();
    Glimpse {
        elapsed,
        uses_gpu: !state.processes.is_empty(),
        steps: steps(records),
        used: Bytes::new(fullest.used),
        peak: Bytes::new(fullest.peak),
    }
}

/// The most steps that a process has made. A number that is being written is read the next time.
#[cfg(target_os = "linux")]
fn steps(records: &Path) -> u64 {
    let files = fs::read_dir(records).into_iter().flatten().flatten().map(|entry| entry.path());
    let counts = files.filter(|path| path.extension().is_some_and(|ending| ending == "steps"));
    let numbers = counts.filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    numbers.max().unwrap_or(0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_those_of_the_process_that_made_most() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("1.steps", "2"), ("2.steps", "11"), ("3.steps", ""), ("4.json", "99")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(steps(folder.path()), 11);
        assert_eq!(steps(&folder.path().join("missing")), 0);
    }
}
