//! The functions that programs call, and the state behind them.
//!
//! Parameters that C passes as pointers to results are `Option<&mut T>` here: a null pointer is `None`, and the callers
//! (real PyTorch, Triton, vLLM …) pass what CUDA's headers require. Handles and device addresses are numbers.

mod addresses;
mod counters;
mod driver;
mod hook;
mod kernels;
mod libc;
mod libraries;
mod machine;
mod memory;
mod properties;
mod pytorch;
mod runtime;
mod streams;
mod unmodelled;
mod visible;
mod written;

use std::cell::Cell;

use crate::abi::cudaError;

/// What a function of CUDA returns: 0 is success.
type Status = i32;

const SUCCESS: Status = 0;
/// `CUDA_ERROR_…` and `cudaError…` have the same numbers where both are used here.
const INVALID_VALUE: Status = cudaError::cudaErrorInvalidValue;
const OUT_OF_MEMORY: Status = cudaError::cudaErrorMemoryAllocation;
const INVALID_DEVICE: Status = cudaError::cudaErrorInvalidDevice;
const NO_DEVICE: Status = cudaError::cudaErrorNoDevice;
const NOT_READY: Status = cudaError::cudaErrorNotReady;
const NOT_FOUND: Status = cudaError::cudaErrorSymbolNotFound;

thread_local! {
    /// The GPU that this thread works on.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// The error that `cudaGetLastError` returns next.
    static LAST_ERROR: Cell<Status> = const { Cell::new(SUCCESS) };
}

fn current_device() -> usize {
    CURRENT.get()
}

/// Remembers a failure for `cudaGetLastError`, as the runtime does.
fn remember(status: Status) -> Status {
    if status != SUCCESS {
        LAST_ERROR.set(status);
    }
    status
}

/// Writes a result to the caller's place, if there is one, and returns success.
fn answer<T>(place: Option<&mut T>, value: T) -> Status {
    if let Some(place) = place {
        *place = value;
    }
    SUCCESS
}

/// A handle that means nothing but is not null.
fn new_handle() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0x10_000);
    NEXT.fetch_add(16, Ordering::Relaxed)
}

/// A C string that lives as long as the program.
macro_rules! c_text {
    ($text:literal) => {
        concat!($text, "\0").as_ptr()
    };
}
use c_text;

/// Writes a text and its end into a buffer of the caller.
///
/// # Safety
/// `buffer` is null or has `room` bytes.
unsafe fn write_text(buffer: *mut u8, room: usize, text: &str) -> bool {
    if buffer.is_null() || room <= text.len() {
        return false;
    }
    // SAFETY: the buffer has room for the text and one byte more.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, text.len());
        buffer.add(text.len()).write(0);
    }
    true
}
