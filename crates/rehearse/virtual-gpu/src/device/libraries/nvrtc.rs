//! NVRTC: every program compiles to an empty text.

use std::ffi::c_char;

use super::super::{SUCCESS, Status, answer, c_text};

/// Defines a function for the size of a text, which is 1, and one for the text, which is its terminating zero.
macro_rules! one_byte {
    ($($size:ident, $get:ident);+ $(;)?) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $size(_program: usize, bytes: Option<&mut usize>) -> Status {
            answer(bytes, 1)
        }

        #[unsafe(no_mangle)]
        extern "C" fn $get(_program: usize, text: Option<&mut c_char>) -> Status {
            answer(text, 0)
        }
    )+};
}

one_byte!(
    nvrtcGetPTXSize, nvrtcGetPTX;
    nvrtcGetCUBINSize, nvrtcGetCUBIN;
    nvrtcGetProgramLogSize, nvrtcGetProgramLog;
);

#[unsafe(no_mangle)]
extern "C" fn nvrtcGetLoweredName(_program: usize, _name: usize, lowered: Option<&mut *const u8>) -> Status {
    answer(lowered, c_text!("kernel"))
}

#[unsafe(no_mangle)]
extern "C" fn nvrtcVersion(major: Option<&mut i32>, minor: Option<&mut i32>) -> Status {
    let version = super::super::runtime::CUDA_VERSION;
    answer(major, version / 1000);
    answer(minor, version % 1000 / 10);
    SUCCESS
}
