//! Memory of the GPU and of the host, and copies between them.

use super::super::machine::machine;
use super::super::memory::{HostKind, give_back_pages, host_pages, pin, use_device};
use super::super::visible::{on_machine, visible};
use super::super::{
    INVALID_VALUE, OUT_OF_MEMORY, SUCCESS, Status, answer, current_device, hook, kernels, remember, written,
};
use crate::abi::cudaPointerAttributes;
use crate::state::OfProcess;

#[unsafe(no_mangle)]
extern "C" fn cudaMalloc(address: Option<&mut usize>, bytes: usize) -> Status {
    let allocated = machine().memory().allocate(current_device(), bytes);
    match allocated {
        Ok(found) => answer(address, found),
        Err(status) => {
            answer(address, 0);
            remember(status)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn cudaFree(address: usize) -> Status {
    if address == 0 {
        // Programs call `cudaFree(0)` to make a context.
        return use_device(current_device()).err().map_or(SUCCESS, remember);
    }
    let is_managed = machine().memory().host.contains_key(&address);
    if is_managed {
        return free_host(address);
    }
    super::pool::free(address);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaMallocPitch(
    address: Option<&mut usize>,
    pitch: Option<&mut usize>,
    width: usize,
    height: usize,
) -> Status {
    let row = width.next_multiple_of(512);
    answer(pitch, row);
    cudaMalloc(address, row.saturating_mul(height))
}

#[unsafe(no_mangle)]
extern "C" fn cudaHostAlloc(address: Option<&mut usize>, bytes: usize, _flags: u32) -> Status {
    let Err(status) = pin(bytes) else {
        let Some(found) = host_pages(bytes) else { return remember(OUT_OF_MEMORY) };
        machine().memory().host.insert(found, (bytes, HostKind::Pinned));
        return answer(address, found);
    };
    answer(address, 0);
    remember(status)
}

#[unsafe(no_mangle)]
extern "C" fn cudaMallocHost(address: Option<&mut usize>, bytes: usize) -> Status {
    cudaHostAlloc(address, bytes, 0)
}

#[unsafe(no_mangle)]
extern "C" fn cudaFreeHost(address: usize) -> Status {
    free_host(address)
}

fn free_host(address: usize) -> Status {
    let Some((bytes, kind)) = machine().memory().host.remove(&address) else { return SUCCESS };
    match kind {
        HostKind::Managed => machine().counters.subtract(OfProcess::Managed, bytes as u64),
        HostKind::Pinned | HostKind::Registered => {
            machine().counters.subtract(OfProcess::Pinned, bytes as u64)
        }
    }
    if kind != HostKind::Registered {
        give_back_pages(address, bytes);
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaHostRegister(address: usize, bytes: usize, _flags: u32) -> Status {
    match pin(bytes) {
        Ok(()) => {
            machine().memory().host.insert(address, (bytes, HostKind::Registered));
            SUCCESS
        }
        Err(status) => remember(status),
    }
}

#[unsafe(no_mangle)]
extern "C" fn cudaHostUnregister(address: usize) -> Status {
    free_host(address)
}

#[unsafe(no_mangle)]
extern "C" fn cudaHostGetDevicePointer(device: Option<&mut usize>, host: usize, _flags: u32) -> Status {
    answer(device, host)
}

/// Managed memory, which may be on the GPU or on the host. Here it is on the host.
#[unsafe(no_mangle)]
extern "C" fn cudaMallocManaged(address: Option<&mut usize>, bytes: usize, _flags: u32) -> Status {
    let Some(found) = host_pages(bytes) else { return remember(OUT_OF_MEMORY) };
    machine().counters.add(OfProcess::Managed, bytes as u64);
    machine().memory().host.insert(found, (bytes, HostKind::Managed));
    answer(address, found)
}

#[unsafe(no_mangle)]
extern "C" fn cudaPointerGetAttributes(
    attributes: Option<&mut cudaPointerAttributes>,
    address: usize,
) -> Status {
    let Some(attributes) = attributes else { return INVALID_VALUE };
    let memory = machine().memory();
    let device = memory.device_of(address);
    let host = memory.host_holding(address);
    *attributes = cudaPointerAttributes {
        // cudaMemoryType: unregistered, host, device, managed.
        type_: match (device, host) {
            (Some(_), _) => 2,
            (None, Some(HostKind::Managed)) => 3,
            (None, Some(_)) => 1,
            (None, None) => 0,
        },
        device: device.map_or_else(|| current_device() as i32, |device| device as i32),
        devicePointer: if device.is_some() || host.is_some() {
            address as *mut _
        } else {
            std::ptr::null_mut()
        },
        hostPointer: if device.is_some() { std::ptr::null_mut() } else { address as *mut _ },
    };
    SUCCESS
}

/// # Safety
/// The addresses that are not the GPU's hold `bytes` bytes each.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpy(to: usize, from: usize, bytes: usize, _kind: i32) -> Status {
    // SAFETY: as the caller promises.
    unsafe { copy(to, from, bytes) }
}

/// # Safety
/// As for [`cudaMemcpy`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpyAsync(
    to: usize,
    from: usize,
    bytes: usize,
    _kind: i32,
    stream: usize,
) -> Status {
    machine().streams().work(stream);
    // SAFETY: as the caller promises.
    unsafe { copy(to, from, bytes) }
}

#[unsafe(no_mangle)]
extern "C" fn cudaMemcpyPeerAsync(
    _to: usize,
    _to_device: i32,
    _from: usize,
    _from_device: i32,
    _bytes: usize,
    stream: usize,
) -> Status {
    machine().streams().work(stream);
    SUCCESS
}

/// # Safety
/// As for [`cudaMemcpy`], row by row.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpy2DAsync(
    to: usize,
    to_pitch: usize,
    from: usize,
    from_pitch: usize,
    width: usize,
    height: usize,
    _kind: i32,
    stream: usize,
) -> Status {
    machine().streams().work(stream);
    for row in 0..height {
        // SAFETY: as the caller promises.
        unsafe { copy(to + row * to_pitch, from + row * from_pitch, width) };
    }
    SUCCESS
}

/// Copies bytes of the host. A copy from the GPU gives what a read of the GPU returns.
///
/// # Safety
/// The addresses that are not the GPU's hold `bytes` bytes each.
pub(crate) unsafe fn copy(to: usize, from: usize, bytes: usize) -> Status {
    let (to_device, from_device) = {
        let memory = machine().memory();
        (memory.device_of(to).is_some(), memory.device_of(from).is_some())
    };
    if bytes == 0 {
        return SUCCESS;
    }
    if to == 0 || (from == 0 && !from_device) {
        return INVALID_VALUE;
    }
    // SAFETY: host memory of the caller, who says how much there is.
    unsafe {
        match (from_device, to_device) {
            (true, true) => {
                written::moved(to, from, bytes);
                kernels::moved(to, from, bytes);
            }
            (false, true) => {
                let bytes = std::slice::from_raw_parts(from as *const u8, bytes);
                written::put(to, bytes);
                kernels::put(to, bytes);
            }
            // An operator's own count comes first: the hook has set it for the result that is being made.
            (true, false) => match (hook::count(bytes), written::get(from, bytes)) {
                (Some(count), _) => std::ptr::copy(count.as_ptr(), to as *mut u8, bytes),
                (None, Some(known)) => std::ptr::copy(known.as_ptr(), to as *mut u8, bytes),
                (None, None) => (to as *mut u8).write_bytes(kernels::read(from, bytes), bytes),
            },
            (false, false) => std::ptr::copy(from as *const u8, to as *mut u8, bytes),
        }
    }
    SUCCESS
}

/// # Safety
/// An address that is not the GPU's holds `bytes` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemset(address: usize, value: i32, bytes: usize) -> Status {
    let on_device = machine().memory().device_of(address).is_some();
    if !on_device && address != 0 {
        // SAFETY: as the caller promises.
        unsafe { (address as *mut u8).write_bytes(value as u8, bytes) };
    }
    if on_device {
        written::drop_overlapping(address, bytes);
        kernels::cleared(address);
    }
    SUCCESS
}

/// # Safety
/// As for [`cudaMemset`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemsetAsync(address: usize, value: i32, bytes: usize, stream: usize) -> Status {
    machine().streams().work(stream);
    // SAFETY: as the caller promises.
    unsafe { cudaMemset(address, value, bytes) }
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetSymbolAddress(address: Option<&mut usize>, _symbol: usize) -> Status {
    answer(address, machine().memory().base())
}

/// A handle of memory for other processes: its address, its bytes and its GPU, by the machine's number.
#[repr(C)]
pub struct IpcHandle {
    address: usize,
    bytes: usize,
    device: usize,
    reserved: [u64; 5],
}

#[unsafe(no_mangle)]
extern "C" fn cudaIpcGetMemHandle(handle: Option<&mut IpcHandle>, address: usize) -> Status {
    let memory = machine().memory();
    let (Some((start, bytes)), Some(device)) = (memory.holding(address), memory.device_of(address)) else {
        return INVALID_VALUE;
    };
    answer(handle, IpcHandle { address: start, bytes, device: on_machine(device), reserved: [0; 5] })
}

/// Opens memory of another process. It has addresses in this process and is counted in the other one.
#[unsafe(no_mangle)]
extern "C" fn cudaIpcOpenMemHandle(address: Option<&mut usize>, handle: IpcHandle, _flags: u32) -> Status {
    // The other process may number its GPUs in another way.
    let found = visible().iter().position(|device| *device == handle.device);
    let device = found.unwrap_or_else(current_device);
    let reserved = machine().memory().reserve(device, handle.bytes);
    reserved.map_or_else(remember, |found| answer(address, found))
}

#[unsafe(no_mangle)]
extern "C" fn cudaIpcCloseMemHandle(address: usize) -> Status {
    machine().memory().free(address);
    SUCCESS
}
