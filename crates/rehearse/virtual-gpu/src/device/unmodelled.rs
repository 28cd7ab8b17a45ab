//! Every other function of the CUDA libraries: it returns success, and its calls are counted.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::machine::machine;
use super::{SUCCESS, Status, new_handle};

/// Counts a call that may write to GPU memory.
fn called(symbol: usize) -> Status {
    super::written::forget();
    sent(symbol)
}

/// Counts a call of NCCL. Memory keeps the values that the host wrote, since every rank has the same ones.
fn sent(symbol: usize) -> Status {
    machine().counters.called(symbol);
    SUCCESS
}

/// Counts a call of a function that is defined here but cannot give the real function's answer.
pub(super) fn not_answered(name: &str) {
    // A convolution asks for each shape, and the table is long.
    static NUMBERS: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| {
        crate::symbols().enumerate().map(|(number, symbol)| (symbol.name, number)).collect()
    });
    if let Some(symbol) = NUMBERS.get(name) {
        machine().counters.called(*symbol);
    }
}

/// Writes a result, unless the address is on the GPU, where the real function would write later.
///
/// # Safety
/// `place` is null, of the GPU, or has room for `T`.
unsafe fn put<T>(place: usize, value: T) {
    if place != 0 && machine().memory().device_of(place).is_none() {
        // SAFETY: as the caller promises.
        unsafe { (place as *mut T).write_unaligned(value) };
    }
}

include!(concat!(env!("OUT_DIR"), "/unmodelled.rs"));
