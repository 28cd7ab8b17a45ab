//! The properties and attributes that a GPU reports.
//!
//! Limits by compute capability: CUDA C++ Programming Guide 13.0, "Compute Capabilities", tables "Technical
//! Specifications per Compute Capability" and "Feature Support". Second-level caches: NVIDIA's architecture papers.

use std::ffi::c_char;

use super::machine::machine;
use super::visible::on_machine;
use crate::abi::{cudaDeviceAttr::*, cudaDeviceProp12, cudaDeviceProp13, cudaUUID_t};

/// The limits that differ by compute capability.
pub(crate) struct Limits {
    /// `cudaDevAttrMaxThreadsPerMultiProcessor`.
    pub(crate) threads_per_multiprocessor: i32,
    blocks_per_multiprocessor: i32,
    shared_per_multiprocessor: i32,
    shared_per_block_optin: i32,
    second_level_cache: i32,
}

const KIB: i32 = 1024;
/// Bytes of shared memory per block without opting in, which are the same on every GPU.
const SHARED_PER_BLOCK: i32 = 48 * KIB;
const REGISTERS: i32 = 65536;
const MOST_PER_GRID: i32 = i32::MAX;

/// The limits of the GPU that is in place.
pub(crate) fn limits() -> Limits {
    let (threads, blocks, shared, optin, cache) = match machine().settings.compute_capability {
        (7, 0) => (2048, 32, 96, 96, 6),
        (7, 5) => (1024, 16, 64, 64, 4),
        (8, 0) => (2048, 32, 164, 163, 40),
        (8, 6 | 7) => (1536, 16, 100, 99, 6),
        (8, 9) => (1536, 24, 100, 99, 64),
        (9, _) => (2048, 32, 228, 227, 50),
        (10, _) | (11, _) => (2048, 32, 228, 227, 126),
        (12, _) => (1536, 24, 100, 99, 96),
        _ => (2048, 32, 96, 48, 4),
    };
    Limits {
        threads_per_multiprocessor: threads,
        blocks_per_multiprocessor: blocks,
        shared_per_multiprocessor: shared * KIB,
        shared_per_block_optin: optin * KIB,
        second_level_cache: cache << 20,
    }
}

/// The attribute with that number. It is 0 if it is not known, which is also the value for a feature that the GPU lacks.
#[allow(non_upper_case_globals)]
pub(super) fn attribute(number: i32, device: usize) -> i32 {
    let limits = limits();
    let settings = &machine().settings;
    let (major, minor) = settings.compute_capability;
    match number {
        cudaDevAttrMaxThreadsPerBlock | cudaDevAttrMaxBlockDimX | cudaDevAttrMaxBlockDimY => 1024,
        cudaDevAttrMaxBlockDimZ => 64,
        cudaDevAttrMaxGridDimX | cudaDevAttrMaxPitch => MOST_PER_GRID,
        cudaDevAttrMaxGridDimY | cudaDevAttrMaxGridDimZ => 65535,
        cudaDevAttrMaxSharedMemoryPerBlock => SHARED_PER_BLOCK,
        cudaDevAttrTotalConstantMemory => 65536,
        cudaDevAttrWarpSize => 32,
        cudaDevAttrMaxRegistersPerBlock | cudaDevAttrMaxRegistersPerMultiprocessor => REGISTERS,
        // In kHz. Only Triton's and profilers' estimates of speed use it.
        cudaDevAttrClockRate => 1_755_000,
        cudaDevAttrMemoryClockRate => 2_619_000,
        cudaDevAttrGlobalMemoryBusWidth => 5120,
        cudaDevAttrTextureAlignment | cudaDevAttrSurfaceAlignment => 512,
        cudaDevAttrMultiProcessorCount => settings.multiprocessors as i32,
        cudaDevAttrL2CacheSize => limits.second_level_cache,
        cudaDevAttrMaxThreadsPerMultiProcessor => limits.threads_per_multiprocessor,
        cudaDevAttrMaxBlocksPerMultiprocessor => limits.blocks_per_multiprocessor,
        cudaDevAttrMaxSharedMemoryPerMultiprocessor => limits.shared_per_multiprocessor,
        cudaDevAttrMaxSharedMemoryPerBlockOptin => limits.shared_per_block_optin,
        cudaDevAttrReservedSharedMemoryPerBlock => i32::from(major >= 8) * KIB,
        cudaDevAttrComputeCapabilityMajor => major as i32,
        cudaDevAttrComputeCapabilityMinor => minor as i32,
        cudaDevAttrAsyncEngineCount => 3,
        cudaDevAttrPciBusId => pci_bus(on_machine(device)) as i32,
        cudaDevAttrHostNumaId | cudaDevAttrNumaId => -1,
        cudaDevAttrClusterLaunch => i32::from(major >= 9),
        cudaDevAttrMemoryPoolSupportedHandleTypes => 1,
        102 /* virtual memory management */ | 103 /* handles as file descriptors */ => 1,
        cudaDevAttrGpuOverlap | cudaDevAttrCanMapHostMemory | cudaDevAttrConcurrentKernels
        | cudaDevAttrUnifiedAddressing | cudaDevAttrStreamPrioritiesSupported | cudaDevAttrGlobalL1CacheSupported
        | cudaDevAttrLocalL1CacheSupported | cudaDevAttrManagedMemory | cudaDevAttrConcurrentManagedAccess
        | cudaDevAttrComputePreemptionSupported | cudaDevAttrCanUseHostPointerForRegisteredMem
        | cudaDevAttrCooperativeLaunch | cudaDevAttrHostRegisterSupported | cudaDevAttrMemoryPoolsSupported
        | cudaDevAttrIpcEventSupport => 1,
        _ => 0,
    }
}

