//! The one machine of this process.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::counters::Counters;
use super::memory::Memory;
use super::streams::Streams;
use crate::{SETTINGS_VARIABLE, Settings};

pub(super) struct Machine {
    pub settings: Settings,
    pub counters: Counters,
    memory: Mutex<Memory>,
    streams: Mutex<Streams>,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let settings = match std::env::var(SETTINGS_VARIABLE).unwrap_or_default().parse() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("brimful: {error}; a GPU without an end is taken instead");
            Settings::default()
        }
    };
    let memory = Mutex::new(Memory::new(&settings));
    Machine { settings, counters: Counters::open(), memory, streams: Mutex::default() }
});

pub(super) fn machine() -> &'static Machine {
    &MACHINE
}

impl Machine {
    pub fn devices(&self) -> usize {
        self.settings.devices as usize
    }

    /// A panic while memory is held leaves it as it was: nothing below panics between two changes that belong together.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
