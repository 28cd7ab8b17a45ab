//! Device memory: address space that cannot be read, counted against the GPU's memory.

use std::collections::BTreeMap;

use super::addresses::{Addresses, Driver};
use super::machine::machine;
use super::visible::{on_machine, visible};
use super::{NO_DEVICE, OUT_OF_MEMORY, Status, libc, written};
use crate::Settings;
use crate::state::{OfProcess, OnDevice};

/// The granularity of `cudaMalloc` and `cuMemCreate` in bytes.
pub(super) const GRANULE: usize = 2 << 20;
/// The most address space in bytes that is reserved; a process on x86-64 has 128 TiB.
const MOST_SPACE: usize = 96 << 40;
/// How many times its memory size a GPU may hand out before addresses are reused.
const TURNS: usize = 256;
/// The least address space in bytes that is useful.
const LEAST_SPACE: usize = 1 << 36;

/// What a range of addresses is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Memory that is counted.
    Memory,
    /// Addresses alone: reserved ranges, another process's memory.
    Addresses,
    /// Memory of a stream-ordered pool, which is counted by the pool.
    Pooled,
}

/// A range of addresses that is in use.
struct Range {
    bytes: usize,
    device: usize,
    kind: Kind,
}

/// The memory of all GPUs.
pub(super) struct Memory {
    base: usize,
    /// Bytes of address space for each GPU.
    each: usize,
    /// The beginning of the space that was never handed out, by GPU: for what is reserved and what pools hold, and for
    /// memory once its own half of the space is full.
    fresh: Vec<usize>,
    /// The upper half of each GPU's space, where memory is placed as the driver of this system places it.
    placed: Vec<Addresses>,
    ranges: BTreeMap<usize, Range>,
    /// Freed ranges, for when the fresh space is used up.
    returned: BTreeMap<usize, usize>,
    /// Physical memory by handle: bytes and GPU.
    pub physical: BTreeMap<usize, (usize, usize)>,
    /// Host memory that CUDA knows, by address: bytes and kind.
    pub host: BTreeMap<usize, (usize, HostKind)>,
}

/// How host memory became known to CUDA.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HostKind {
    /// Allocated by `cudaHostAlloc` and similar functions.
    Pinned,
    /// Registered with `cudaHostRegister`.
    Registered,
    /// Allocated by `cudaMallocManaged`.
    Managed,
}

impl Memory {
    /// Reserves address space for the GPUs of these settings.
    pub fn new(settings: &Settings) -> Memory {
        let devices = settings.devices as usize;
        let turns = (settings.total as usize).saturating_mul(devices).saturating_mul(TURNS);
        let (base, space) = reserve_space(turns.clamp(LEAST_SPACE, MOST_SPACE));
        let each = space / devices / GRANULE * GRANULE;
        let driver = system();
        let upper_half = |device| {
            let start = base + device * each;
            Addresses::new(driver, (start + each / 2) as u64, (start + each) as u64)
        };
        Memory {
            base,
            each,
            fresh: (0..devices).map(|device| base + device * each).collect(),
            placed: (0..devices).map(upper_half).collect(),
            ranges: BTreeMap::new(),
            returned: BTreeMap::new(),
            physical: BTreeMap::new(),
            host: BTreeMap::new(),
        }
    }

    /// The GPU that an address belongs to.
    pub fn device_of(&self, address: usize) -> Option<usize> {
        let offset = address.checked_sub(self.base)?;
        Some(offset / self.each).filter(|device| *device < self.fresh.len())
    }

    /// The kind of host memory that holds an address; `None` if CUDA does not know it.
    pub fn host_holding(&self, address: usize) -> Option<HostKind> {
        let (start, (bytes, kind)) = self.host.range(..=address).next_back()?;
        (address < start + bytes).then_some(*kind)
    }

    /// The first address, which is used for everything that has no memory of its own.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The range that holds an address: its beginning and its bytes.
    pub fn holding(&self, address: usize) -> Option<(usize, usize)> {
        let (start, range) = self.ranges.range(..=address).next_back()?;
        (address < start + range.bytes).then_some((*start, range.bytes))
    }

