//! cuBLAS and cuBLASLt.

use super::super::{SUCCESS, Status, answer};
use super::{library_handle, set_stream, stream_of};

/// The version that `cublasGetVersion` returns.
const VERSION: i32 = 130_200;
/// Bytes of `cublasLtMatmulHeuristicResult_t`: the algorithm (64), workspace, state, waves, reserved (cublasLt.h).
const HEURISTIC_WORDS: usize = 12;

#[unsafe(no_mangle)]
extern "C" fn cublasCreate_v2(handle: Option<&mut usize>) -> Status {
    answer(handle, library_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtCreate(handle: Option<&mut usize>) -> Status {
    answer(handle, library_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cublasSetStream_v2(handle: usize, stream: usize) -> Status {
    set_stream(handle, stream);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cublasGetStream_v2(handle: usize, stream: Option<&mut usize>) -> Status {
    answer(stream, stream_of(handle))
}

#[unsafe(no_mangle)]
extern "C" fn cublasGetMathMode(_handle: usize, mode: Option<&mut i32>) -> Status {
    answer(mode, 0)
}

#[unsafe(no_mangle)]
extern "C" fn cublasGetPointerMode_v2(_handle: usize, mode: Option<&mut i32>) -> Status {
    answer(mode, 0)
}

#[unsafe(no_mangle)]
extern "C" fn cublasGetVersion_v2(_handle: usize, version: Option<&mut i32>) -> Status {
    answer(version, VERSION)
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtGetVersion() -> usize {
    VERSION as usize
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtGetCudartVersion() -> usize {
    super::super::runtime::CUDA_VERSION as usize
}

#[unsafe(no_mangle)]
extern "C" fn cublasGetCudartVersion() -> usize {
    super::super::runtime::CUDA_VERSION as usize
}

/// One algorithm that needs no workspace. PyTorch allocates its workspace before it requests an algorithm.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    _handle: usize,
    _operation: usize,
    _a: usize,
    _b: usize,
    _c: usize,
    _d: usize,
    _preference: usize,
    requested: i32,
    results: Option<&mut [u64; HEURISTIC_WORDS]>,
    count: Option<&mut i32>,
) -> Status {
    if requested < 1 {
        return answer(count, 0);
    }
    answer(results, [0; HEURISTIC_WORDS]);
    answer(count, 1)
}

#[unsafe(no_mangle)]
extern "C" fn cublasLtMatmulAlgoCheck(
    _handle: usize,
    _operation: usize,
    _a: usize,
    _b: usize,
    _c: usize,
    _d: usize,
    _algorithm: usize,
    result: Option<&mut [u64; HEURISTIC_WORDS]>,
) -> Status {
    answer(result, [0; HEURISTIC_WORDS])
}
