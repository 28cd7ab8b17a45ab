//! Virtual memory, which expandable segments use: addresses are reserved, physical memory is created and mapped to them.

use super::super::machine::machine;
use super::super::memory::GRANULE;
use super::super::visible::visible;
use super::super::{INVALID_VALUE, SUCCESS, Status, answer, current_device};

/// The fields of `CUmemAllocationProp` that are read here: type, handle types, then the location's type and number.
#[repr(C)]
pub struct AllocationProperties {
    kind: i32,
    handles: i32,
    location_kind: i32,
    location: i32,
}

fn device_of(properties: Option<&AllocationProperties>) -> usize {
    let named = properties.and_then(|properties| usize::try_from(properties.location).ok());
    named.filter(|device| *device < visible().len()).unwrap_or_else(current_device)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetAllocationGranularity(
    bytes: Option<&mut usize>,
    _properties: usize,
    _option: i32,
) -> Status {
    answer(bytes, GRANULE)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAddressReserve(address: Option<&mut usize>, bytes: usize) -> Status {
    let reserved = machine().memory().reserve(current_device(), bytes);
    reserved.map_or_else(|status| status, |found| answer(address, found))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAddressFree(address: usize, _bytes: usize) -> Status {
    machine().memory().free(address);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemCreate(
    handle: Option<&mut usize>,
    bytes: usize,
    properties: Option<&AllocationProperties>,
) -> Status {
    let created = machine().memory().create(device_of(properties), bytes);
    created.map_or_else(|status| status, |made| answer(handle, made))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemRelease(handle: usize) -> Status {
    machine().memory().release(handle);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetAllocationPropertiesFromHandle(
    properties: Option<&mut AllocationProperties>,
    handle: usize,
) -> Status {
    let known = machine().memory().physical.get(&handle).copied();
    let Some((_, device)) = known else { return INVALID_VALUE };
    // Pinned memory of a GPU: CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE.
    answer(
        properties,
        AllocationProperties { kind: 1, handles: 1, location_kind: 1, location: device as i32 },
    )
}
