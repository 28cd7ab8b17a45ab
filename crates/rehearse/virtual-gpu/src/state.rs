//! The counters of all processes of a run, in one mapped file, which remains however the processes end.
//!
//! The file is an array of 64-bit numbers. Only counters are in it, each changed by one atomic operation, so that no lock
//! can be left behind by a process that dies.

use std::fmt;

use crate::MOST_DEVICES;

/// The environment variable that holds the path of the file.
pub const STATE_VARIABLE: &str = "BRIMFUL_VGPU_STATE";

/// `brimvgpu`, then the layout's version.
const MAGIC: u64 = u64::from_le_bytes(*b"brimvgpu");
const VERSION: u64 = 2;
/// The number of processes with counters of their own; later processes share the last place.
pub(crate) const MOST_PROCESSES: usize = 512;

/// The counters of a process on one GPU.
#[derive(Clone, Copy)]
#[repr(usize)]
#[cfg_attr(not(feature = "device"), allow(dead_code))]
pub(crate) enum OnDevice {
    Used,
    Peak,
    Context,
    Allocations,
    Failures,
    LastFailed,
}
const ON_DEVICE: usize = 6;

/// The counters of a process.
#[derive(Clone, Copy)]
#[repr(usize)]
#[cfg_attr(not(feature = "device"), allow(dead_code))]
pub(crate) enum OfProcess {
    Pid,
    Launches,
    Reads,
    SizeReads,
    Pinned,
    PinnedPeak,
    Managed,
    LastCall,
    Visible,
}
const OF_PROCESS: usize = 9;

/// The machine's numbers of a process's GPUs in one number: four bits each, relative to the GPU of the same number, so that
/// zero is a process that sees all GPUs in their order.
#[cfg_attr(not(feature = "device"), allow(dead_code))]
pub(crate) fn packed(visible: &[usize]) -> u64 {
    let bits = |(at, device): (usize, &usize)| ((at ^ device) as u64 & 0xF) << (4 * at);
    visible.iter().enumerate().map(bits).sum()
}

/// The machine's number of a GPU by its number in the process.
fn unpacked(packed: u64, device: usize) -> usize {
    device ^ (packed >> (4 * device.min(MOST_DEVICES - 1)) & 0xF) as usize
}

const PROCESS: usize = OF_PROCESS + MOST_DEVICES * ON_DEVICE;
const FIRST_DEVICE: usize = 2;
const FIRST_PROCESS: usize = FIRST_DEVICE + MOST_DEVICES;
const FIRST_CALL: usize = FIRST_PROCESS + MOST_PROCESSES * PROCESS;

/// The indices of the counters in the array.
pub(crate) mod place {
    use super::*;

    /// Bytes in use on a GPU by all processes.
    #[cfg_attr(not(feature = "device"), allow(dead_code))]
    pub const fn device(device: usize) -> usize {
        FIRST_DEVICE + device
    }
    /// A counter of a process.
    pub const fn process(process: usize, what: OfProcess) -> usize {
        FIRST_PROCESS + process * PROCESS + what as usize
    }
    /// A counter of a process on a GPU.
    pub const fn on_device(process: usize, device: usize, what: OnDevice) -> usize {
        FIRST_PROCESS + process * PROCESS + OF_PROCESS + device * ON_DEVICE + what as usize
    }
    /// The number of calls of a function that is not modelled.
    pub const fn call(symbol: usize) -> usize {
        FIRST_CALL + symbol
    }
}

/// The memory of a process on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// Bytes that it has allocated, without its context.
    pub used: u64,
    /// The most bytes that it had allocated.
    pub peak: u64,
    /// Bytes of its context and loaded libraries.
    pub context: u64,
    /// Allocations that were served: `cudaMalloc`, `cuMemCreate`.
    pub allocations: u64,
    /// Allocations that were refused.
    pub failures: u64,
    /// Bytes of the last allocation that was refused.
    pub last_failed: u64,
}

/// The counters of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// Its process ID.
    pub pid: u64,
    /// Kernels that it launched.
    pub launches: u64,
    /// Reads of device memory by the host.
    pub reads: u64,
    /// Reads of a size that depends on data, after a kernel that selects by value. Each returned zero.
    pub size_reads: u64,
    /// Bytes of pinned host memory now.
    pub pinned: u64,
    /// The most bytes of pinned host memory.
    pub pinned_peak: u64,
    /// Bytes of managed memory, which may live on either side.
    pub managed: u64,
    /// The last called function that is not modelled, as its index in [`crate::symbols()`].
    pub last_call: Option<usize>,
    /// By GPU of the machine.
    pub devices: Vec<DeviceUse>,
    /// The machine's number of each GPU, by the process's own numbers, which follow `CUDA_VISIBLE_DEVICES`.
    pub visible: Vec<usize>,
}

