//! The processes on a GPU, by any of the functions that NVML has had for them.

use super::backend::{Backend, Function, Handle};
use super::status::Status;

/// NVML has a list for each kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Processes with a CUDA context.
    Compute,
    /// Processes that draw.
    Graphics,
    /// Clients of CUDA's Multi-Process Service.
    Mps,
}

impl List {
    /// All lists, in the order in which they are read.
    pub const ALL: [List; 3] = [List::Compute, List::Graphics, List::Mps];

    /// The functions that return it, the newest first.
    pub(super) fn functions(self) -> [Function; 3] {
        use Function::*;
        match self {
            List::Compute => [
                nvmlDeviceGetComputeRunningProcesses_v3,
                nvmlDeviceGetComputeRunningProcesses_v2,
                nvmlDeviceGetComputeRunningProcesses,
            ],
            List::Graphics => [
                nvmlDeviceGetGraphicsRunningProcesses_v3,
                nvmlDeviceGetGraphicsRunningProcesses_v2,
                nvmlDeviceGetGraphicsRunningProcesses,
            ],
            List::Mps => [
                nvmlDeviceGetMPSComputeRunningProcesses_v3,
                nvmlDeviceGetMPSComputeRunningProcesses_v2,
                nvmlDeviceGetMPSComputeRunningProcesses,
            ],
        }
    }
}

/// How a list was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListForm {
    /// The function.
    pub function: Function,
    /// Bytes of an entry: 16 for the first version, then 24, and 32 under early drivers of R535.
    pub entry_bytes: u32,
}

/// A process on a GPU, as the driver lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessReading {
    /// Its process ID, as the driver's host numbers it.
    pub pid: u32,
    /// Bytes of the GPU's memory, with its context; `None` if the driver does not know, as under WDDM and WSL.
    pub used: Option<u64>,
    /// Whether it has a CUDA context.
    pub compute: bool,
    /// Whether it draws.
    pub graphics: bool,
    /// Whether it is a client of the Multi-Process Service.
    pub mps: bool,
}

/// Processes for which there is room at first; then the room doubles.
const ROOM: usize = 32;
/// More processes than any machine has on a GPU: a driver that wants more room is wrong.
const MOST: usize = 1 << 16;
/// Words of the largest entry.
const WORDS: usize = 4;
/// The largest process ID of Linux (`PID_MAX_LIMIT`). Those of Windows are small numbers as well.
const LARGEST_PID: u32 = 1 << 22;

/// Reads lists of processes into the same buffer again and again.
pub(super) struct ListReader {
    words: Vec<u64>,
    /// Bytes of an entry of the third version.
    third: u32,
}

impl ListReader {
    /// A reader for this library.
    pub fn new(backend: &dyn Backend) -> ListReader {
        ListReader { words: vec![0; ROOM * WORDS], third: if is_early_535(backend) { 32 } else { 24 } }
    }

    /// Adds the processes of a list to `found`. Returns how it was read, and whether every entry makes sense; entries that
    /// do not are left out.
    pub fn read(
        &mut self,
        backend: &mut dyn Backend,
        list: List,
        handle: Handle,
        total: Option<u64>,
        found: &mut Vec<ProcessReading>,
    ) -> Result<(ListForm, bool), Status> {
        let mut last = Status::FUNCTION_NOT_FOUND;
        for (function, version) in list.functions().into_iter().zip([3, 2, 1]) {
            if !backend.has(function) {
                continue;
            }
            match self.fill(backend, function, handle) {
                Ok(count) => {
                    let (entry_bytes, whole) = self.decode(list, version, count, total, found);
                    return Ok((ListForm { function, entry_bytes }, whole));
                }
                Err(status) if status.is_of_the_form() => last = status,
                Err(status) => return Err(status),
            }
        }
        Err(last)
    }

