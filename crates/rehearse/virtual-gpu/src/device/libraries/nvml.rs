//! NVML, through which `nvidia-smi` and monitoring programs read the GPUs' state.

use std::ffi::{CStr, c_char};

use super::super::machine::machine;
use super::super::{Status, answer, properties, write_text};
use crate::DRIVER;
use crate::abi::{
    nvmlBAR1Memory, nvmlMemory, nvmlMemory_v2, nvmlPciInfo, nvmlProcessInfo_v1, nvmlProcessInfo_v2,
    nvmlUtilization,
};

// nvmlReturn_t
const SUCCESS: Status = 0;
const INVALID_ARGUMENT: Status = 2;
const NOT_SUPPORTED: Status = 3;
const NOT_FOUND: Status = 6;
const INSUFFICIENT_SIZE: Status = 7;
const VERSION_MISMATCH: Status = 25;

const NVML: &str = "13.595.45.04";
/// The handle of the first GPU; the others follow it.
const FIRST: usize = 0x8000;

fn device(handle: usize) -> Option<usize> {
    handle.checked_sub(FIRST).filter(|device| *device < machine().devices())
}

/// Bytes in use on a GPU. The driver takes back the memory of a process as soon as it ends.
fn used(device: usize) -> u64 {
    machine().counters.give_back_of_the_dead(device);
    machine().counters.used(device)
}

/// Writes a text into the caller's buffer.
///
/// # Safety
/// `buffer` has room for `room` bytes.
unsafe fn write(buffer: *mut c_char, room: u32, text: &str) -> Status {
    // SAFETY: as the caller promises.
    if unsafe { write_text(buffer.cast(), room as usize, text) } { SUCCESS } else { INSUFFICIENT_SIZE }
}

/// Defines functions that write one text.
macro_rules! texts {
    ($($name:ident($($handle:ident)?) = $text:expr;)+) => {$(
        /// # Safety
        /// The buffer is as long as the caller says.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($handle: usize,)? buffer: *mut c_char, room: u32) -> Status {
            $(let Some($handle) = device($handle) else { return INVALID_ARGUMENT };)?
            // SAFETY: as the caller promises.
            unsafe { write(buffer, room, $text) }
        }
    )+};
}

texts!(
    nvmlSystemGetDriverVersion() = DRIVER;
    nvmlSystemGetNVMLVersion() = NVML;
    nvmlDeviceGetName(handle) = { let _ = handle; &machine().settings.name };
    nvmlDeviceGetUUID(handle) = &properties::uuid_text(handle);
    nvmlDeviceGetSerial(handle) = &format!("{handle:013}");
    nvmlDeviceGetVbiosVersion(handle) = { let _ = handle; "00.00.00.00.00" };
);

/// Defines functions that return one number about a GPU.
macro_rules! numbers {
    ($($name:ident: $kind:ty = |$device:ident| $value:expr;)+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(handle: usize, value: Option<&mut $kind>) -> Status {
            let Some($device) = device(handle) else { return INVALID_ARGUMENT };
            answer(value, $value)
        }
    )+};
}

