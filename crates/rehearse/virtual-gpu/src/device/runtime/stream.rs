//! Streams and events.

use super::super::machine::machine;
use super::super::memory::use_device;
use super::super::{SUCCESS, Status, answer, current_device, remember, streams};

fn create(stream: Option<&mut usize>, priority: i32) -> Status {
    if let Err(status) = use_device(current_device()) {
        return remember(status);
    }
    answer(stream, machine().streams().create(priority))
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamCreate(stream: Option<&mut usize>) -> Status {
    create(stream, 0)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamCreateWithFlags(stream: Option<&mut usize>, _flags: u32) -> Status {
    create(stream, 0)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamCreateWithPriority(stream: Option<&mut usize>, _flags: u32, priority: i32) -> Status {
    create(stream, priority)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamDestroy(stream: usize) -> Status {
    machine().streams().destroy(stream);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaDeviceGetStreamPriorityRange(
    least: Option<&mut i32>,
    greatest: Option<&mut i32>,
) -> Status {
    answer(least, 0);
    answer(greatest, -5)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamGetPriority(stream: usize, priority: Option<&mut i32>) -> Status {
    answer(priority, machine().streams().priority(stream))
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamGetDevice(_stream: usize, device: Option<&mut i32>) -> Status {
    answer(device, current_device() as i32)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamGetFlags(_stream: usize, flags: Option<&mut u32>) -> Status {
    answer(flags, 1)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamGetId(stream: usize, id: Option<&mut u64>) -> Status {
    answer(id, stream as u64)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamSynchronize(stream: usize) -> Status {
    remember(machine().streams().wait(stream))
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamQuery(stream: usize) -> Status {
    remember(machine().streams().query(stream))
}

#[unsafe(no_mangle)]
extern "C" fn cudaDeviceSynchronize() -> Status {
    remember(machine().streams().wait_for_all())
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamWaitEvent(stream: usize, event: usize, _flags: u32) -> Status {
    machine().streams().join(stream, event);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventCreate(event: Option<&mut usize>) -> Status {
    answer(event, machine().streams().create_event())
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventCreateWithFlags(event: Option<&mut usize>, _flags: u32) -> Status {
    answer(event, machine().streams().create_event())
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventDestroy(event: usize) -> Status {
    machine().streams().destroy_event(event);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventRecord(event: usize, stream: usize) -> Status {
    machine().streams().record(event, stream);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventRecordWithFlags(event: usize, stream: usize, _flags: u32) -> Status {
    cudaEventRecord(event, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventQuery(event: usize) -> Status {
    remember(machine().streams().query_event(event))
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventSynchronize(event: usize) -> Status {
    machine().streams().wait_for_event(event);
    SUCCESS
}

/// The time between two events, which is always one millisecond: a program that times kernels to choose one finds them all
/// equally fast, and ends its measurement early.
#[unsafe(no_mangle)]
extern "C" fn cudaEventElapsedTime(milliseconds: Option<&mut f32>, _start: usize, _end: usize) -> Status {
    answer(milliseconds, 1.0)
}

#[unsafe(no_mangle)]
extern "C" fn cudaEventElapsedTime_v2(milliseconds: Option<&mut f32>, start: usize, end: usize) -> Status {
    cudaEventElapsedTime(milliseconds, start, end)
}

/// Calls a host function of a stream at once.
///
/// # Safety
/// `work` may be called with `argument`.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaLaunchHostFunc(
    stream: usize,
    work: Option<unsafe extern "C" fn(usize)>,
    argument: usize,
) -> Status {
    if let Some(work) = work.filter(|_| streams::capture_of(stream).is_none()) {
        // SAFETY: the caller hands over a function and its argument.
        unsafe { work(argument) };
    }
    SUCCESS
}

/// # Safety
/// As for [`cudaLaunchHostFunc`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaStreamAddCallback(
    stream: usize,
    work: Option<unsafe extern "C" fn(usize, Status, usize)>,
    argument: usize,
    _flags: u32,
) -> Status {
    if let Some(work) = work {
        // SAFETY: the caller hands over a function and its argument.
        unsafe { work(stream, SUCCESS, argument) };
    }
    SUCCESS
}
