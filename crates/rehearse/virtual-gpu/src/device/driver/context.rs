//! GPUs, contexts and streams in the driver.

use std::cell::Cell;

use super::super::machine::machine;
use super::super::memory::use_device;
use super::super::runtime::CUDA_VERSION;
use super::super::visible::{on_machine, visible};
use super::super::{
    CURRENT, INVALID_DEVICE, INVALID_VALUE, NO_DEVICE, SUCCESS, Status, answer, current_device, kernels,
    properties, streams,
};

/// The handle of the first GPU's primary context; the handles of the others follow it.
const FIRST_CONTEXT: usize = 0x4000;

thread_local! {
    /// Whether this thread has made a context current.
    static HAS_CONTEXT: Cell<bool> = const { Cell::new(false) };
}

fn context_of(device: usize) -> usize {
    FIRST_CONTEXT + device * 16
}

fn is_device(device: i32) -> Option<usize> {
    usize::try_from(device).ok().filter(|device| *device < visible().len())
}

#[unsafe(no_mangle)]
extern "C" fn cuInit(_flags: u32) -> Status {
    if visible().is_empty() { NO_DEVICE } else { SUCCESS }
}

#[unsafe(no_mangle)]
extern "C" fn cuDriverGetVersion(version: Option<&mut i32>) -> Status {
    answer(version, CUDA_VERSION)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGet(device: Option<&mut i32>, ordinal: i32) -> Status {
    if is_device(ordinal).is_none() {
        return INVALID_DEVICE;
    }
    answer(device, ordinal)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetCount(count: Option<&mut i32>) -> Status {
    answer(count, visible().len() as i32)
}

/// # Safety
/// `name` has room for `room` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut u8, room: i32, _device: i32) -> Status {
    // SAFETY: as the caller promises.
    let written = unsafe { super::super::write_text(name, room.max(0) as usize, &machine().settings.name) };
    if written { SUCCESS } else { INVALID_VALUE }
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid(uuid: Option<&mut [u8; 16]>, device: i32) -> Status {
    is_device(device).map_or(INVALID_DEVICE, |device| answer(uuid, properties::uuid(on_machine(device))))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid_v2(uuid: Option<&mut [u8; 16]>, device: i32) -> Status {
    cuDeviceGetUuid(uuid, device)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceTotalMem_v2(bytes: Option<&mut usize>, _device: i32) -> Status {
    answer(bytes, machine().settings.total as usize)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetAttribute(value: Option<&mut i32>, attribute: i32, device: i32) -> Status {
    is_device(device).map_or(INVALID_DEVICE, |device| answer(value, properties::attribute(attribute, device)))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceCanAccessPeer(can: Option<&mut i32>, device: i32, peer: i32) -> Status {
    answer(can, i32::from(device != peer))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxGetState(
    device: i32,
    flags: Option<&mut u32>,
    active: Option<&mut i32>,
) -> Status {
    answer(flags, 0);
    let machine = machine();
    let known = is_device(device).is_some_and(|device| {
        machine.settings.context == 0 || machine.counters.has_context(on_machine(device))
    });
    answer(active, i32::from(known))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRetain(context: Option<&mut usize>, device: i32) -> Status {
    let Some(device) = is_device(device) else { return INVALID_DEVICE };
    match use_device(device) {
        Ok(()) => answer(context, context_of(device)),
        Err(status) => status,
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetCurrent(context: Option<&mut usize>) -> Status {
    answer(context, context_of(current_device()))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: usize) -> Status {
    HAS_CONTEXT.set(context != 0);
    let device = context.checked_sub(FIRST_CONTEXT).map(|offset| offset / 16);
    if let Some(device) = device.filter(|device| *device < visible().len()) {
        CURRENT.set(device);
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: usize) -> Status {
    cuCtxSetCurrent(context)
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPopCurrent_v2(context: Option<&mut usize>) -> Status {
    answer(context, context_of(current_device()))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxCreate_v2(context: Option<&mut usize>, _flags: u32, device: i32) -> Status {
    cuDevicePrimaryCtxRetain(context, device)
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetDevice(device: Option<&mut i32>) -> Status {
    answer(device, current_device() as i32)
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetLimit(value: Option<&mut usize>, _limit: i32) -> Status {
    answer(value, 1 << 20)
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetApiVersion(_context: usize, version: Option<&mut u32>) -> Status {
    answer(version, 3020)
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Status {
    machine().streams().wait_for_all()
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreate(stream: Option<&mut usize>, _flags: u32) -> Status {
    answer(stream, machine().streams().create(0))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreateWithPriority(stream: Option<&mut usize>, _flags: u32, priority: i32) -> Status {
    answer(stream, machine().streams().create(priority))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: usize) -> Status {
    machine().streams().wait(stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: usize) -> Status {
    machine().streams().query(stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamIsCapturing(stream: usize, status: Option<&mut i32>) -> Status {
    answer(status, i32::from(streams::capture_of(stream).is_some()))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamGetCtx(_stream: usize, context: Option<&mut usize>) -> Status {
    answer(context, context_of(current_device()))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: usize, event: usize, _flags: u32) -> Status {
    machine().streams().join(stream, event);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventCreate(event: Option<&mut usize>, _flags: u32) -> Status {
    answer(event, machine().streams().create_event())
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: usize, stream: usize) -> Status {
    machine().streams().record(event, stream);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: usize) -> Status {
    machine().streams().query_event(event)
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: usize) -> Status {
    machine().streams().wait_for_event(event);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: usize) -> Status {
    machine().streams().destroy_event(event);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime(milliseconds: Option<&mut f32>, _start: usize, _end: usize) -> Status {
    answer(milliseconds, 1.0)
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
extern "C" fn cuLaunchKernel(
    function: usize,
    _grid_x: u32,
    _grid_y: u32,
    _grid_z: u32,
    _block_x: u32,
    _block_y: u32,
    _block_z: u32,
    _shared: u32,
    stream: usize,
) -> Status {
    kernels::launched_by_driver(function, stream);
    SUCCESS
}

/// The fields of `CUlaunchConfig` that are read here: six extents and the bytes of shared memory, then the stream.
#[repr(C)]
pub struct LaunchConfig {
    extents: [u32; 7],
    stream: usize,
}

#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernelEx(config: Option<&LaunchConfig>, function: usize) -> Status {
    kernels::launched_by_driver(function, config.map_or(0, |config| config.stream));
    SUCCESS
}
