//! Stream-ordered memory (`cudaMallocAsync`): one pool for each GPU, which keeps freed memory.
//!
//! A pool takes memory of the GPU in steps, hands out parts of it by best fit, and keeps freed memory up to its release
//! threshold, which PyTorch sets to the maximum. The size of a step is not documented; 32 MiB is what
//! `cudaMemPoolAttrReservedMemCurrent` shows after the first small allocation with CUDA 11.2 and later.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::super::machine::machine;
use super::super::memory::{GRANULE, take};
use super::super::visible::on_machine;
use super::super::{INVALID_VALUE, SUCCESS, Status, answer, current_device, new_handle, remember};
use crate::abi::cudaMemPoolAttr::*;

const STEP: usize = 32 << 20;
const ALIGNMENT: usize = 512;

#[derive(Default)]
struct Pool {
    device: usize,
    /// Free ranges by address: bytes.
    free: BTreeMap<usize, usize>,
    reserved: usize,
    reserved_high: usize,
    used: usize,
    used_high: usize,
    threshold: u64,
}

#[derive(Default)]
struct Pools {
    by_handle: BTreeMap<usize, Pool>,
    /// The pool that `cudaMallocAsync` uses, by GPU.
    current: BTreeMap<usize, usize>,
    /// Allocations by address: bytes and pool.
    live: BTreeMap<usize, (usize, usize)>,
}

static POOLS: LazyLock<Mutex<Pools>> = LazyLock::new(Mutex::default);

fn pools() -> std::sync::MutexGuard<'static, Pools> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pools {
    fn current(&mut self, device: usize) -> usize {
        let handle = *self.current.entry(device).or_insert_with(new_handle);
        self.by_handle.entry(handle).or_insert_with(|| Pool { device, ..Pool::default() });
        handle
    }

    fn allocate(&mut self, handle: usize, bytes: usize) -> Result<usize, Status> {
        let pool = self.by_handle.get_mut(&handle).ok_or(INVALID_VALUE)?;
        let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
        let address = pool.allocate(bytes)?;
        self.live.insert(address, (bytes, handle));
        Ok(address)
    }
}

impl Pool {
    fn allocate(&mut self, bytes: usize) -> Result<usize, Status> {
        if self.best_fit(bytes).is_none() {
            self.grow(bytes)?;
        }
        let (address, size) = self.best_fit(bytes).ok_or(super::super::OUT_OF_MEMORY)?;
        self.free.remove(&address);
        if size > bytes {
            self.free.insert(address + bytes, size - bytes);
        }
        self.used += bytes;
        self.used_high = self.used_high.max(self.used);
        Ok(address)
    }

    fn best_fit(&self, bytes: usize) -> Option<(usize, usize)> {
        let fitting = self.free.iter().filter(|(_, size)| **size >= bytes);
        fitting.min_by_key(|(_, size)| **size).map(|(address, size)| (*address, *size))
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        let stepped = bytes.next_multiple_of(STEP);
        let exact = bytes.next_multiple_of(GRANULE);
        let grown = take(self.device, stepped)
            .map(|()| stepped)
            .or_else(|_| take(self.device, exact).map(|()| exact))?;
        let address = machine().memory().place_pooled(self.device, grown)?;
        self.free.insert(address, grown);
        self.reserved += grown;
        self.reserved_high = self.reserved_high.max(self.reserved);
        Ok(())
    }

    /// Frees a range, and joins it with its free neighbours in the same step.
    fn give_back(&mut self, address: usize, bytes: usize) {
        self.used -= bytes;
        let Some((begin, length)) = machine().memory().holding(address) else { return };
        let (mut start, mut end) = (address, address + bytes);
        let before = self.free.range(begin..start).next_back().map(|(at, size)| (*at, at + size));
        if let Some((before, _)) = before.filter(|(_, end)| *end == start) {
            self.free.remove(&before);
            start = before;
        }
        if end < begin + length
            && let Some(size) = self.free.remove(&end)
        {
            end += size;
        }
        self.free.insert(start, end - start);
    }