/// The counters of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Every process that called the library, in the order of their first calls.
    pub processes: Vec<ProcessUse>,
    /// Functions that were called and are not modelled: the index in [`crate::symbols()`], and the number of calls.
    pub calls: Vec<(usize, u64)>,
}

/// A file that holds no counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateError;

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "no counters of a virtual GPU: the file begins otherwise, or is of another version of brimful"
        )
    }
}

impl std::error::Error for StateError {}

impl State {
    /// Reads the counters. A file that no process has written is a run in which no process called the library.
    ///
    /// # Errors
    /// [`StateError`] if the bytes are something else.
    pub fn read(bytes: &[u8]) -> Result<State, StateError> {
        let numbers: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
        let number = |place: usize| numbers.get(place).copied().unwrap_or(0);
        if number(0) == 0 {
            return Ok(State::default());
        }
        if (number(0), number(1)) != (MAGIC, VERSION) {
            return Err(StateError);
        }
        let pid = |process: &usize| number(place::process(*process, OfProcess::Pid)) != 0;
        let processes =
            (0..MOST_PROCESSES).filter(pid).map(|process| read_process(process, &number)).collect();
        let calls = (0..crate::symbols().count()).map(|symbol| (symbol, number(place::call(symbol))));
        Ok(State { processes, calls: calls.filter(|(_, count)| *count > 0).collect() })
    }
}

fn read_process(process: usize, number: &dyn Fn(usize) -> u64) -> ProcessUse {
    let of = |what| number(place::process(process, what));
    let device = |device| {
        let on = |what| number(place::on_device(process, device, what));
        DeviceUse {
            used: on(OnDevice::Used),
            peak: on(OnDevice::Peak),
            context: on(OnDevice::Context),
            allocations: on(OnDevice::Allocations),
            failures: on(OnDevice::Failures),
            last_failed: on(OnDevice::LastFailed),
        }
    };
    ProcessUse {
        pid: of(OfProcess::Pid),
        launches: of(OfProcess::Launches),
        reads: of(OfProcess::Reads),
        size_reads: of(OfProcess::SizeReads),
        pinned: of(OfProcess::Pinned),
        pinned_peak: of(OfProcess::PinnedPeak),
        managed: of(OfProcess::Managed),
        last_call: usize::try_from(of(OfProcess::LastCall)).ok().and_then(|place| place.checked_sub(1)),
        devices: (0..MOST_DEVICES).map(device).collect(),
        visible: (0..MOST_DEVICES).map(|device| unpacked(of(OfProcess::Visible), device)).collect(),
    }
}

#[cfg(feature = "device")]
pub(crate) use writing::*;

#[cfg(feature = "device")]
mod writing {
    use super::{FIRST_CALL, MAGIC, VERSION};

    /// Bytes of the file.
    pub(crate) fn file_bytes() -> usize {
        (FIRST_CALL + crate::symbols().count()) * size_of::<u64>()
    }

    /// The first two numbers.
    pub(crate) const HEAD: [u64; 2] = [MAGIC, VERSION];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untouched_file_is_a_run_without_a_gpu() {
        assert_eq!(State::read(&[]), Ok(State::default()));
        assert_eq!(State::read(&[0; 4096]), Ok(State::default()));
        assert_eq!(State::read(b"something else entirely"), Err(StateError));
    }

    #[test]
    fn numbers_are_read_where_they_are_written() {
        let mut numbers = vec![0u64; place::call(3)];
        (numbers[0], numbers[1]) = (MAGIC, VERSION);
        numbers[place::process(1, OfProcess::Pid)] = 42;
        numbers[place::on_device(1, 2, OnDevice::Peak)] = 7 << 30;
        numbers[place::process(1, OfProcess::Visible)] = packed(&[2, 0]);
        numbers[place::call(2)] = 5;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let state = State::read(&bytes).unwrap();
        assert_eq!(state.processes.len(), 1);
        assert_eq!((state.processes[0].pid, state.processes[0].devices[2].peak), (42, 7 << 30));
        assert_eq!(state.processes[0].visible[..3], [2, 0, 2]);
        assert_eq!(state.calls, [(2, 5)]);
    }
}
