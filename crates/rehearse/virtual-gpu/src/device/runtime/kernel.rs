//! Registration and launch of kernels, which the stubs that nvcc writes call.

use std::cell::Cell;

use super::super::{SUCCESS, Status, answer, kernels};
use crate::abi::{cudaDeviceAttr, cudaFuncAttributes};

/// Three extents, passed by value.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Dim3 {
    x: u32,
    y: u32,
    z: u32,
}

#[derive(Clone, Copy, Default)]
struct Launch {
    grid: Dim3,
    block: Dim3,
    shared: usize,
    stream: usize,
}

thread_local! {
    /// The configuration in `<<<…>>>`, until the kernel's stub takes it.
    static CONFIGURED: Cell<Launch> = const { Cell::new(Launch { grid: ZERO, block: ZERO, shared: 0, stream: 0 }) };
}
const ZERO: Dim3 = Dim3 { x: 0, y: 0, z: 0 };

#[unsafe(no_mangle)]
extern "C" fn __cudaPushCallConfiguration(grid: Dim3, block: Dim3, shared: usize, stream: usize) -> u32 {
    CONFIGURED.set(Launch { grid, block, shared, stream });
    0
}

#[unsafe(no_mangle)]
extern "C" fn __cudaPopCallConfiguration(
    grid: Option<&mut Dim3>,
    block: Option<&mut Dim3>,
    shared: Option<&mut usize>,
    stream: Option<&mut usize>,
) -> Status {
    let launch = CONFIGURED.get();
    answer(grid, launch.grid);
    answer(block, launch.block);
    answer(shared, launch.shared);
    answer(stream, launch.stream)
}

#[unsafe(no_mangle)]
extern "C" fn __cudaRegisterFatBinary(wrapper: usize) -> usize {
    Box::leak(Box::new(wrapper)) as *mut usize as usize
}

/// # Safety
/// `image` is the result of [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
unsafe extern "C" fn __cudaRegisterFunction(
    image: *const usize,
    host_function: usize,
    _device_function: usize,
    name: usize,
) {
    // SAFETY: as the caller promises.
    kernels::register(host_function, name, unsafe { image.as_ref() }.copied().unwrap_or(0));
}

/// A kernel's handle is the address of its host function.
#[unsafe(no_mangle)]
extern "C" fn __cudaGetKernel(kernel: Option<&mut usize>, host_function: usize) -> Status {
    answer(kernel, host_function)
}

#[unsafe(no_mangle)]
extern "C" fn cudaGetFuncBySymbol(function: Option<&mut usize>, symbol: usize) -> Status {
    answer(function, symbol)
}

/// # Safety
/// `arguments` are the function's arguments.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaLaunchKernel(
    function: usize,
    grid: Dim3,
    _block: Dim3,
    arguments: usize,
    _shared: usize,
    stream: usize,
) -> Status {
    kernels::launched(function, stream);
    let is_one_block = (grid.x, grid.y, grid.z) == (1, 1, 1);
    // SAFETY: as the caller promises.
    unsafe { kernels::may_have_written(function, arguments, is_one_block) };
    SUCCESS
}

/// # Safety
/// As for [`cudaLaunchKernel`].
#[unsafe(no_mangle)]
unsafe extern "C" fn __cudaLaunchKernel(
    kernel: usize,
    grid: Dim3,
    block: Dim3,
    arguments: usize,
    shared: usize,
    stream: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { cudaLaunchKernel(kernel, grid, block, arguments, shared, stream) }
}

/// # Safety
/// As for [`cudaLaunchKernel`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaLaunchCooperativeKernel(
    function: usize,
    grid: Dim3,
    block: Dim3,
    arguments: usize,
    shared: usize,
    stream: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { cudaLaunchKernel(function, grid, block, arguments, shared, stream) }
}

/// The fields of `cudaLaunchConfig_t` that are read here.
#[repr(C)]
pub struct LaunchConfig {
    grid: Dim3,
    block: Dim3,
    shared: usize,
    stream: usize,
}

#[unsafe(no_mangle)]
extern "C" fn cudaLaunchKernelExC(
    config: Option<&LaunchConfig>,
    function: usize,
    _arguments: usize,
) -> Status {
    kernels::launched(function, config.map_or(0, |config| config.stream));
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaFuncGetAttributes(attributes: Option<&mut cudaFuncAttributes>, function: usize) -> Status {
    let code = kernels::code(function);
    let Some(attributes) = attributes else { return SUCCESS };
    // SAFETY: numbers only, for which zeros are a value.
    *attributes = unsafe { std::mem::zeroed() };
    attributes.maxThreadsPerBlock = 1024;
    attributes.numRegs = 32;
    attributes.ptxVersion = code.compiled as i32;
    attributes.binaryVersion = code.binary as i32;
    attributes.maxDynamicSharedSizeBytes = 49152;
    SUCCESS
}

/// The number of blocks that the limit of threads allows. A kernel's registers and shared memory are not known.
#[unsafe(no_mangle)]
extern "C" fn cudaOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Option<&mut i32>,
    _function: usize,
    threads: i32,
    _shared: usize,
) -> Status {
    let ask = |attribute| super::super::properties::attribute(attribute, 0);
    let most = ask(cudaDeviceAttr::cudaDevAttrMaxBlocksPerMultiprocessor).max(1);
    let fitting = ask(cudaDeviceAttr::cudaDevAttrMaxThreadsPerMultiProcessor) / threads.max(1);
    answer(blocks, fitting.clamp(1, most))
}

#[unsafe(no_mangle)]
extern "C" fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: Option<&mut i32>,
    function: usize,
    threads: i32,
    shared: usize,
    _flags: u32,
) -> Status {
    cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, shared)
}

/// Finds a function of the driver by name.
///
/// # Safety
/// `name` is a text with an end.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetDriverEntryPointByVersion(
    name: *const std::ffi::c_char,
    function: Option<&mut usize>,
    _version: u32,
    _flags: u64,
    found: Option<&mut i32>,
) -> Status {
    // SAFETY: as the caller promises.
    let address = unsafe { super::super::driver::entry_point(name) };
    // 1: no such symbol.
    answer(found, i32::from(address == 0));
    answer(function, address)
}

/// # Safety
/// As for [`cudaGetDriverEntryPointByVersion`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetDriverEntryPoint(
    name: *const std::ffi::c_char,
    function: Option<&mut usize>,
    flags: u64,
    found: Option<&mut i32>,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { cudaGetDriverEntryPointByVersion(name, function, 0, flags, found) }
}
