//! NVML's structs as its headers have had them, and how they are written.

use std::ffi::{c_char, c_uint, c_void};

use serde_json::Value;

use crate::fixture::{Failure, INSUFFICIENT_SIZE, INVALID_ARGUMENT, VERSION_MISMATCH, fixture, of_gpu};

/// What stands in the padding of a struct, which no reader may take for a part of a number.
const HOLE: u32 = 0xA5A5_A5A5;
/// `NVML_VALUE_NOT_AVAILABLE`.
const NOT_AVAILABLE: u64 = u64::MAX;

/// `nvmlProcessInfo_v1_t`.
#[repr(C)]
struct ProcessV1 {
    pid: u32,
    hole: u32,
    used: u64,
}

/// `nvmlProcessInfo_v2_t`, which the third functions have as well, but for early drivers of R535.
#[repr(C)]
struct ProcessV2 {
    first: ProcessV1,
    gpu_instance: u32,
    compute_instance: u32,
}

/// `nvmlProcessInfo_t` of drivers 535.43 to 535.86.
#[repr(C)]
struct ProcessEarly535 {
    second: ProcessV2,
    protected: u64,
}

/// `nvmlMemory_t`.
#[repr(C)]
struct MemoryV1 {
    total: u64,
    free: u64,
    used: u64,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
struct MemoryV2 {
    version: u32,
    hole: u32,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `nvmlPciInfo_t` of the third version; the second has no `name` at its end.
#[repr(C)]
struct PciV3 {
    legacy: [u8; 16],
    domain: u32,
    bus: u32,
    device: u32,
    device_id: u32,
    subsystem_id: u32,
    name: [u8; 32],
}

/// `nvmlPciInfo_v2_t`.
#[repr(C)]
struct PciV2 {
    legacy: [u8; 16],
    numbers: [u32; 5],
    reserved: [u32; 4],
}

/// Writes a text with its zero.
///
/// # Safety
/// `text` has room for `room` bytes; likewise for the other functions.
///
/// # Panics
/// The fixture is not one: the test cannot go on.
pub unsafe fn text(answer: &Value, text: *mut c_char, room: c_uint) -> Result<(), Failure> {
    let answer = answer.as_str().expect("a text");
    if text.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    if room as usize <= answer.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    // SAFETY: the caller has room for the text and its zero.
    unsafe {
        std::ptr::copy_nonoverlapping(answer.as_ptr().cast(), text, answer.len());
        text.add(answer.len()).write(0);
    }
    Ok(())
}

/// Writes a number.
pub unsafe fn number(answer: &Value, number: *mut c_uint) -> Result<(), Failure> {
    if number.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: the caller has room for it.
    unsafe { number.write(u32_of(answer)) };
    Ok(())
}

/// Writes the memory of a GPU as the struct of the function's version.
pub unsafe fn memory(handle: usize, function: &str, room: *mut c_void) -> Result<(), Failure> {
    if !function.ends_with("_v2") {
        let answer = of_gpu(handle, function)?;
        let bytes = |name: &str| u64_of(&answer[name]);
        let memory = MemoryV1 { total: bytes("total"), free: bytes("free"), used: bytes("used") };
        // SAFETY: the caller has room for a struct of the first version.
        unsafe { room.cast::<MemoryV1>().write(memory) };
        return Ok(());
    }
    // SAFETY: every version of the struct begins with its version.
    let version = unsafe { room.cast::<u32>().read() };
    if version != size_of::<MemoryV2>() as u32 | 2 << 24 {
        return Err(VERSION_MISMATCH);
    }
    let answer = of_gpu(handle, function)?;
    let bytes = |name: &str| u64_of(&answer[name]);
    let (total, reserved, free, used) = (bytes("total"), bytes("reserved"), bytes("free"), bytes("used"));
    // SAFETY: the version says that the caller has room for it.
    unsafe { room.cast::<MemoryV2>().write(MemoryV2 { version, hole: HOLE, total, reserved, free, used }) };
    Ok(())
}

/// Writes a GPU's name on the PCI bus as the struct of the function's version.
///
/// # Panics
/// The fixture is not one: the test cannot go on.
pub unsafe fn bus(handle: usize, function: &str, room: *mut c_void) -> Result<(), Failure> {
    let name = of_gpu(handle, function)?.as_str().expect("a name on the bus");
    // The older name has four digits of the domain, where the newer one has eight.
    let legacy = padded(if name.len() == 16 { &name[4..] } else { name });
    // SAFETY: the caller has room for the struct of the function's version.
    unsafe {
        if function.ends_with("_v3") {
            let (domain, bus, device) = (0, 0x1A, 0);
            let name = padded(name);
            let info = PciV3 { legacy, domain, bus, device, device_id: HOLE, subsystem_id: HOLE, name };
            room.cast::<PciV3>().write(info);
        } else {
            room.cast::<PciV2>().write(PciV2 { legacy, numbers: [HOLE; 5], reserved: [HOLE; 4] });
        }
    }
    Ok(())
}

/// Writes a list of processes in the layout that this driver has for this version of the function.
///
/// # Panics
/// The fixture is not one: the test cannot go on.
pub unsafe fn processes(
    handle: usize,
    function: &str,
    count: *mut c_uint,
    room: *mut c_void,
) -> Result<(), Failure> {
    let list = ["Graphics", "MPS"].iter().find(|list| function.contains(**list));
    let rows = of_gpu(handle, &list.map_or("compute".to_owned(), |list| list.to_lowercase()))?;
    let rows = rows.as_array().expect("a list of processes");
    // SAFETY: the caller's count.
    let entries = unsafe { count.replace(rows.len() as u32) } as usize;
    if entries < rows.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    let version = if function.ends_with("_v3") { 2 } else { usize::from(function.ends_with("_v2")) };
    for (at, row) in rows.iter().enumerate() {
        let used = row[1].as_u64().unwrap_or(NOT_AVAILABLE);
        let first = ProcessV1 { pid: u32_of(&row[0]), hole: HOLE, used };
        let whole = |first| ProcessV2 { first, gpu_instance: u32::MAX, compute_instance: u32::MAX };
        // SAFETY: the caller has room for as many entries of this layout as it said.
        unsafe {
            match fixture()["entry_bytes"][version].as_u64() {
                Some(16) => room.cast::<ProcessV1>().add(at).write(first),
                Some(24) => room.cast::<ProcessV2>().add(at).write(whole(first)),
                Some(32) => {
                    let entry = ProcessEarly535 { second: whole(first), protected: 0 };
                    room.cast::<ProcessEarly535>().add(at).write(entry);
                }
                other => panic!("no version has entries of {other:?} bytes"),
            }
        }
    }
    Ok(())
}

fn padded<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    // The last byte stays zero.
    let length = text.len().min(LENGTH - 1);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    bytes
}

/// A number of bytes.
///
/// # Panics
/// The fixture is not one: the test cannot go on.
fn u64_of(value: &Value) -> u64 {
    value.as_u64().expect("a number of bytes")
}

/// A number of 32 bits.
///
/// # Panics
/// The fixture is not one: the test cannot go on.
fn u32_of(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).expect("a number of 32 bits")
}
