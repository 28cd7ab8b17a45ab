//! Functions of cuSPARSELt and of cuFFT's extensions that return a size. The bindings from which the table of functions is made
//! do not have them.

use super::super::{Status, answer};

#[unsafe(no_mangle)]
extern "C" fn cusparseLtMatmulGetWorkspace(
    _handle: usize,
    _plan: usize,
    bytes: Option<&mut usize>,
) -> Status {
    super::super::unmodelled::not_answered("cusparseLtMatmulGetWorkspace");
    answer(bytes, 0)
}

/// The size of a matrix in compressed 2:4 form: half of the values, and their positions. The matrix is not known here, so the
/// answer is zero, and the call is counted as not seen.
#[unsafe(no_mangle)]
extern "C" fn cusparseLtSpMMACompressedSize2(
    _handle: usize,
    _descriptor: usize,
    bytes: Option<&mut usize>,
    buffer: Option<&mut usize>,
) -> Status {
    super::super::unmodelled::not_answered("cusparseLtSpMMACompressedSize2");
    answer(bytes, 0);
    answer(buffer, 0)
}

/// The size of the workspace, which is not known; the answer is zero.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
extern "C" fn cufftXtMakePlanMany(
    _plan: i32,
    _rank: i32,
    _sizes: usize,
    _input_embedding: usize,
    _input_stride: i64,
    _input_distance: i64,
    _input_type: i32,
    _output_embedding: usize,
    _output_stride: i64,
    _output_distance: i64,
    _output_type: i32,
    _batch: i64,
    workspace: Option<&mut usize>,
) -> Status {
    super::super::unmodelled::not_answered("cufftXtMakePlanMany");
    answer(workspace, 0)
}
