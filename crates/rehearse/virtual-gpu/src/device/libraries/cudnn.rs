//! cuDNN: the choice of algorithms. The workspace that each would need is not known: its size is zero, which is counted as
//! not seen.

use std::ffi::c_void;

use super::super::machine::machine;
use super::super::unmodelled::not_answered;
use super::super::{SUCCESS, Status, answer, new_handle};
use super::{library_handle, set_stream, stream_of};
use crate::abi::cudnnConvolutionAlgoPerf;

#[unsafe(no_mangle)]
extern "C" fn cudnnGetVersion() -> usize {
    machine().settings.cudnn as usize
}

/// Major, minor and patch: 92600 is 9.26.0, and 8907 was 8.9.7.
#[unsafe(no_mangle)]
extern "C" fn cudnnGetProperty(which: i32, value: Option<&mut i32>) -> Status {
    let version = machine().settings.cudnn as i32;
    let (major, rest) = if version >= 90000 { (10000, 100) } else { (1000, 100) };
    let part = match which {
        0 => version / major,
        1 => version % major / rest,
        _ => version % rest,
    };
    answer(value, part)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetCudartVersion() -> usize {
    super::super::runtime::CUDA_VERSION as usize
}

#[unsafe(no_mangle)]
extern "C" fn cudnnCreate(handle: Option<&mut usize>) -> Status {
    answer(handle, library_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetStream(handle: usize, stream: usize) -> Status {
    set_stream(handle, stream);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetStream(handle: usize, stream: Option<&mut usize>) -> Status {
    answer(stream, stream_of(handle))
}

/// Defines functions that return the first algorithm of a convolution, without a workspace. The names in brackets are the
/// descriptors and buffers that come before the number of requested algorithms; each entry is followed by the function that
/// would return its workspace, under whose name the call is counted.
macro_rules! first_algorithm {
    ($given:tt: $($name:ident $space:literal),+) => {$(first_algorithm!(@ $name $space $given);)+};
    (@ $name:ident $space:literal ($($given:ident),+)) => {
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments)]
        extern "C" fn $name(
            $($given: usize,)+
            _requested: i32,
            count: Option<&mut i32>,
            found: Option<&mut cudnnConvolutionAlgoPerf>,
        ) -> Status {
            not_answered($space);
            // SAFETY: numbers only, for which zeros are a value.
            answer(found, unsafe { std::mem::zeroed() });
            answer(count, 1)
        }
    };
}

first_algorithm!(
    (_handle, _a, _b, _convolution, _c):
    cudnnGetConvolutionForwardAlgorithm_v7 "cudnnGetConvolutionForwardWorkspaceSize",
    cudnnGetConvolutionBackwardDataAlgorithm_v7 "cudnnGetConvolutionBackwardDataWorkspaceSize",
    cudnnGetConvolutionBackwardFilterAlgorithm_v7 "cudnnGetConvolutionBackwardFilterWorkspaceSize",
    cudnnFindConvolutionForwardAlgorithm "cudnnGetConvolutionForwardWorkspaceSize",
    cudnnFindConvolutionBackwardDataAlgorithm "cudnnGetConvolutionBackwardDataWorkspaceSize",
    cudnnFindConvolutionBackwardFilterAlgorithm "cudnnGetConvolutionBackwardFilterWorkspaceSize"
);

first_algorithm!(
    (_handle, _a, _a_data, _b, _b_data, _convolution, _c, _c_data):
    cudnnFindConvolutionForwardAlgorithmEx "cudnnGetConvolutionForwardWorkspaceSize",
    cudnnFindConvolutionBackwardDataAlgorithmEx "cudnnGetConvolutionBackwardDataWorkspaceSize",
    cudnnFindConvolutionBackwardFilterAlgorithmEx "cudnnGetConvolutionBackwardFilterWorkspaceSize"
);

// The graph interface of cuDNN 8 and 9, for convolutions and attention: one engine, no knobs, no workspace. Numbers: cudnnBackendAttributeName_t and
// cudnnBackendAttributeType_t in cudnn_graph.h.
const ENGINEHEUR_RESULTS: i32 = 202;
const ENGINECFG_ENGINE: i32 = 300;
const ENGINECFG_WORKSPACE_SIZE: i32 = 303;
const EXECUTION_PLAN_WORKSPACE_SIZE: i32 = 402;
const ENGINE_GLOBAL_INDEX: i32 = 1301;
const ENGINE_KNOB_INFO: i32 = 1302;
const ENGINE_NUMERICAL_NOTE: i32 = 1303;
const ENGINE_BEHAVIOR_NOTE: i32 = 1305;
const TYPE_INT64: i32 = 3;
/// The attribute type of the shared memory that an engine uses. The value must be written: the caller takes an unwritten one for
/// too much shared memory, and finds no plan.
const TYPE_INT32: i32 = 23;

#[unsafe(no_mangle)]
extern "C" fn cudnnBackendCreateDescriptor(_kind: i32, descriptor: Option<&mut usize>) -> Status {
    answer(descriptor, new_handle())
}

/// # Safety
/// `values` is null or has room for `requested` values of that kind.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnBackendGetAttribute(
    _descriptor: usize,
    name: i32,
    kind: i32,
    requested: i64,
    count: Option<&mut i64>,
    values: *mut c_void,
) -> Status {
    if kind == TYPE_INT32 && !values.is_null() && requested > 0 {
        // SAFETY: there is room for one number.
        unsafe { values.cast::<i32>().write(0) };
        answer(count, 1);
        return SUCCESS;
    }
    let is_number = !values.is_null() && kind == TYPE_INT64 && requested > 0;
    let (found, zero) = match name {
        // The caller's own descriptors stand for the results.
        ENGINEHEUR_RESULTS | ENGINECFG_ENGINE => (1, false),
        ENGINECFG_WORKSPACE_SIZE | EXECUTION_PLAN_WORKSPACE_SIZE | ENGINE_GLOBAL_INDEX => {
            (1, !values.is_null())
        }
        ENGINE_KNOB_INFO | ENGINE_NUMERICAL_NOTE | ENGINE_BEHAVIOR_NOTE => (0, false),
        _ => (i64::from(is_number), is_number),
    };
    if zero && name == EXECUTION_PLAN_WORKSPACE_SIZE {
        not_answered("cudnnBackendGetAttribute");
    }
    if zero {
        // SAFETY: there is room for one number.
        unsafe { values.cast::<i64>().write(0) };
    }
    answer(count, found);
    SUCCESS
}
