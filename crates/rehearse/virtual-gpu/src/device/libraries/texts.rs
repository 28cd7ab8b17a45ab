//! Functions that return the text of a status code.

use std::ffi::c_char;

use super::super::{Status, c_text, write_text};

const FINE: *const u8 = c_text!("success");

/// Defines functions that return the text of a status.
macro_rules! status_texts {
    ($($name:ident),+ $(,)?) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(_status: Status) -> *const u8 {
            FINE
        }
    )+};
}

status_texts!(
    cublasGetStatusName,
    cublasGetStatusString,
    cublasLtGetStatusName,
    cublasLtGetStatusString,
    cudnnGetErrorString,
    cusparseGetErrorString,
    cusparseGetErrorName,
    cusparseLtGetErrorString,
    cusparseLtGetErrorName,
    cutensorGetErrorString,
    ncclGetErrorString,
    ncclGetLastError,
    nvrtcGetErrorString,
);

#[unsafe(no_mangle)]
extern "C" fn cuptiGetResultString(_status: Status, text: Option<&mut *const u8>) -> Status {
    super::super::answer(text, FINE)
}

/// # Safety
/// `text` has room for `room` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnGetLastErrorString(text: *mut c_char, room: usize) {
    // SAFETY: as the caller promises.
    unsafe { write_text(text.cast(), room, "success") };
}
