//! Device memory: address space that nothing can be read from, counted against the GPU.

use std::collections::BTreeMap;

use super::machine::machine;
use super::{OUT_OF_MEMORY, Status, libc};
use crate::Settings;
use crate::state::{OfProcess, OnDevice};

/// What `cudaMalloc` and `cuMemCreate` hand out multiples of.
pub(super) const GRANULE: usize = 2 << 20;
/// The most address space that is asked for; a process may have 128 TiB.
const MOST_SPACE: usize = 96 << 40;
/// How many times its memory a GPU may hand out before addresses come again.
const TURNS: usize = 256;
/// Less than this is of no use.
const LEAST_SPACE: usize = 1 << 36;

/// What a stretch of addresses is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Memory that is counted.
    Memory,
    /// Addresses alone: reserved ranges, another process's memory.
    Addresses,
    /// Memory of a stream-ordered pool, which is counted by the pool.
    Pooled,
}

struct Stretch {
    bytes: usize,
    device: usize,
    kind: Kind,
}

pub(super) struct Memory {
    base: usize,
    /// Address space of each GPU.
    each: usize,
    /// Where the space that was never handed out begins, by GPU.
    fresh: Vec<usize>,
    stretches: BTreeMap<usize, Stretch>,
    /// Stretches that came back, for when the fresh space is used up.
    returned: BTreeMap<usize, usize>,
    /// Physical memory by handle: bytes and GPU.
    pub physical: BTreeMap<usize, (usize, usize)>,
    /// Host memory by address: bytes.
    pub host: BTreeMap<usize, (usize, HostKind)>,
}

/// How host memory came here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HostKind {
    Pinned,
    Registered,
    Managed,
}

impl Memory {
    pub fn new(settings: &Settings) -> Memory {
        let devices = settings.devices as usize;
        let turns = (settings.total as usize).saturating_mul(devices).saturating_mul(TURNS);
        let (base, space) = reserve_space(turns.clamp(LEAST_SPACE, MOST_SPACE));
        let each = space / devices / GRANULE * GRANULE;
        Memory {
            base,
            each,
            fresh: (0..devices).map(|device| base + device * each).collect(),
            stretches: BTreeMap::new(),
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

    /// What the host memory is that an address belongs to, where CUDA knows it.
    pub fn host_holding(&self, address: usize) -> Option<HostKind> {
        let (start, (bytes, kind)) = self.host.range(..=address).next_back()?;
        (address < start + bytes).then_some(*kind)
    }

    /// The first address, which stands for whatever has no place of its own.
    pub fn base(&self) -> usize {
        self.base
    }

    /// The stretch that holds an address: where it begins, and its bytes.
    pub fn holding(&self, address: usize) -> Option<(usize, usize)> {
        let (start, stretch) = self.stretches.range(..=address).next_back()?;
        (address < start + stretch.bytes).then_some((*start, stretch.bytes))
    }

    /// Addresses in the order in which they are asked for, as a new process sees them; later, returned ones.
    fn place(&mut self, device: usize, bytes: usize, kind: Kind) -> Option<usize> {
        let fresh = self.fresh[device];
        let end = self.base + (device + 1) * self.each;
        let address = if end - fresh >= bytes {
            self.fresh[device] += bytes;
            fresh
        } else {
            self.reuse(device, bytes)?
        };
        self.stretches.insert(address, Stretch { bytes, device, kind });
        Some(address)
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

    fn take_back(&mut self, address: usize) -> Option<Stretch> {
        let stretch = self.stretches.remove(&address)?;
        let (mut start, mut bytes) = (address, stretch.bytes);
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
        Some(stretch)
    }

    /// `cudaMalloc`.
    pub fn allocate(&mut self, device: usize, bytes: usize) -> Result<usize, Status> {
        let bytes = whole_granules(bytes).ok_or(OUT_OF_MEMORY)?;
        take(device, bytes)?;
        self.place(device, bytes, Kind::Memory).ok_or_else(|| {
            machine().counters.give_back(device, bytes as u64);
            OUT_OF_MEMORY
        })
    }

    /// Addresses without memory.
    pub fn reserve(&mut self, device: usize, bytes: usize) -> Result<usize, Status> {
        let bytes = whole_granules(bytes).ok_or(OUT_OF_MEMORY)?;
        self.place(device, bytes, Kind::Addresses).ok_or(OUT_OF_MEMORY)
    }

    /// Addresses of memory that a pool counts.
    pub fn place_pooled(&mut self, device: usize, bytes: usize) -> Result<usize, Status> {
        self.place(device, bytes, Kind::Pooled).ok_or(OUT_OF_MEMORY)
    }

    /// `cudaFree` and its kin; the bytes and the GPU, where there was something of a pool.
    pub fn free(&mut self, address: usize) -> Option<(usize, usize)> {
        let stretch = self.take_back(address)?;
        if stretch.kind == Kind::Memory {
            machine().counters.give_back(stretch.device, stretch.bytes as u64);
        }
        (stretch.kind == Kind::Pooled).then_some((stretch.bytes, stretch.device))
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
            machine().counters.give_back(device, bytes as u64);
        }
    }
}

/// Counts memory of a GPU, or refuses it.
pub(super) fn take(device: usize, bytes: usize) -> Result<(), Status> {
    use_device(device)?;
    let machine = machine();
    if machine.counters.take(device, bytes as u64, machine.settings.total, OnDevice::Used) {
        return Ok(());
    }
    machine.counters.refused(device, bytes as u64);
    Err(OUT_OF_MEMORY)
}

/// Makes this process's context on a GPU, where it has none yet.
pub(super) fn use_device(device: usize) -> Result<(), Status> {
    let machine = machine();
    let context = machine.settings.context;
    if context == 0 || machine.counters.has_context(device) {
        return Ok(());
    }
    let taken = machine.counters.take(device, context, machine.settings.total, OnDevice::Context);
    if taken { Ok(()) } else { Err(OUT_OF_MEMORY) }
}

/// Counts what libraries take beside the allocations of the program; a GPU that is full lets them have it, since what
/// they do then differs from library to library.
pub(super) fn take_beside(device: usize, bytes: u64) {
    let machine = machine();
    if bytes > 0 {
        machine.counters.take(device, bytes, machine.settings.total, OnDevice::Context);
    }
}

fn whole_granules(bytes: usize) -> Option<usize> {
    bytes.max(1).checked_next_multiple_of(GRANULE)
}

/// Address space that costs nothing; less of it where the process's own limits are tight.
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

/// Host memory that is there when it is touched.
pub(super) fn host_pages(bytes: usize) -> Option<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of this process's own.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes.max(1), protection, flags, -1, 0) };
    (base != libc::MAP_FAILED).then_some(base as usize)
}

/// Gives back what [`host_pages`] gave.
pub(super) fn give_back_pages(address: usize, bytes: usize) {
    // SAFETY: the mapping is one of `host_pages`, and its owner frees it.
    unsafe { libc::munmap(address as *mut std::ffi::c_void, bytes.max(1)) };
}

/// Counts pinned host memory, or refuses it.
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