numbers!(
    nvmlDeviceGetIndex: u32 = |device| device as u32;
    nvmlDeviceGetMinorNumber: u32 = |device| device as u32;
    nvmlDeviceGetPowerUsage: u32 = |_device| 100_000;
    nvmlDeviceGetPowerManagementLimit: u32 = |_device| 700_000;
    nvmlDeviceGetEnforcedPowerLimit: u32 = |_device| 700_000;
    nvmlDeviceGetPerformanceState: u32 = |_device| 0;
    nvmlDeviceGetPersistenceMode: u32 = |_device| 1;
    nvmlDeviceGetComputeMode: u32 = |_device| 0;
    nvmlDeviceGetFanSpeed: u32 = |_device| 0;
    nvmlDeviceIsMigDeviceHandle: u32 = |_device| 0;
    nvmlDeviceGetMaxMigDeviceCount: u32 = |_device| 0;
    nvmlDeviceGetNumGpuCores: u32 = |_device| machine().settings.multiprocessors * 128;
    nvmlDeviceGetUtilizationRates: nvmlUtilization = |_device| nvmlUtilization { gpu: 0, memory: 0 };
    nvmlDeviceGetMemoryInfo: nvmlMemory = |device| {
        let (total, used) = (machine().settings.total, used(device));
        nvmlMemory { total, free: total.saturating_sub(used), used }
    };
    nvmlDeviceGetBAR1MemoryInfo: nvmlBAR1Memory = |_device| {
        let total = machine().settings.total.next_power_of_two();
        nvmlBAR1Memory { bar1Total: total, bar1Free: total, bar1Used: 0 }
    };
);

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: usize, memory: Option<&mut nvmlMemory_v2>) -> Status {
    let (Some(device), Some(memory)) = (device(handle), memory) else { return INVALID_ARGUMENT };
    // NVML_STRUCT_VERSION(Memory, 2)
    if memory.version != size_of::<nvmlMemory_v2>() as u32 | 2 << 24 {
        return VERSION_MISMATCH;
    }
    let (total, used) = (machine().settings.total, used(device));
    *memory =
        nvmlMemory_v2 { version: memory.version, total, reserved: 0, free: total.saturating_sub(used), used };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(_handle: usize, _sensor: i32, degrees: Option<&mut u32>) -> Status {
    answer(degrees, 30)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCudaComputeCapability(
    _handle: usize,
    major: Option<&mut i32>,
    minor: Option<&mut i32>,
) -> Status {
    let capability = machine().settings.compute_capability;
    answer(major, capability.0 as i32);
    answer(minor, capability.1 as i32)
}

/// The GPU has no MIG partitions, so the functions for them return "not supported".
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(
    _handle: usize,
    current: Option<&mut u32>,
    pending: Option<&mut u32>,
) -> Status {
    answer(current, 0);
    answer(pending, 0)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion(version: Option<&mut i32>) -> Status {
    answer(version, super::super::runtime::CUDA_VERSION)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: Option<&mut i32>) -> Status {
    nvmlSystemGetCudaDriverVersion(version)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: Option<&mut u32>) -> Status {
    answer(count, machine().devices() as u32)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: u32, handle: Option<&mut usize>) -> Status {
    let known = (index as usize) < machine().devices();
    if known { answer(handle, FIRST + index as usize) } else { INVALID_ARGUMENT }
}

/// Finds the GPU that a text names.
///
/// # Safety
/// `text` is null or has an end.
unsafe fn by_name(text: *const c_char, handle: Option<&mut usize>, name: &dyn Fn(usize) -> String) -> Status {
    if text.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().to_ascii_lowercase();
    let named = (0..machine().devices()).find(|device| {
        let name = name(*device).to_ascii_lowercase();
        !text.is_empty() && (name.starts_with(&text) || text.ends_with(&name))
    });
    named.map_or(NOT_FOUND, |device| answer(handle, FIRST + device))
}

/// # Safety
/// `text` has an end.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByUUID(text: *const c_char, handle: Option<&mut usize>) -> Status {
    // SAFETY: as the caller promises.
    unsafe { by_name(text, handle, &properties::uuid_text) }
}

/// # Safety
/// `text` has an end.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    text: *const c_char,
    handle: Option<&mut usize>,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { by_name(text, handle, &properties::pci_name) }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(handle: usize, info: Option<&mut nvmlPciInfo>) -> Status {
    let (Some(device), Some(info)) = (device(handle), info) else { return INVALID_ARGUMENT };
    // SAFETY: numbers only, for which zeros are a value.
    *info = unsafe { std::mem::zeroed() };
    let name = properties::pci_name(device);
    for (place, byte) in info.busIdLegacy.iter_mut().zip(name.bytes()) {
        *place = byte as c_char;
    }
    for (place, byte) in info.busId.iter_mut().zip(format!("0000{name}").bytes()) {
        *place = byte as c_char;
    }
    info.bus = properties::pci_bus(device) as u32;
    SUCCESS
}

/// All GPUs of the machine are connected by one PCIe switch.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetP2PStatus(_a: usize, _b: usize, _what: i32, status: Option<&mut i32>) -> Status {
    answer(status, 0)
}

/// # Safety
/// `list` has room for `count` entries.
unsafe fn processes<T>(
    handle: usize,
    count: Option<&mut u32>,
    list: *mut T,
    row: &dyn Fn(u64, u64) -> T,
) -> Status {
    let (Some(device), Some(count)) = (device(handle), count) else { return INVALID_ARGUMENT };
    // The driver lists no process that has ended.
    machine().counters.give_back_of_the_dead(device);
    let holders = machine().counters.holders(device);
    let room = std::mem::replace(count, holders.len() as u32);
    if holders.is_empty() {
        return SUCCESS;
    }
    if list.is_null() || (room as usize) < holders.len() {
        return INSUFFICIENT_SIZE;
    }
    for (place, (pid, held)) in holders.into_iter().enumerate() {
        // SAFETY: the caller's list has room for all of them.
        unsafe { list.add(place).write(row(pid, held)) };
    }
    SUCCESS
}

/// # Safety
/// As for `processes`.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses(
    handle: usize,
    count: Option<&mut u32>,
    list: *mut nvmlProcessInfo_v1,
) -> Status {
    let row = |pid, held| nvmlProcessInfo_v1 { pid: pid as u32, usedGpuMemory: held };
    // SAFETY: as the caller promises.
    unsafe { processes(handle, count, list, &row) }
}

