//! What NVML's functions cost, and which one is running.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use super::backend::{Backend, Function, Handle, MemoryInfo};
use super::status::Status;

/// Calls and times by function. It is shared with the thread that waits.
#[derive(Debug)]
pub struct Meter {
    /// The function that is running, plus one.
    running: AtomicUsize,
    counters: Vec<Counter>,
}

#[derive(Debug, Default)]
struct Counter {
    calls: AtomicU64,
    nanoseconds: AtomicU64,
    status: AtomicU64,
}

/// What the calls of a function cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The function.
    pub function: Function,
    /// How often it was called.
    pub calls: u64,
    /// The time of all calls.
    pub nanoseconds: u64,
    /// What the last call returned; `None` for success.
    pub status: Option<Status>,
}

impl Default for Meter {
    fn default() -> Meter {
        let counters = Function::ALL.iter().map(|_| Counter::default()).collect();
        Meter { running: AtomicUsize::new(0), counters }
    }
}

impl Meter {
    /// The function that is running now.
    pub fn running(&self) -> Option<Function> {
        let running = self.running.load(Relaxed);
        Function::ALL.get(running.checked_sub(1)?).copied()
    }

    /// The functions that were called.
    pub fn costs(&self) -> Vec<Cost> {
        let all = Function::ALL.iter().zip(&self.counters);
        let cost = |(function, counter): (&Function, &Counter)| {
            let status = counter.status.load(Relaxed) as i32;
            Cost {
                function: *function,
                calls: counter.calls.load(Relaxed),
                nanoseconds: counter.nanoseconds.load(Relaxed),
                status: (status != 0).then_some(Status(status)),
            }
        };
        all.map(cost).filter(|cost| cost.calls > 0).collect()
    }

    /// The time of all calls so far.
    pub fn nanoseconds(&self) -> u64 {
        self.counters.iter().map(|counter| counter.nanoseconds.load(Relaxed)).sum()
    }

    fn measure<T>(&self, function: Function, call: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
        self.running.store(function as usize + 1, Relaxed);
        let start = Instant::now();
        let result = call();
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.running.store(0, Relaxed);
        if let Some(counter) = self.counters.get(function as usize) {
            counter.calls.fetch_add(1, Relaxed);
            counter.nanoseconds.fetch_add(took, Relaxed);
            let status = result.as_ref().err().map_or(0, |status| status.0 as u32);
            counter.status.store(u64::from(status), Relaxed);
        }
        result
    }
}

/// A backend whose calls are measured.
pub struct Metered {
    backend: Box<dyn Backend>,
    meter: Arc<Meter>,
}

impl Metered {
    /// Measures the calls of a backend.
    pub fn new(backend: Box<dyn Backend>, meter: Arc<Meter>) -> Metered {
        Metered { backend, meter }
    }
}

impl Backend for Metered {
    fn has(&self, function: Function) -> bool {
        self.backend.has(function)
    }

    fn call(&mut self, function: Function) -> Result<(), Status> {
        self.meter.measure(function, || self.backend.call(function))
    }

    fn text(&mut self, function: Function, handle: Option<Handle>) -> Result<String, Status> {
        self.meter.measure(function, || self.backend.text(function, handle))
    }

    fn number(&mut self, function: Function, handle: Option<Handle>) -> Result<u32, Status> {
        self.meter.measure(function, || self.backend.number(function, handle))
    }

    fn pair(&mut self, function: Function, handle: Handle) -> Result<(u32, u32), Status> {
        self.meter.measure(function, || self.backend.pair(function, handle))
    }

    fn handle(&mut self, function: Function, parent: Option<Handle>, index: u32) -> Result<Handle, Status> {
        self.meter.measure(function, || self.backend.handle(function, parent, index))
    }

    fn bus(&mut self, function: Function, handle: Handle) -> Result<String, Status> {
        self.meter.measure(function, || self.backend.bus(function, handle))
    }

    fn memory(&mut self, function: Function, handle: Handle) -> Result<MemoryInfo, Status> {
        self.meter.measure(function, || self.backend.memory(function, handle))
    }

    fn processes(
        &mut self,
        function: Function,
        handle: Handle,
        count: &mut u32,
        words: &mut [u64],
    ) -> Result<(), Status> {
        self.meter.measure(function, || self.backend.processes(function, handle, count, words))
    }
}