    /// Hands out addresses for memory in the driver's order, on which PyTorch's choice between equal blocks depends up to
    /// torch 2.11. All other addresses ascend, and are used again only when the fresh space is used up.
    fn place(&mut self, device: usize, bytes: usize, kind: Kind) -> Option<usize> {
        let in_order = (kind == Kind::Memory).then(|| self.placed[device].take(bytes as u64)).flatten();
        let fresh = self.fresh[device];
        let end = self.start_of_placed(device);
        let address = if let Some(address) = in_order {
            address as usize
        } else if end - fresh >= bytes {
            self.fresh[device] += bytes;
            fresh
        } else {
            self.reuse(device, bytes)?
        };
        self.ranges.insert(address, Range { bytes, device, kind });
        Some(address)
    }

    /// Where the upper half of a GPU's space begins.
    fn start_of_placed(&self, device: usize) -> usize {
        (self.base + device * self.each + self.each / 2).next_multiple_of(GRANULE)
    }

    fn reuse(&mut self, device: usize, bytes: usize) -> Option<usize> {
        let within = self.base + device * self.each..self.base + (device + 1) * self.each;
        let mut fitting = self.returned.range(within);
        let (address, size) = fitting.find(|(_, size)| **size >= bytes).map(|(at, size)| (*at, *size))?;
        self.returned.remove(&address);
        if size > bytes {
            self.returned.insert(address + bytes, size - bytes);
        }
        Some(address)
    }

    fn take_back(&mut self, address: usize) -> Option<Range> {
        let range = self.ranges.remove(&address)?;
        if address >= self.start_of_placed(range.device) {
            self.placed[range.device].give_back(address as u64, range.bytes as u64);
            // Another segment may come to these addresses at once, and it begins empty.
            written::drop_overlapping(address, range.bytes);
            return Some(range);
        }
        let (mut start, mut bytes) = (address, range.bytes);
        if let Some((before, size)) = self.returned.range(..start).next_back().map(|(at, size)| (*at, *size))
            && before + size == start
        {
            self.returned.remove(&before);
            (start, bytes) = (before, size + bytes);
        }
        if let Some(size) = self.returned.remove(&(start + bytes)) {
            bytes += size;
        }
        self.returned.insert(start, bytes);
        Some(range)
    }

    /// `cudaMalloc`.
    pub fn allocate(&mut self, device: usize, bytes: usize) -> Result<usize, Status> {
        let bytes = whole_granules(bytes).ok_or(OUT_OF_MEMORY)?;
        take(device, bytes)?;
        self.place(device, bytes, Kind::Memory).ok_or_else(|| {
            machine().counters.give_back(on_machine(device), bytes as u64);
            OUT_OF_MEMORY
        })
    }

    /// Reserves addresses without memory.
    pub fn reserve(&mut self, device: usize, bytes: usize) -> Result<usize, Status> {
        let bytes = whole_granules(bytes).ok_or(OUT_OF_MEMORY)?;
        self.place(device, bytes, Kind::Addresses).ok_or(OUT_OF_MEMORY)
    }

    /// Hands out addresses for memory that a pool counts.
    pub fn place_pooled(&mut self, device: usize, bytes: usize) -> Result<usize, Status> {
        self.place(device, bytes, Kind::Pooled).ok_or(OUT_OF_MEMORY)
    }

    /// Frees the range at an address (`cudaFree` and similar functions). Returns the bytes and the GPU if a pool counts them.
    pub fn free(&mut self, address: usize) -> Option<(usize, usize)> {
        let range = self.take_back(address)?;
        if range.kind == Kind::Memory {
            machine().counters.give_back(on_machine(range.device), range.bytes as u64);
        }
        (range.kind == Kind::Pooled).then_some((range.bytes, range.device))
    }

