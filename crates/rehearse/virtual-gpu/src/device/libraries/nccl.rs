//! NCCL: communicators that are complete with one rank, and collectives that are done at once.
//!
//! A new communicator uses almost no memory. It uses more with the first collective of a large message, when NCCL connects
//! the ranks for its bandwidth algorithms. Sends and receives connect two ranks and use little.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::super::hook;
use super::super::machine::machine;
use super::super::memory::take_beside;
use super::super::{INVALID_VALUE, SUCCESS, Status, answer, current_device, new_handle};

/// The version that `ncclGetVersion` returns: 2.30.7.
const VERSION: i32 = 23007;

#[derive(Clone, Copy)]
struct Communicator {
    ranks: i32,
    rank: i32,
    device: i32,
}

/// The longest message in bytes that is assumed to use the low-latency connections. In NCCL the limit depends on the machine
/// (src/graph/tuning.cc). This number is chosen, not measured: it separates barriers and flags of a few bytes from the
/// activations of megabytes that the measured servers reduce.
const SMALL: usize = 64 << 10;

/// GPUs of this process on which the connections of the bandwidth algorithms are made.
static CONNECTED: LazyLock<Mutex<HashSet<i32>>> = LazyLock::new(Mutex::default);

static COMMUNICATORS: LazyLock<Mutex<HashMap<usize, Communicator>>> = LazyLock::new(Mutex::default);

/// `ncclUniqueId`, passed by value.
#[repr(C)]
pub struct UniqueId([u8; 128]);

fn new_communicator(ranks: i32, rank: i32) -> usize {
    let handle = new_handle();
    let communicator = Communicator { ranks, rank, device: current_device() as i32 };
    COMMUNICATORS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, communicator);
    handle
}

fn known(communicator: usize) -> Option<Communicator> {
    COMMUNICATORS.lock().unwrap_or_else(PoisonError::into_inner).get(&communicator).copied()
}

#[unsafe(no_mangle)]
extern "C" fn ncclGetVersion(version: Option<&mut i32>) -> Status {
    answer(version, VERSION)
}

#[unsafe(no_mangle)]
extern "C" fn ncclGetUniqueId(id: Option<&mut UniqueId>) -> Status {
    let mut bytes = [0; 128];
    bytes[..8].copy_from_slice(&(new_handle() as u64).to_le_bytes());
    answer(id, UniqueId(bytes))
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommInitRank(
    communicator: Option<&mut usize>,
    ranks: i32,
    _id: UniqueId,
    rank: i32,
) -> Status {
    answer(communicator, new_communicator(ranks, rank))
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommInitRankConfig(
    communicator: Option<&mut usize>,
    ranks: i32,
    _id: UniqueId,
    rank: i32,
    _config: usize,
) -> Status {
    answer(communicator, new_communicator(ranks, rank))
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommInitRankScalable(
    communicator: Option<&mut usize>,
    ranks: i32,
    rank: i32,
    _ids: i32,
    _id: usize,
    _config: usize,
) -> Status {
    answer(communicator, new_communicator(ranks, rank))
}

/// One process with several GPUs: a communicator for each.
///
/// # Safety
/// `communicators` has room for one handle per GPU.
#[unsafe(no_mangle)]
unsafe extern "C" fn ncclCommInitAll(communicators: *mut usize, devices: i32, _list: usize) -> Status {
    if communicators.is_null() {
        return INVALID_VALUE;
    }
    for rank in 0..devices {
        // SAFETY: as the caller promises.
        unsafe { communicators.add(rank as usize).write(new_communicator(devices, rank)) };
    }
    SUCCESS
}

/// The number of ranks with the same colour is not known here, so the new communicator has as many ranks as the old one.
#[unsafe(no_mangle)]
extern "C" fn ncclCommSplit(
    communicator: usize,
    _color: i32,
    _key: i32,
    made: Option<&mut usize>,
    _config: usize,
) -> Status {
    let Some(parent) = known(communicator) else { return INVALID_VALUE };
    answer(made, new_communicator(parent.ranks, parent.rank))
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommCount(communicator: usize, ranks: Option<&mut i32>) -> Status {
    known(communicator).map_or(INVALID_VALUE, |known| answer(ranks, known.ranks))
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommUserRank(communicator: usize, rank: Option<&mut i32>) -> Status {
    known(communicator).map_or(INVALID_VALUE, |known| answer(rank, known.rank))
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommCuDevice(communicator: usize, device: Option<&mut i32>) -> Status {
    known(communicator).map_or(INVALID_VALUE, |known| answer(device, known.device))
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommGetAsyncError(_communicator: usize, status: Option<&mut Status>) -> Status {
    answer(status, SUCCESS)
}

#[unsafe(no_mangle)]
extern "C" fn ncclMemAlloc(address: Option<&mut usize>, bytes: usize) -> Status {
    let allocated = machine().memory().allocate(current_device(), bytes);
    // ncclUnhandledCudaError
    allocated.map_or(1, |found| answer(address, found))
}

#[unsafe(no_mangle)]
extern "C" fn ncclMemFree(address: usize) -> Status {
    machine().memory().free(address);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn ncclRedOpCreatePreMulSum(operation: Option<&mut i32>) -> Status {
    answer(operation, 5)
}

/// Bytes of an element, as `ncclDataType_t` numbers the types.
fn element(datatype: i32) -> usize {
    match datatype {
        2 | 3 | 7 => 4,
        4 | 5 | 8 => 8,
        6 | 9 => 2,
        _ => 1,
    }
}

/// The unit of a call's count.
enum Part {
    Whole(usize),
    OfEachRank(usize),
}

/// A collective: the first large one of a process on a GPU connects the ranks.
fn collective(communicator: usize, part: Part, datatype: i32) -> Status {
    let Some(known) = known(communicator) else { return INVALID_VALUE };
    let elements = match part {
        Part::Whole(count) => count,
        Part::OfEachRank(count) => count.saturating_mul(known.ranks.max(1) as usize),
    };
    if known.ranks > 1 {
        hook::unfollowed();
    }
    let large = elements.saturating_mul(element(datatype)) > SMALL;
    if large && known.ranks > 1 {
        let mut connected = CONNECTED.lock().unwrap_or_else(PoisonError::into_inner);
        if connected.insert(known.device) {
            take_beside(known.device as usize, machine().settings.nccl);
        }
    }
    SUCCESS
}

/// Defines collectives: the name, its buffers, and the number between the data type and the communicator if there is one.
macro_rules! collectives {
    ($($name:ident($($buffer:ident),+; $($number:ident)?): $part:ident),+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            $($buffer: usize,)+
            count: usize,
            datatype: i32,
            $($number: i32,)?
            communicator: usize,
            _stream: usize,
        ) -> Status {
            collective(communicator, Part::$part(count), datatype)
        }
    )+};
}

collectives!(
    ncclAllReduce(_from, _to; _operation): Whole,
    ncclBroadcast(_from, _to; _root): Whole,
    ncclBcast(_buffer; _root): Whole,
    ncclReduceScatter(_from, _to; _operation): OfEachRank,
    ncclAllGather(_from, _to;): OfEachRank
);