    /// Returns free steps to the GPU until the pool has `keep` bytes.
    fn trim(&mut self, keep: usize) {
        let whole: Vec<usize> = self.free.keys().copied().collect();
        for address in whole {
            if self.reserved <= keep {
                break;
            }
            let size = self.free[&address];
            let of_one_step = machine().memory().holding(address) == Some((address, size));
            if of_one_step {
                machine().memory().free(address);
                machine().counters.give_back(on_machine(self.device), size as u64);
                self.free.remove(&address);
                self.reserved -= size;
            }
        }
    }
}

/// Frees memory of `cudaMalloc` or of a pool.
pub(super) fn free(address: usize) {
    let mut pools = pools();
    let Some((bytes, handle)) = pools.live.remove(&address) else {
        machine().memory().free(address);
        return;
    };
    if let Some(pool) = pools.by_handle.get_mut(&handle) {
        pool.give_back(address, bytes);
        let threshold = usize::try_from(pool.threshold).unwrap_or(usize::MAX);
        pool.trim(threshold);
    }
}

#[unsafe(no_mangle)]
extern "C" fn cudaMallocAsync(address: Option<&mut usize>, bytes: usize, _stream: usize) -> Status {
    let mut pools = pools();
    let handle = pools.current(current_device());
    pools.allocate(handle, bytes).map_or_else(remember, |found| answer(address, found))
}

#[unsafe(no_mangle)]
extern "C" fn cudaMallocFromPoolAsync(
    address: Option<&mut usize>,
    bytes: usize,
    pool: usize,
    _stream: usize,
) -> Status {
    pools().allocate(pool, bytes).map_or_else(remember, |found| answer(address, found))
}

#[unsafe(no_mangle)]
extern "C" fn cudaFreeAsync(address: usize, _stream: usize) -> Status {
    free(address);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaDeviceGetDefaultMemPool(pool: Option<&mut usize>, device: i32) -> Status {
    answer(pool, pools().current(device.max(0) as usize))
}

#[unsafe(no_mangle)]
extern "C" fn cudaDeviceGetMemPool(pool: Option<&mut usize>, device: i32) -> Status {
    answer(pool, pools().current(device.max(0) as usize))
}

#[unsafe(no_mangle)]
extern "C" fn cudaDeviceSetMemPool(device: i32, pool: usize) -> Status {
    pools().current.insert(device.max(0) as usize, pool);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaMemPoolCreate(pool: Option<&mut usize>, _properties: usize) -> Status {
    let handle = new_handle();
    pools().by_handle.insert(handle, Pool { device: current_device(), ..Pool::default() });
    answer(pool, handle)
}

#[unsafe(no_mangle)]
extern "C" fn cudaMemPoolTrimTo(pool: usize, keep: usize) -> Status {
    if let Some(pool) = pools().by_handle.get_mut(&pool) {
        pool.trim(keep);
    }
    SUCCESS
}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
extern "C" fn cudaMemPoolSetAttribute(pool: usize, attribute: i32, value: Option<&mut u64>) -> Status {
    if let (Some(pool), Some(value)) = (pools().by_handle.get_mut(&pool), value) {
        match attribute {
            cudaMemPoolAttrReleaseThreshold => pool.threshold = *value,
            cudaMemPoolAttrReservedMemHigh => pool.reserved_high = pool.reserved,
            cudaMemPoolAttrUsedMemHigh => pool.used_high = pool.used,
            _ => {}
        }
    }
    SUCCESS
}

/// Reads an attribute. The first three are switches, which are ints; the others have 64 bits.
///
/// # Safety
/// `value` is as wide as the attribute.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
unsafe extern "C" fn cudaMemPoolGetAttribute(pool: usize, attribute: i32, value: *mut u64) -> Status {
    let pools = pools();
    let Some(pool) = pools.by_handle.get(&pool).filter(|_| !value.is_null()) else { return INVALID_VALUE };
    let number = match attribute {
        cudaMemPoolAttrReleaseThreshold => pool.threshold,
        cudaMemPoolAttrReservedMemCurrent => pool.reserved as u64,
        cudaMemPoolAttrReservedMemHigh => pool.reserved_high as u64,
        cudaMemPoolAttrUsedMemCurrent => pool.used as u64,
        cudaMemPoolAttrUsedMemHigh => pool.used_high as u64,
        _ => {
            // SAFETY: a switch is an int.
            unsafe { value.cast::<i32>().write(1) };
            return SUCCESS;
        }
    };
    // SAFETY: the attribute is 64 bits wide.
    unsafe { value.write(number) };
    SUCCESS
}
