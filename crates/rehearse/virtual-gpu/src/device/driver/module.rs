//! Modules and their functions. Images are not read.

use super::super::properties::limits;
use super::super::{SUCCESS, Status, answer, new_handle};
use crate::abi::CUfunction_attribute_enum::*;

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadData(module: Option<&mut usize>, _image: usize) -> Status {
    answer(module, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadDataEx(module: Option<&mut usize>, _image: usize) -> Status {
    answer(module, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoad(module: Option<&mut usize>, _path: usize) -> Status {
    answer(module, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetFunction(function: Option<&mut usize>, _module: usize, _name: usize) -> Status {
    answer(function, new_handle())
}

/// Variables of a module have no memory of their own; each gets the first address of the GPU's address space.
#[unsafe(no_mangle)]
extern "C" fn cuModuleGetGlobal_v2(address: Option<&mut usize>, bytes: Option<&mut usize>) -> Status {
    answer(bytes, 8);
    answer(address, super::super::machine::machine().memory().base())
}

#[unsafe(no_mangle)]
extern "C" fn cuLibraryLoadData(library: Option<&mut usize>) -> Status {
    answer(library, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cuLibraryGetKernel(kernel: Option<&mut usize>) -> Status {
    answer(kernel, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cuLibraryGetModule(module: Option<&mut usize>) -> Status {
    answer(module, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cuKernelGetFunction(function: Option<&mut usize>, kernel: usize) -> Status {
    answer(function, kernel)
}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
extern "C" fn cuFuncGetAttribute(value: Option<&mut i32>, attribute: i32, _function: usize) -> Status {
    let number = match attribute {
        CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK => 1024,
        CU_FUNC_ATTRIBUTE_NUM_REGS => 32,
        _ => 0,
    };
    answer(value, number)
}

#[unsafe(no_mangle)]
extern "C" fn cuOccupancyMaxActiveClusters(clusters: Option<&mut i32>) -> Status {
    answer(clusters, 1)
}

#[unsafe(no_mangle)]
extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Option<&mut i32>,
    _function: usize,
    threads: i32,
) -> Status {
    answer(blocks, (limits().threads_per_multiprocessor / threads.max(1)).clamp(1, 32))
}

#[unsafe(no_mangle)]
extern "C" fn cuTensorMapEncodeTiled() -> Status {
    SUCCESS
}
