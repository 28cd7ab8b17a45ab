//! The counters of all processes, in a mapped file.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::libc;
use crate::state::{HEAD, MOST_PROCESSES, OfProcess, OnDevice, STATE_VARIABLE, file_bytes, place};

pub(super) struct Counters {
    numbers: &'static [AtomicU64],
    /// This process's place, and the process ID that it belongs to: after a fork the ID differs, and the child claims its own.
    place: AtomicUsize,
    owner: AtomicU64,
}

impl Counters {
    /// Maps the file that the launcher named; without one, the numbers are this process's own.
    pub fn open() -> Counters {
        let numbers = std::env::var_os(STATE_VARIABLE).and_then(|path| map(&path)).unwrap_or_else(|| {
            let own = (0..file_bytes() / 8).map(|_| AtomicU64::new(0));
            Vec::leak(own.collect())
        });
        let counters = Counters { numbers, place: AtomicUsize::new(0), owner: AtomicU64::new(0) };
        for (number, head) in numbers.iter().zip(HEAD) {
            number.store(head, Relaxed);
        }
        counters
    }

    fn number(&self, place: usize) -> &AtomicU64 {
        &self.numbers[place.min(self.numbers.len() - 1)]
    }

    /// This process's place among the processes.
    fn process(&self) -> usize {
        let pid = u64::from(std::process::id());
        if self.owner.load(Relaxed) != pid {
            self.place.store(self.claim(pid), Relaxed);
            self.owner.store(pid, Relaxed);
        }
        self.place.load(Relaxed)
    }

    fn claim(&self, pid: u64) -> usize {
        let process = self.free_place(pid);
        if let Some(visible) = super::visible::packed_if_read() {
            self.number(place::process(process, OfProcess::Visible)).store(visible, Relaxed);
        }
        process
    }

    fn free_place(&self, pid: u64) -> usize {
        let free = |process: &usize| {
            let number = self.number(place::process(*process, OfProcess::Pid));
            number.compare_exchange(0, pid, Relaxed, Relaxed).is_ok()
        };
        (0..MOST_PROCESSES - 1).find(free).unwrap_or(MOST_PROCESSES - 1)
    }

    /// Adds to a number of this process, and returns the sum.
    pub fn add(&self, what: OfProcess, amount: u64) -> u64 {
        self.number(place::process(self.process(), what)).fetch_add(amount, Relaxed) + amount
    }

    /// Subtracts from a number of this process.
    pub fn subtract(&self, what: OfProcess, amount: u64) {
        self.number(place::process(self.process(), what)).fetch_sub(amount, Relaxed);
    }

    /// Sets a number of this process.
    pub fn set(&self, what: OfProcess, to: u64) {
        self.number(place::process(self.process(), what)).store(to, Relaxed);
    }

    /// Raises a number of this process to `to` if it is lower.
    pub fn raise(&self, what: OfProcess, to: u64) {
        self.number(place::process(self.process(), what)).fetch_max(to, Relaxed);
    }

    /// Counts a call of a function that is not modelled.
    pub fn called(&self, symbol: usize) {
        self.number(place::call(symbol)).fetch_add(1, Relaxed);
        self.number(place::process(self.process(), OfProcess::LastCall)).store(symbol as u64 + 1, Relaxed);
    }

    fn on(&self, device: usize, what: OnDevice) -> &AtomicU64 {
        self.number(place::on_device(self.process(), device, what))
    }

    /// Bytes in use on a GPU, by all processes.
    pub fn used(&self, device: usize) -> u64 {
        self.number(place::device(device)).load(Relaxed)
    }

    /// Takes memory of a GPU if that much is left of `total`, and returns whether it was. Before it refuses, it returns the
    /// memory of processes that have died.
    pub fn take(&self, device: usize, bytes: u64, total: u64, what: OnDevice) -> bool {
        if !self.try_take(device, bytes, total) {
            self.give_back_of_the_dead(device);
            if !self.try_take(device, bytes, total) {
                return false;
            }
        }
        let mine = self.on(device, what).fetch_add(bytes, Relaxed) + bytes;
        if matches!(what, OnDevice::Used) {
            self.on(device, OnDevice::Peak).fetch_max(mine, Relaxed);
            self.on(device, OnDevice::Allocations).fetch_add(1, Relaxed);
        }
        true
    }

    fn try_take(&self, device: usize, bytes: u64, total: u64) -> bool {
        let take = |used: u64| used.checked_add(bytes).filter(|used| *used <= total);
        self.number(place::device(device)).fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Counts an allocation that was refused.
    pub fn refused(&self, device: usize, bytes: u64) {
        self.on(device, OnDevice::Failures).fetch_add(1, Relaxed);
        self.on(device, OnDevice::LastFailed).store(bytes, Relaxed);
    }

    /// Returns memory of this process to a GPU.
    pub fn give_back(&self, device: usize, bytes: u64) {
        self.on(device, OnDevice::Used).fetch_sub(bytes, Relaxed);
        self.number(place::device(device)).fetch_sub(bytes, Relaxed);
    }

    /// Whether this process has a context on a GPU.
    pub fn has_context(&self, device: usize) -> bool {
        self.on(device, OnDevice::Context).load(Relaxed) > 0
    }

    /// The processes on a GPU: process ID, and bytes held with the context.
    pub fn holders(&self, device: usize) -> Vec<(u64, u64)> {
        let holder = |process| {
            let pid = self.number(place::process(process, OfProcess::Pid)).load(Relaxed);
            let on = |what| self.number(place::on_device(process, device, what)).load(Relaxed);
            (pid, on(OnDevice::Used) + on(OnDevice::Context))
        };
        (0..MOST_PROCESSES).map(holder).filter(|(pid, held)| *pid != 0 && *held > 0).collect()
    }

    /// Returns the memory of processes that have ended to a GPU.
    pub fn give_back_of_the_dead(&self, device: usize) {
        for process in 0..MOST_PROCESSES - 1 {
            let pid = self.number(place::process(process, OfProcess::Pid)).load(Relaxed);
            if pid == 0 || is_alive(pid) {
                continue;
            }
            for what in [OnDevice::Used, OnDevice::Context] {
                let held = self.number(place::on_device(process, device, what)).swap(0, Relaxed);
                self.number(place::device(device)).fetch_sub(held, Relaxed);
            }
        }
    }
}

fn is_alive(pid: u64) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: signal 0 asks only whether the process is there.
    let sent = unsafe { libc::kill(pid, 0) };
    sent == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

fn map(path: &std::ffi::OsStr) -> Option<&'static [AtomicU64]> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).ok()?;
    let bytes = file_bytes();
    if file.metadata().ok()?.len() < bytes as u64 {
        file.set_len(bytes as u64).ok()?;
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new shared mapping of a file that is as long as the mapping; nobody shortens it while the run lasts.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping is never undone, aligned to a page, and holds `bytes` bytes of numbers.
    Some(unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), bytes / 8) })
}