    /// Calls the function until the buffer is large enough: a process can start between two calls.
    fn fill(
        &mut self,
        backend: &mut dyn Backend,
        function: Function,
        handle: Handle,
    ) -> Result<usize, Status> {
        loop {
            let room = self.words.len() / WORDS;
            let mut count = u32::try_from(room).unwrap_or(u32::MAX);
            match backend.processes(function, handle, &mut count, &mut self.words) {
                Ok(()) => return Ok((count as usize).min(room)),
                Err(Status::INSUFFICIENT_SIZE) if room < MOST => {
                    let needed = (count as usize).max(room * 2).min(MOST);
                    self.words.resize(needed * WORDS, 0);
                }
                Err(status) => return Err(status),
            }
        }
    }

    /// Adds the entries that make sense. Returns the bytes of an entry, and whether all make sense.
    fn decode(
        &self,
        list: List,
        version: u32,
        count: usize,
        total: Option<u64>,
        found: &mut Vec<ProcessReading>,
    ) -> (u32, bool) {
        let (bytes, is_whole) = layout(&self.words, version, self.third, count, total);
        for (pid, used) in entries(&self.words, bytes, count).filter(|entry| is_sane(*entry, total)) {
            add(found, list, pid, used);
        }
        (bytes, is_whole)
    }
}

/// Early drivers of R535 (535.43 to 535.86) have entries of 32 bytes behind the names that end in `_v3`, later ones have 24
/// again. The library has no version for it; nvitop found the symbols that differ (`nvitop/api/libnvml.py`, 1.7).
pub(super) fn is_early_535(backend: &dyn Backend) -> bool {
    backend.has(Function::nvmlDeviceGetConfComputeMemSizeInfo)
        && !backend.has(Function::nvmlDeviceGetRunningProcessDetailList)
}

/// Bytes of an entry in the layout that makes sense of all: first the expected one, then the other. `third` is the expected
/// one of the third version. The second result is whether there is such a layout.
pub(super) fn layout(
    words: &[u64],
    version: u32,
    third: u32,
    count: usize,
    total: Option<u64>,
) -> (u32, bool) {
    let layouts = match version {
        3 if third == 32 => [32, 24],
        3 => [24, 32],
        2 => [24, 24],
        _ => [16, 16],
    };
    let is_of = |bytes: &u32| entries(words, *bytes, count).all(|entry| is_sane(entry, total));
    let sane = layouts.into_iter().find(is_of);
    (sane.unwrap_or(layouts[0]), sane.is_some())
}

/// The process IDs and the memory of entries with so many bytes.
pub(super) fn entries(words: &[u64], bytes: u32, count: usize) -> impl Iterator<Item = (u32, Option<u64>)> {
    words.chunks_exact(bytes as usize / 8).take(count).map(|words| {
        // A C struct: the process ID is the first four bytes, the memory the second eight.
        let bytes = words[0].to_ne_bytes();
        let pid = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        // NVML_VALUE_NOT_AVAILABLE
        (pid, Some(words[1]).filter(|used| *used != u64::MAX))
    })
}

/// Whether a number can be that of a process.
pub(super) fn is_pid(pid: u32) -> bool {
    pid != 0 && pid <= LARGEST_PID
}

fn is_sane((pid, used): (u32, Option<u64>), total: Option<u64>) -> bool {
    let fits = used.zip(total).is_none_or(|(used, total)| used <= total);
    is_pid(pid) && fits
}

/// A process can be in several lists, each with all of its memory, and several times in one list.
fn add(found: &mut Vec<ProcessReading>, list: List, pid: u32, used: Option<u64>) {
    let at = found.iter().position(|process| process.pid == pid).unwrap_or_else(|| {
        found.push(ProcessReading { pid, used: None, compute: false, graphics: false, mps: false });
        found.len() - 1
    });
    let process = &mut found[at];
    process.used = process.used.max(used);
    match list {
        List::Compute => process.compute = true,
        List::Graphics => process.graphics = true,
        List::Mps => process.mps = true,
    }
}
