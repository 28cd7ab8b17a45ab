//! The names and texts of errors.

use super::super::{LAST_ERROR, SUCCESS, Status, c_text};
use crate::abi::cudaError::*;

#[unsafe(no_mangle)]
extern "C" fn cudaGetLastError() -> Status {
    LAST_ERROR.replace(SUCCESS)
}

#[unsafe(no_mangle)]
extern "C" fn cudaPeekAtLastError() -> Status {
    LAST_ERROR.get()
}

/// The texts are those of CUDA 13's runtime.
#[allow(non_upper_case_globals)]
fn texts(status: Status) -> (*const u8, *const u8) {
    match status {
        cudaSuccess => (c_text!("cudaSuccess"), c_text!("no error")),
        cudaErrorInvalidValue => (c_text!("cudaErrorInvalidValue"), c_text!("invalid argument")),
        cudaErrorMemoryAllocation => (c_text!("cudaErrorMemoryAllocation"), c_text!("out of memory")),
        cudaErrorInvalidDevice => (c_text!("cudaErrorInvalidDevice"), c_text!("invalid device ordinal")),
        cudaErrorSymbolNotFound => (c_text!("cudaErrorSymbolNotFound"), c_text!("named symbol not found")),
        cudaErrorNotReady => (c_text!("cudaErrorNotReady"), c_text!("device not ready")),
        cudaErrorNotSupported => (c_text!("cudaErrorNotSupported"), c_text!("operation not supported")),
        cudaErrorStreamCaptureUnsupported => (
            c_text!("cudaErrorStreamCaptureUnsupported"),
            c_text!("operation not permitted when stream is capturing"),
        ),
        cudaErrorPeerAccessAlreadyEnabled => {
            (c_text!("cudaErrorPeerAccessAlreadyEnabled"), c_text!("peer access is already enabled"))
        }
        cudaErrorHostMemoryAlreadyRegistered => (
            c_text!("cudaErrorHostMemoryAlreadyRegistered"),
            c_text!("part or all of the requested memory range is already mapped"),
        ),
        _ => (c_text!("cudaErrorUnknown"), c_text!("unknown error")),
    }
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetErrorName(status: Status) -> *const u8 {
    texts(status).0
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetErrorString(status: Status) -> *const u8 {
    texts(status).1
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorName(status: Status, text: Option<&mut *const u8>) -> Status {
    let name = if status == cudaErrorMemoryAllocation {
        c_text!("CUDA_ERROR_OUT_OF_MEMORY")
    } else {
        texts(status).0
    };
    super::super::answer(text, name)
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorString(status: Status, text: Option<&mut *const u8>) -> Status {
    super::super::answer(text, texts(status).1)
}
