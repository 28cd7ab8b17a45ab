//! Allocation, copies and attributes of memory in the driver.

use super::super::machine::machine;
use super::super::runtime::copy;
use super::super::visible::on_machine;
use super::super::{INVALID_VALUE, SUCCESS, Status, answer, current_device};
use crate::abi::CUpointer_attribute_enum::*;

#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(address: Option<&mut usize>, bytes: usize) -> Status {
    let allocated = machine().memory().allocate(current_device(), bytes);
    allocated.map_or_else(|status| status, |found| answer(address, found))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: usize) -> Status {
    machine().memory().free(address);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetInfo_v2(free: Option<&mut usize>, total: Option<&mut usize>) -> Status {
    let machine = machine();
    let whole = machine.settings.total;
    answer(free, whole.saturating_sub(machine.counters.used(on_machine(current_device()))) as usize);
    answer(total, whole as usize)
}

/// The allocation that holds an address.
#[unsafe(no_mangle)]
extern "C" fn cuMemGetAddressRange_v2(
    base: Option<&mut usize>,
    bytes: Option<&mut usize>,
    address: usize,
) -> Status {
    let Some((start, length)) = machine().memory().holding(address) else { return INVALID_VALUE };
    answer(base, start);
    answer(bytes, length)
}

/// # Safety
/// The address that is the host's holds `bytes` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(to: usize, from: usize, bytes: usize) -> Status {
    // SAFETY: as the caller promises.
    unsafe { copy(to, from, bytes) }
}

/// # Safety
/// As for [`cuMemcpyHtoDAsync_v2`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: usize, from: usize, bytes: usize) -> Status {
    // SAFETY: as the caller promises.
    unsafe { copy(to, from, bytes) }
}

/// # Safety
/// As for [`cuMemcpyHtoDAsync_v2`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(to: usize, from: usize, bytes: usize) -> Status {
    // SAFETY: as the caller promises.
    unsafe { copy(to, from, bytes) }
}

/// # Safety
/// As for [`cuMemcpyHtoDAsync_v2`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: usize, from: usize, bytes: usize) -> Status {
    // SAFETY: as the caller promises.
    unsafe { copy(to, from, bytes) }
}

/// The attributes of an address. Each attribute has its own width, which is at most 8 bytes for those that programs query.
///
/// # Safety
/// `value` is as wide as the attribute.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
unsafe extern "C" fn cuPointerGetAttribute(value: *mut u64, attribute: i32, address: usize) -> Status {
    let device = machine().memory().device_of(address);
    let pinned = device.is_none() && machine().memory().host_holding(address).is_some();
    let device = device.or_else(|| pinned.then(current_device));
    let (Some(device), false) = (device, value.is_null()) else { return INVALID_VALUE };
    // SAFETY: the widths are those of the attributes' types in cuda.h.
    unsafe {
        match attribute {
            CU_POINTER_ATTRIBUTE_DEVICE_POINTER => value.write(address as u64),
            // Kernels reach pinned memory at its own address.
            CU_POINTER_ATTRIBUTE_HOST_POINTER if pinned => value.write(address as u64),
            // CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE
            CU_POINTER_ATTRIBUTE_MEMORY_TYPE => value.cast::<u32>().write(if pinned { 1 } else { 2 }),
            CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => value.cast::<i32>().write(device as i32),
            CU_POINTER_ATTRIBUTE_BUFFER_ID => {
                value.write(machine().memory().holding(address).map_or(0, |(start, _)| start as u64));
            }
            CU_POINTER_ATTRIBUTE_RANGE_START_ADDR => {
                value.write(machine().memory().holding(address).map_or(address, |(start, _)| start) as u64);
            }
            CU_POINTER_ATTRIBUTE_RANGE_SIZE => {
                value.write(machine().memory().holding(address).map_or(0, |(_, bytes)| bytes) as u64);
            }
            _ => value.cast::<u8>().write(0),
        }
    }
    SUCCESS
}