fn row(pid: u64, held: u64) -> nvmlProcessInfo_v2 {
    let none = u32::MAX;
    nvmlProcessInfo_v2 { pid: pid as u32, usedGpuMemory: held, gpuInstanceId: none, computeInstanceId: none }
}

/// # Safety
/// As for `processes`.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v2(
    handle: usize,
    count: Option<&mut u32>,
    list: *mut nvmlProcessInfo_v2,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { processes(handle, count, list, &row) }
}

/// # Safety
/// As for `processes`.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    handle: usize,
    count: Option<&mut u32>,
    list: *mut nvmlProcessInfo_v2,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { processes(handle, count, list, &row) }
}

/// Only Windows has models of drivers.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDriverModel(_handle: usize, _current: usize, _pending: usize) -> Status {
    NOT_SUPPORTED
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDriverModel_v2(_handle: usize, _current: usize, _pending: usize) -> Status {
    NOT_SUPPORTED
}

/// Defines lists of processes that are empty: nothing draws on the virtual GPU, and it has no Multi-Process Service.
macro_rules! empty_lists {
    ($($name:ident),+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(handle: usize, count: Option<&mut u32>, _list: usize) -> Status {
            if device(handle).is_none() {
                return INVALID_ARGUMENT;
            }
            answer(count, 0)
        }
    )+};
}

empty_lists!(
    nvmlDeviceGetGraphicsRunningProcesses,
    nvmlDeviceGetGraphicsRunningProcesses_v2,
    nvmlDeviceGetGraphicsRunningProcesses_v3,
    nvmlDeviceGetMPSComputeRunningProcesses,
    nvmlDeviceGetMPSComputeRunningProcesses_v2,
    nvmlDeviceGetMPSComputeRunningProcesses_v3
);

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(status: Status) -> *const u8 {
    use super::super::c_text;
    match status {
        SUCCESS => c_text!("Success"),
        INVALID_ARGUMENT => c_text!("Invalid Argument"),
        NOT_SUPPORTED => c_text!("Not Supported"),
        NOT_FOUND => c_text!("Not Found"),
        INSUFFICIENT_SIZE => c_text!("Insufficient Size"),
        _ => c_text!("Unknown Error"),
    }
}
