//! The virtual machine of this process: its settings, counters, memory and streams.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::counters::Counters;
use super::memory::Memory;
use super::streams::Streams;
use crate::{SETTINGS_VARIABLE, Settings};

/// The virtual machine.
pub(super) struct Machine {
    /// Which GPUs it has.
    pub settings: Settings,
    /// What this process and the others count.
    pub counters: Counters,
    memory: Mutex<Memory>,
    streams: Mutex<Streams>,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let settings = match std::env::var(SETTINGS_VARIABLE).unwrap_or_default().parse() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("brimful: {error}; a GPU without a memory limit is used instead");
            Settings::default()
        }
    };
    let memory = Mutex::new(Memory::new(&settings));
    Machine { settings, counters: Counters::open(), memory, streams: Mutex::default() }
});

/// The virtual machine of this process, which its first use makes.
pub(super) fn machine() -> &'static Machine {
    &MACHINE
}

impl Machine {
    /// The number of GPUs, whether or not this process may use them.
    pub fn devices(&self) -> usize {
        self.settings.devices as usize
    }

    /// The memory of all GPUs. A lock that a panic poisoned is used on: no code panics between two changes that belong
    /// together.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The streams, events and captures.
    pub fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