    /// `cuMemCreate`: memory without an address.
    pub fn create(&mut self, device: usize, bytes: usize) -> Result<usize, Status> {
        take(device, bytes)?;
        let handle = super::new_handle();
        self.physical.insert(handle, (bytes, device));
        Ok(handle)
    }

    /// `cuMemRelease`.
    pub fn release(&mut self, handle: usize) {
        if let Some((bytes, device)) = self.physical.remove(&handle) {
            machine().counters.give_back(on_machine(device), bytes as u64);
        }
    }
}

/// The system whose driver is imitated: WSL has the driver of Windows below it.
fn system() -> Driver {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if release.to_ascii_lowercase().contains("microsoft") { Driver::Windows } else { Driver::Linux }
}

/// Counts memory of a GPU, or refuses it if the GPU is full.
pub(super) fn take(device: usize, bytes: usize) -> Result<(), Status> {
    use_device(device)?;
    let machine = machine();
    if machine.counters.take(on_machine(device), bytes as u64, machine.settings.total, OnDevice::Used) {
        return Ok(());
    }
    machine.counters.refused(on_machine(device), bytes as u64);
    Err(OUT_OF_MEMORY)
}

/// Makes this process's context on a GPU if it has none yet.
pub(super) fn use_device(device: usize) -> Result<(), Status> {
    if visible().is_empty() {
        return Err(NO_DEVICE);
    }
    let machine = machine();
    let context = machine.settings.context;
    if context == 0 || machine.counters.has_context(on_machine(device)) {
        return Ok(());
    }
    let taken = machine.counters.take(on_machine(device), context, machine.settings.total, OnDevice::Context);
    if taken { Ok(()) } else { Err(OUT_OF_MEMORY) }
}

/// Counts memory that libraries use in addition to the program's allocations. If the GPU is full, nothing is counted and no
/// error is returned, since the behaviour then differs from library to library.
pub(super) fn take_beside(device: usize, bytes: u64) {
    let machine = machine();
    if bytes > 0 {
        machine.counters.take(on_machine(device), bytes, machine.settings.total, OnDevice::Context);
    }
}

fn whole_granules(bytes: usize) -> Option<usize> {
    bytes.max(1).checked_next_multiple_of(GRANULE)
}

/// Reserves address space that uses no memory. Less than `wanted` is reserved if the process's limits are tight.
fn reserve_space(wanted: usize) -> (usize, usize) {
    let mut space = wanted;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    while space >= LEAST_SPACE {
        // SAFETY: a new mapping that can be neither read nor written.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), space, libc::PROT_NONE, flags, -1, 0) };
        if base != libc::MAP_FAILED {
            let aligned = (base as usize).next_multiple_of(GRANULE);
            return (aligned, space - GRANULE);
        }
        space /= 2;
    }
    eprintln!("brimful: no address space for a GPU: `ulimit -v` is below {} GiB", LEAST_SPACE >> 30);
    std::process::exit(2);
}

/// Allocates host memory, which the system provides page by page when it is first touched.
pub(super) fn host_pages(bytes: usize) -> Option<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of this process's own.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes.max(1), protection, flags, -1, 0) };
    (base != libc::MAP_FAILED).then_some(base as usize)
}

/// Frees memory that [`host_pages`] allocated.
pub(super) fn give_back_pages(address: usize, bytes: usize) {
    // SAFETY: the mapping is one of `host_pages`, and its owner frees it.
    unsafe { libc::munmap(address as *mut std::ffi::c_void, bytes.max(1)) };
}

/// Counts pinned host memory, or refuses it beyond the limit in the settings.
pub(super) fn pin(bytes: usize) -> Result<(), Status> {
    let machine = machine();
    let pinned = machine.counters.add(OfProcess::Pinned, bytes as u64);
    if machine.settings.pinned.is_some_and(|most| pinned > most) {
        machine.counters.subtract(OfProcess::Pinned, bytes as u64);
        return Err(OUT_OF_MEMORY);
    }
    machine.counters.raise(OfProcess::PinnedPeak, pinned);
    Ok(())
}