/// The number on the PCI bus of a GPU by its number on the machine.
pub(super) fn pci_bus(device: usize) -> usize {
    0x10 + device
}

/// Its name on the bus, such as `0000:10:00.0`.
pub(super) fn pci_name(device: usize) -> String {
    format!("0000:{:02X}:00.0", pci_bus(device))
}

pub(super) use crate::nvidia_smi::{uuid as uuid_text, uuid_bytes as uuid};

fn name_bytes() -> [c_char; 256] {
    let mut name = [0; 256];
    for (place, byte) in name.iter_mut().zip(machine().settings.name.bytes().take(255)) {
        *place = byte as c_char;
    }
    name
}

/// Fills the fields that both layouts have, from the attributes.
macro_rules! describe {
    ($properties:ident, $device:ident) => {
        let ask = |number| attribute(number, $device);
        $properties.name = name_bytes();
        $properties.uuid = cudaUUID_t { bytes: uuid(on_machine($device)).map(|byte| byte as c_char) };
        $properties.totalGlobalMem = machine().settings.total as usize;
        $properties.sharedMemPerBlock = SHARED_PER_BLOCK as usize;
        $properties.regsPerBlock = REGISTERS;
        $properties.warpSize = 32;
        $properties.memPitch = MOST_PER_GRID as usize;
        $properties.maxThreadsPerBlock = 1024;
        $properties.maxThreadsDim = [1024, 1024, 64];
        $properties.maxGridSize = [MOST_PER_GRID, 65535, 65535];
        $properties.totalConstMem = 65536;
        $properties.major = ask(cudaDevAttrComputeCapabilityMajor);
        $properties.minor = ask(cudaDevAttrComputeCapabilityMinor);
        $properties.textureAlignment = 512;
        $properties.texturePitchAlignment = 32;
        $properties.multiProcessorCount = ask(cudaDevAttrMultiProcessorCount);
        $properties.canMapHostMemory = 1;
        $properties.surfaceAlignment = 512;
        $properties.concurrentKernels = 1;
        $properties.pciBusID = ask(cudaDevAttrPciBusId);
        $properties.asyncEngineCount = ask(cudaDevAttrAsyncEngineCount);
        $properties.unifiedAddressing = 1;
        $properties.memoryBusWidth = ask(cudaDevAttrGlobalMemoryBusWidth);
        $properties.l2CacheSize = ask(cudaDevAttrL2CacheSize);
        $properties.maxThreadsPerMultiProcessor = ask(cudaDevAttrMaxThreadsPerMultiProcessor);
        $properties.streamPrioritiesSupported = 1;
        $properties.globalL1CacheSupported = 1;
        $properties.localL1CacheSupported = 1;
        $properties.sharedMemPerMultiprocessor = ask(cudaDevAttrMaxSharedMemoryPerMultiprocessor) as usize;
        $properties.regsPerMultiprocessor = REGISTERS;
        $properties.managedMemory = 1;
        $properties.concurrentManagedAccess = 1;
        $properties.computePreemptionSupported = 1;
        $properties.canUseHostPointerForRegisteredMem = 1;
        $properties.cooperativeLaunch = 1;
        $properties.sharedMemPerBlockOptin = ask(cudaDevAttrMaxSharedMemoryPerBlockOptin) as usize;
        $properties.maxBlocksPerMultiProcessor = ask(cudaDevAttrMaxBlocksPerMultiprocessor);
        $properties.reservedSharedMemPerBlock = ask(cudaDevAttrReservedSharedMemoryPerBlock) as usize;
        $properties.hostRegisterSupported = 1;
        $properties.memoryPoolsSupported = 1;
        $properties.memoryPoolSupportedHandleTypes = 1;
        $properties.ipcEventSupported = 1;
        $properties.clusterLaunch = ask(cudaDevAttrClusterLaunch);
    };
}

/// The properties in the layout of CUDA 12.
pub(super) fn describe_12(properties: &mut cudaDeviceProp12, device: usize) {
    // SAFETY: every field is a number or an array of numbers, for which zeros are a value.
    *properties = unsafe { std::mem::zeroed() };
    describe!(properties, device);
    properties.clockRate = attribute(cudaDevAttrClockRate, device);
    properties.memoryClockRate = attribute(cudaDevAttrMemoryClockRate, device);
    properties.deviceOverlap = 1;
}

/// The properties in the layout of CUDA 13.
pub(super) fn describe_13(properties: &mut cudaDeviceProp13, device: usize) {
    // SAFETY: as above.
    *properties = unsafe { std::mem::zeroed() };
    describe!(properties, device);
}
