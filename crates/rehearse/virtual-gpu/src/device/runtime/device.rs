//! The GPUs of the machine, and the current one.

use std::ffi::{CStr, c_char};

use super::super::machine::machine;
use super::super::memory::use_device;
use super::super::visible::{on_machine, visible};
use super::super::{
    CURRENT, INVALID_DEVICE, INVALID_VALUE, NO_DEVICE, SUCCESS, Status, answer, current_device, properties,
    remember,
};
use crate::abi::{cudaDeviceProp12, cudaDeviceProp13};

/// The version that `cudaRuntimeGetVersion` and the driver return: new enough for every wheel.
pub(crate) const CUDA_VERSION: i32 = 13020;

fn is_device(device: i32) -> Option<usize> {
    usize::try_from(device).ok().filter(|device| *device < visible().len())
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetDeviceCount(count: Option<&mut i32>) -> Status {
    answer(count, visible().len() as i32);
    if visible().is_empty() { remember(NO_DEVICE) } else { SUCCESS }
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetDevice(device: Option<&mut i32>) -> Status {
    answer(device, current_device() as i32)
}

#[unsafe(no_mangle)]
extern "C" fn cudaSetDevice(device: i32) -> Status {
    let Some(device) = is_device(device) else { return INVALID_DEVICE };
    CURRENT.set(device);
    SUCCESS
}

/// Under this name with `_v2` programs expect the layout of CUDA 12.
#[unsafe(no_mangle)]
extern "C" fn cudaGetDeviceProperties_v2(properties: Option<&mut cudaDeviceProp12>, device: i32) -> Status {
    match (properties, is_device(device)) {
        (Some(properties), Some(device)) => properties::describe_12(properties, device),
        (_, None) => return INVALID_DEVICE,
        (None, _) => return INVALID_VALUE,
    }
    SUCCESS
}

/// Under this name without `_v2` programs expect the layout of CUDA 13.
#[unsafe(no_mangle)]
extern "C" fn cudaGetDeviceProperties(properties: Option<&mut cudaDeviceProp13>, device: i32) -> Status {
    match (properties, is_device(device)) {
        (Some(properties), Some(device)) => properties::describe_13(properties, device),
        (_, None) => return INVALID_DEVICE,
        (None, _) => return INVALID_VALUE,
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaDeviceGetAttribute(value: Option<&mut i32>, attribute: i32, device: i32) -> Status {
    let Some(device) = is_device(device) else { return INVALID_DEVICE };
    answer(value, properties::attribute(attribute, device))
}

#[unsafe(no_mangle)]
extern "C" fn cudaDriverGetVersion(version: Option<&mut i32>) -> Status {
    answer(version, CUDA_VERSION)
}

#[unsafe(no_mangle)]
extern "C" fn cudaRuntimeGetVersion(version: Option<&mut i32>) -> Status {
    answer(version, CUDA_VERSION)
}

/// # Safety
/// `name` has room for `room` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaDeviceGetPCIBusId(name: *mut u8, room: i32, device: i32) -> Status {
    let Some(device) = is_device(device) else { return INVALID_DEVICE };
    // SAFETY: the caller says how much room there is.
    let written = unsafe {
        super::super::write_text(name, room.max(0) as usize, &properties::pci_name(on_machine(device)))
    };
    if written { SUCCESS } else { INVALID_VALUE }
}

/// # Safety
/// `name` is a text with an end.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaDeviceGetByPCIBusId(device: Option<&mut i32>, name: *const c_char) -> Status {
    if name.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: the caller hands over a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let found = visible().iter().position(|device| properties::pci_name(*device).eq_ignore_ascii_case(&name));
    found.map_or(INVALID_VALUE, |found| answer(device, found as i32))
}

/// All GPUs of the machine can access each other's memory, as with NVLink.
#[unsafe(no_mangle)]
extern "C" fn cudaDeviceCanAccessPeer(can: Option<&mut i32>, device: i32, peer: i32) -> Status {
    if is_device(device).is_none() || is_device(peer).is_none() {
        return INVALID_DEVICE;
    }
    answer(can, i32::from(device != peer))
}

#[unsafe(no_mangle)]
extern "C" fn cudaMemGetInfo(free: Option<&mut usize>, total: Option<&mut usize>) -> Status {
    let device = current_device();
    if let Err(status) = use_device(device) {
        return remember(status);
    }
    let machine = machine();
    let whole = machine.settings.total;
    answer(free, whole.saturating_sub(machine.counters.used(on_machine(device))) as usize);
    answer(total, whole as usize)
}

#[unsafe(no_mangle)]
extern "C" fn cudaDeviceGetLimit(value: Option<&mut usize>, _limit: i32) -> Status {
    answer(value, 1 << 20)
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetDeviceFlags(flags: Option<&mut u32>) -> Status {
    answer(flags, 0)
}
