//! The libraries above the runtime: those of their functions whose answer decides how much memory a program uses.

mod cublas;
mod cudnn;
mod nccl;
mod nvml;
mod nvrtc;
mod rnn;
mod texts;
mod unbound;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::machine::machine;
use super::memory::take_beside;
use super::{current_device, new_handle};

/// The stream of each handle.
static STREAMS: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);

fn set_stream(handle: usize, stream: usize) {
    STREAMS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, stream);
}

fn stream_of(handle: usize) -> usize {
    STREAMS.lock().unwrap_or_else(PoisonError::into_inner).get(&handle).copied().unwrap_or(0)
}

/// Makes a handle of cuBLAS or cuDNN. The first one on a GPU loads kernels there.
fn library_handle() -> usize {
    static LOADED: Mutex<u32> = Mutex::new(0);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let this = 1 << current_device();
    if *loaded & this == 0 {
        *loaded |= this;
        take_beside(current_device(), machine().settings.libraries);
    }
    new_handle()
}
