//! Layouts and numbers of the CUDA interfaces, as cudarc 0.19.10 and nvml-wrapper-sys 0.10.0 generate them from
//! NVIDIA's headers. Written by `cargo xtask cuda-api`.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, dead_code)]

/// `CUuuid_st` in the headers of CUDA's runtime.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cudaUUID_t {
    pub bytes: [core::ffi::c_char; 16usize],
}

/// `cudaDeviceProp` in the headers of CUDA's runtime, version 12.9.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cudaDeviceProp12 {
    pub name: [core::ffi::c_char; 256usize],
    pub uuid: cudaUUID_t,
    pub luid: [core::ffi::c_char; 8usize],
    pub luidDeviceNodeMask: core::ffi::c_uint,
    pub totalGlobalMem: usize,
    pub sharedMemPerBlock: usize,
    pub regsPerBlock: core::ffi::c_int,
    pub warpSize: core::ffi::c_int,
    pub memPitch: usize,
    pub maxThreadsPerBlock: core::ffi::c_int,
    pub maxThreadsDim: [core::ffi::c_int; 3usize],
    pub maxGridSize: [core::ffi::c_int; 3usize],
    pub clockRate: core::ffi::c_int,
    pub totalConstMem: usize,
    pub major: core::ffi::c_int,
    pub minor: core::ffi::c_int,
    pub textureAlignment: usize,
    pub texturePitchAlignment: usize,
    pub deviceOverlap: core::ffi::c_int,
    pub multiProcessorCount: core::ffi::c_int,
    pub kernelExecTimeoutEnabled: core::ffi::c_int,
    pub integrated: core::ffi::c_int,
    pub canMapHostMemory: core::ffi::c_int,
    pub computeMode: core::ffi::c_int,
    pub maxTexture1D: core::ffi::c_int,
    pub maxTexture1DMipmap: core::ffi::c_int,
    pub maxTexture1DLinear: core::ffi::c_int,
    pub maxTexture2D: [core::ffi::c_int; 2usize],
    pub maxTexture2DMipmap: [core::ffi::c_int; 2usize],
    pub maxTexture2DLinear: [core::ffi::c_int; 3usize],
    pub maxTexture2DGather: [core::ffi::c_int; 2usize],
    pub maxTexture3D: [core::ffi::c_int; 3usize],
    pub maxTexture3DAlt: [core::ffi::c_int; 3usize],
    pub maxTextureCubemap: core::ffi::c_int,
    pub maxTexture1DLayered: [core::ffi::c_int; 2usize],
    pub maxTexture2DLayered: [core::ffi::c_int; 3usize],
    pub maxTextureCubemapLayered: [core::ffi::c_int; 2usize],
    pub maxSurface1D: core::ffi::c_int,
    pub maxSurface2D: [core::ffi::c_int; 2usize],
    pub maxSurface3D: [core::ffi::c_int; 3usize],
    pub maxSurface1DLayered: [core::ffi::c_int; 2usize],
    pub maxSurface2DLayered: [core::ffi::c_int; 3usize],
    pub maxSurfaceCubemap: core::ffi::c_int,
    pub maxSurfaceCubemapLayered: [core::ffi::c_int; 2usize],
    pub surfaceAlignment: usize,
    pub concurrentKernels: core::ffi::c_int,
    pub ECCEnabled: core::ffi::c_int,
    pub pciBusID: core::ffi::c_int,
    pub pciDeviceID: core::ffi::c_int,
    pub pciDomainID: core::ffi::c_int,
    pub tccDriver: core::ffi::c_int,
    pub asyncEngineCount: core::ffi::c_int,
    pub unifiedAddressing: core::ffi::c_int,
    pub memoryClockRate: core::ffi::c_int,
    pub memoryBusWidth: core::ffi::c_int,
    pub l2CacheSize: core::ffi::c_int,
    pub persistingL2CacheMaxSize: core::ffi::c_int,
    pub maxThreadsPerMultiProcessor: core::ffi::c_int,
    pub streamPrioritiesSupported: core::ffi::c_int,
    pub globalL1CacheSupported: core::ffi::c_int,
    pub localL1CacheSupported: core::ffi::c_int,
    pub sharedMemPerMultiprocessor: usize,
    pub regsPerMultiprocessor: core::ffi::c_int,
    pub managedMemory: core::ffi::c_int,
    pub isMultiGpuBoard: core::ffi::c_int,
    pub multiGpuBoardGroupID: core::ffi::c_int,
    pub hostNativeAtomicSupported: core::ffi::c_int,
    pub singleToDoublePrecisionPerfRatio: core::ffi::c_int,
    pub pageableMemoryAccess: core::ffi::c_int,
    pub concurrentManagedAccess: core::ffi::c_int,
    pub computePreemptionSupported: core::ffi::c_int,
    pub canUseHostPointerForRegisteredMem: core::ffi::c_int,
    pub cooperativeLaunch: core::ffi::c_int,
    pub cooperativeMultiDeviceLaunch: core::ffi::c_int,
    pub sharedMemPerBlockOptin: usize,
    pub pageableMemoryAccessUsesHostPageTables: core::ffi::c_int,
    pub directManagedMemAccessFromHost: core::ffi::c_int,
    pub maxBlocksPerMultiProcessor: core::ffi::c_int,
    pub accessPolicyMaxWindowSize: core::ffi::c_int,
    pub reservedSharedMemPerBlock: usize,
    pub hostRegisterSupported: core::ffi::c_int,
    pub sparseCudaArraySupported: core::ffi::c_int,
    pub hostRegisterReadOnlySupported: core::ffi::c_int,
    pub timelineSemaphoreInteropSupported: core::ffi::c_int,
    pub memoryPoolsSupported: core::ffi::c_int,
    pub gpuDirectRDMASupported: core::ffi::c_int,
    pub gpuDirectRDMAFlushWritesOptions: core::ffi::c_uint,
    pub gpuDirectRDMAWritesOrdering: core::ffi::c_int,
    pub memoryPoolSupportedHandleTypes: core::ffi::c_uint,
    pub deferredMappingCudaArraySupported: core::ffi::c_int,
    pub ipcEventSupported: core::ffi::c_int,
    pub clusterLaunch: core::ffi::c_int,
    pub unifiedFunctionPointers: core::ffi::c_int,
    pub reserved: [core::ffi::c_int; 63usize],
}

/// `cudaDeviceProp` in the headers of CUDA's runtime, version 13.0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cudaDeviceProp13 {
    pub name: [core::ffi::c_char; 256usize],
    pub uuid: cudaUUID_t,
    pub luid: [core::ffi::c_char; 8usize],
    pub luidDeviceNodeMask: core::ffi::c_uint,
    pub totalGlobalMem: usize,
    pub sharedMemPerBlock: usize,
    pub regsPerBlock: core::ffi::c_int,
    pub warpSize: core::ffi::c_int,
    pub memPitch: usize,
    pub maxThreadsPerBlock: core::ffi::c_int,
    pub maxThreadsDim: [core::ffi::c_int; 3usize],
    pub maxGridSize: [core::ffi::c_int; 3usize],
    pub totalConstMem: usize,
    pub major: core::ffi::c_int,
    pub minor: core::ffi::c_int,
    pub textureAlignment: usize,
    pub texturePitchAlignment: usize,
    pub multiProcessorCount: core::ffi::c_int,
    pub integrated: core::ffi::c_int,
    pub canMapHostMemory: core::ffi::c_int,
    pub maxTexture1D: core::ffi::c_int,
    pub maxTexture1DMipmap: core::ffi::c_int,
    pub maxTexture2D: [core::ffi::c_int; 2usize],
    pub maxTexture2DMipmap: [core::ffi::c_int; 2usize],
    pub maxTexture2DLinear: [core::ffi::c_int; 3usize],
    pub maxTexture2DGather: [core::ffi::c_int; 2usize],
    pub maxTexture3D: [core::ffi::c_int; 3usize],
    pub maxTexture3DAlt: [core::ffi::c_int; 3usize],
    pub maxTextureCubemap: core::ffi::c_int,
    pub maxTexture1DLayered: [core::ffi::c_int; 2usize],
    pub maxTexture2DLayered: [core::ffi::c_int; 3usize],
    pub maxTextureCubemapLayered: [core::ffi::c_int; 2usize],
    pub maxSurface1D: core::ffi::c_int,
    pub maxSurface2D: [core::ffi::c_int; 2usize],
    pub maxSurface3D: [core::ffi::c_int; 3usize],
    pub maxSurface1DLayered: [core::ffi::c_int; 2usize],
    pub maxSurface2DLayered: [core::ffi::c_int; 3usize],
    pub maxSurfaceCubemap: core::ffi::c_int,
    pub maxSurfaceCubemapLayered: [core::ffi::c_int; 2usize],
    pub surfaceAlignment: usize,
    pub concurrentKernels: core::ffi::c_int,
    pub ECCEnabled: core::ffi::c_int,
    pub pciBusID: core::ffi::c_int,
    pub pciDeviceID: core::ffi::c_int,
    pub pciDomainID: core::ffi::c_int,
    pub tccDriver: core::ffi::c_int,
    pub asyncEngineCount: core::ffi::c_int,
    pub unifiedAddressing: core::ffi::c_int,
    pub memoryBusWidth: core::ffi::c_int,
    pub l2CacheSize: core::ffi::c_int,
    pub persistingL2CacheMaxSize: core::ffi::c_int,
    pub maxThreadsPerMultiProcessor: core::ffi::c_int,
    pub streamPrioritiesSupported: core::ffi::c_int,
    pub globalL1CacheSupported: core::ffi::c_int,
    pub localL1CacheSupported: core::ffi::c_int,
    pub sharedMemPerMultiprocessor: usize,
    pub regsPerMultiprocessor: core::ffi::c_int,
    pub managedMemory: core::ffi::c_int,
    pub isMultiGpuBoard: core::ffi::c_int,
    pub multiGpuBoardGroupID: core::ffi::c_int,
    pub hostNativeAtomicSupported: core::ffi::c_int,
    pub pageableMemoryAccess: core::ffi::c_int,
    pub concurrentManagedAccess: core::ffi::c_int,
    pub computePreemptionSupported: core::ffi::c_int,
    pub canUseHostPointerForRegisteredMem: core::ffi::c_int,
    pub cooperativeLaunch: core::ffi::c_int,
    pub sharedMemPerBlockOptin: usize,
    pub pageableMemoryAccessUsesHostPageTables: core::ffi::c_int,
    pub directManagedMemAccessFromHost: core::ffi::c_int,
    pub maxBlocksPerMultiProcessor: core::ffi::c_int,
    pub accessPolicyMaxWindowSize: core::ffi::c_int,
    pub reservedSharedMemPerBlock: usize,
    pub hostRegisterSupported: core::ffi::c_int,
    pub sparseCudaArraySupported: core::ffi::c_int,
    pub hostRegisterReadOnlySupported: core::ffi::c_int,
    pub timelineSemaphoreInteropSupported: core::ffi::c_int,
    pub memoryPoolsSupported: core::ffi::c_int,
    pub gpuDirectRDMASupported: core::ffi::c_int,
    pub gpuDirectRDMAFlushWritesOptions: core::ffi::c_uint,
    pub gpuDirectRDMAWritesOrdering: core::ffi::c_int,
    pub memoryPoolSupportedHandleTypes: core::ffi::c_uint,
    pub deferredMappingCudaArraySupported: core::ffi::c_int,
    pub ipcEventSupported: core::ffi::c_int,
    pub clusterLaunch: core::ffi::c_int,
    pub unifiedFunctionPointers: core::ffi::c_int,
    pub deviceNumaConfig: core::ffi::c_int,
    pub deviceNumaId: core::ffi::c_int,
    pub mpsEnabled: core::ffi::c_int,
    pub hostNumaId: core::ffi::c_int,
    pub gpuPciDeviceID: core::ffi::c_uint,
    pub gpuPciSubsystemID: core::ffi::c_uint,
    pub hostNumaMultinodeIpcSupported: core::ffi::c_int,
    pub reserved: [core::ffi::c_int; 56usize],
}

/// `cudaPointerAttributes` in the headers of CUDA's runtime, version 12.9.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cudaPointerAttributes {
    pub type_: core::ffi::c_int,
    pub device: core::ffi::c_int,
    pub devicePointer: *mut core::ffi::c_void,
    pub hostPointer: *mut core::ffi::c_void,
}

/// `cudaFuncAttributes` in the headers of CUDA's runtime, version 12.9.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cudaFuncAttributes {
    pub sharedSizeBytes: usize,
    pub constSizeBytes: usize,
    pub localSizeBytes: usize,
    pub maxThreadsPerBlock: core::ffi::c_int,
    pub numRegs: core::ffi::c_int,
    pub ptxVersion: core::ffi::c_int,
    pub binaryVersion: core::ffi::c_int,
    pub cacheModeCA: core::ffi::c_int,
    pub maxDynamicSharedSizeBytes: core::ffi::c_int,
    pub preferredShmemCarveout: core::ffi::c_int,
    pub clusterDimMustBeSet: core::ffi::c_int,
    pub requiredClusterWidth: core::ffi::c_int,
    pub requiredClusterHeight: core::ffi::c_int,
    pub requiredClusterDepth: core::ffi::c_int,
    pub clusterSchedulingPolicyPreference: core::ffi::c_int,
    pub nonPortableClusterSizeAllowed: core::ffi::c_int,
    pub reserved: [core::ffi::c_int; 16usize],
}

/// `cudnnConvolutionFwdAlgoPerfStruct` in the headers of CUDA's cudnn.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cudnnConvolutionAlgoPerf {
    pub algo: core::ffi::c_int,
    pub status: core::ffi::c_int,
    pub time: f32,
    pub memory: usize,
    pub determinism: core::ffi::c_int,
    pub mathType: core::ffi::c_int,
    pub reserved: [core::ffi::c_int; 3usize],
}

/// `nvmlMemory_st` in nvml.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nvmlMemory {
    pub total: core::ffi::c_ulonglong,
    pub free: core::ffi::c_ulonglong,
    pub used: core::ffi::c_ulonglong,
}

/// `nvmlMemory_v2_st` in nvml.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nvmlMemory_v2 {
    pub version: core::ffi::c_uint,
    pub total: core::ffi::c_ulonglong,
    pub reserved: core::ffi::c_ulonglong,
    pub free: core::ffi::c_ulonglong,
    pub used: core::ffi::c_ulonglong,
}

/// `nvmlUtilization_st` in nvml.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nvmlUtilization {
    pub gpu: core::ffi::c_uint,
    pub memory: core::ffi::c_uint,
}

/// `nvmlBAR1Memory_st` in nvml.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nvmlBAR1Memory {
    pub bar1Total: core::ffi::c_ulonglong,
    pub bar1Free: core::ffi::c_ulonglong,
    pub bar1Used: core::ffi::c_ulonglong,
}

/// `nvmlPciInfo_st` in nvml.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nvmlPciInfo {
    pub busIdLegacy: [core::ffi::c_char; 16usize],
    pub domain: core::ffi::c_uint,
    pub bus: core::ffi::c_uint,
    pub device: core::ffi::c_uint,
    pub pciDeviceId: core::ffi::c_uint,
    pub pciSubSystemId: core::ffi::c_uint,
    pub busId: [core::ffi::c_char; 32usize],
}

/// `nvmlProcessInfo_v1_st` in nvml.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nvmlProcessInfo_v1 {
    pub pid: core::ffi::c_uint,
    pub usedGpuMemory: core::ffi::c_ulonglong,
}

/// `nvmlProcessInfo_v2_st` in nvml.h.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nvmlProcessInfo_v2 {
    pub pid: core::ffi::c_uint,
    pub usedGpuMemory: core::ffi::c_ulonglong,
    pub gpuInstanceId: core::ffi::c_uint,
    pub computeInstanceId: core::ffi::c_uint,
}

/// The numbers of `cudaError` in the headers of CUDA's runtime, version 13.0.
pub mod cudaError {
    pub const cudaSuccess: i32 = 0;
    pub const cudaErrorInvalidValue: i32 = 1;
    pub const cudaErrorMemoryAllocation: i32 = 2;
    pub const cudaErrorInitializationError: i32 = 3;
    pub const cudaErrorCudartUnloading: i32 = 4;
    pub const cudaErrorProfilerDisabled: i32 = 5;
    pub const cudaErrorProfilerNotInitialized: i32 = 6;
    pub const cudaErrorProfilerAlreadyStarted: i32 = 7;
    pub const cudaErrorProfilerAlreadyStopped: i32 = 8;
    pub const cudaErrorInvalidConfiguration: i32 = 9;
    pub const cudaErrorInvalidPitchValue: i32 = 12;
    pub const cudaErrorInvalidSymbol: i32 = 13;
    pub const cudaErrorInvalidHostPointer: i32 = 16;
    pub const cudaErrorInvalidDevicePointer: i32 = 17;
    pub const cudaErrorInvalidTexture: i32 = 18;
    pub const cudaErrorInvalidTextureBinding: i32 = 19;
    pub const cudaErrorInvalidChannelDescriptor: i32 = 20;
    pub const cudaErrorInvalidMemcpyDirection: i32 = 21;
    pub const cudaErrorAddressOfConstant: i32 = 22;
    pub const cudaErrorTextureFetchFailed: i32 = 23;
    pub const cudaErrorTextureNotBound: i32 = 24;
    pub const cudaErrorSynchronizationError: i32 = 25;
    pub const cudaErrorInvalidFilterSetting: i32 = 26;
    pub const cudaErrorInvalidNormSetting: i32 = 27;
    pub const cudaErrorMixedDeviceExecution: i32 = 28;
    pub const cudaErrorNotYetImplemented: i32 = 31;
    pub const cudaErrorMemoryValueTooLarge: i32 = 32;
    pub const cudaErrorStubLibrary: i32 = 34;
    pub const cudaErrorInsufficientDriver: i32 = 35;
    pub const cudaErrorCallRequiresNewerDriver: i32 = 36;
    pub const cudaErrorInvalidSurface: i32 = 37;
    pub const cudaErrorDuplicateVariableName: i32 = 43;
    pub const cudaErrorDuplicateTextureName: i32 = 44;
    pub const cudaErrorDuplicateSurfaceName: i32 = 45;
    pub const cudaErrorDevicesUnavailable: i32 = 46;
    pub const cudaErrorIncompatibleDriverContext: i32 = 49;
    pub const cudaErrorMissingConfiguration: i32 = 52;
    pub const cudaErrorPriorLaunchFailure: i32 = 53;
    pub const cudaErrorLaunchMaxDepthExceeded: i32 = 65;
    pub const cudaErrorLaunchFileScopedTex: i32 = 66;
    pub const cudaErrorLaunchFileScopedSurf: i32 = 67;
    pub const cudaErrorSyncDepthExceeded: i32 = 68;
    pub const cudaErrorLaunchPendingCountExceeded: i32 = 69;
    pub const cudaErrorInvalidDeviceFunction: i32 = 98;
    pub const cudaErrorNoDevice: i32 = 100;
    pub const cudaErrorInvalidDevice: i32 = 101;
    pub const cudaErrorDeviceNotLicensed: i32 = 102;
    pub const cudaErrorSoftwareValidityNotEstablished: i32 = 103;
    pub const cudaErrorStartupFailure: i32 = 127;
    pub const cudaErrorInvalidKernelImage: i32 = 200;
    pub const cudaErrorDeviceUninitialized: i32 = 201;
    pub const cudaErrorMapBufferObjectFailed: i32 = 205;
    pub const cudaErrorUnmapBufferObjectFailed: i32 = 206;
    pub const cudaErrorArrayIsMapped: i32 = 207;
    pub const cudaErrorAlreadyMapped: i32 = 208;
    pub const cudaErrorNoKernelImageForDevice: i32 = 209;
    pub const cudaErrorAlreadyAcquired: i32 = 210;
    pub const cudaErrorNotMapped: i32 = 211;
    pub const cudaErrorNotMappedAsArray: i32 = 212;
    pub const cudaErrorNotMappedAsPointer: i32 = 213;
    pub const cudaErrorECCUncorrectable: i32 = 214;
    pub const cudaErrorUnsupportedLimit: i32 = 215;
    pub const cudaErrorDeviceAlreadyInUse: i32 = 216;
    pub const cudaErrorPeerAccessUnsupported: i32 = 217;
    pub const cudaErrorInvalidPtx: i32 = 218;
    pub const cudaErrorInvalidGraphicsContext: i32 = 219;
    pub const cudaErrorNvlinkUncorrectable: i32 = 220;
    pub const cudaErrorJitCompilerNotFound: i32 = 221;
    pub const cudaErrorUnsupportedPtxVersion: i32 = 222;
    pub const cudaErrorJitCompilationDisabled: i32 = 223;
    pub const cudaErrorUnsupportedExecAffinity: i32 = 224;
    pub const cudaErrorUnsupportedDevSideSync: i32 = 225;
    pub const cudaErrorContained: i32 = 226;
    pub const cudaErrorInvalidSource: i32 = 300;
    pub const cudaErrorFileNotFound: i32 = 301;
    pub const cudaErrorSharedObjectSymbolNotFound: i32 = 302;
    pub const cudaErrorSharedObjectInitFailed: i32 = 303;
    pub const cudaErrorOperatingSystem: i32 = 304;
    pub const cudaErrorInvalidResourceHandle: i32 = 400;
    pub const cudaErrorIllegalState: i32 = 401;
    pub const cudaErrorLossyQuery: i32 = 402;
    pub const cudaErrorSymbolNotFound: i32 = 500;
    pub const cudaErrorNotReady: i32 = 600;
    pub const cudaErrorIllegalAddress: i32 = 700;
    pub const cudaErrorLaunchOutOfResources: i32 = 701;
    pub const cudaErrorLaunchTimeout: i32 = 702;
    pub const cudaErrorLaunchIncompatibleTexturing: i32 = 703;
    pub const cudaErrorPeerAccessAlreadyEnabled: i32 = 704;
    pub const cudaErrorPeerAccessNotEnabled: i32 = 705;
    pub const cudaErrorSetOnActiveProcess: i32 = 708;
    pub const cudaErrorContextIsDestroyed: i32 = 709;
    pub const cudaErrorAssert: i32 = 710;
    pub const cudaErrorTooManyPeers: i32 = 711;
    pub const cudaErrorHostMemoryAlreadyRegistered: i32 = 712;
    pub const cudaErrorHostMemoryNotRegistered: i32 = 713;
    pub const cudaErrorHardwareStackError: i32 = 714;
    pub const cudaErrorIllegalInstruction: i32 = 715;
    pub const cudaErrorMisalignedAddress: i32 = 716;
    pub const cudaErrorInvalidAddressSpace: i32 = 717;
    pub const cudaErrorInvalidPc: i32 = 718;
    pub const cudaErrorLaunchFailure: i32 = 719;
    pub const cudaErrorCooperativeLaunchTooLarge: i32 = 720;
    pub const cudaErrorTensorMemoryLeak: i32 = 721;
    pub const cudaErrorNotPermitted: i32 = 800;
    pub const cudaErrorNotSupported: i32 = 801;
    pub const cudaErrorSystemNotReady: i32 = 802;
    pub const cudaErrorSystemDriverMismatch: i32 = 803;
    pub const cudaErrorCompatNotSupportedOnDevice: i32 = 804;
    pub const cudaErrorMpsConnectionFailed: i32 = 805;
    pub const cudaErrorMpsRpcFailure: i32 = 806;
    pub const cudaErrorMpsServerNotReady: i32 = 807;
    pub const cudaErrorMpsMaxClientsReached: i32 = 808;
    pub const cudaErrorMpsMaxConnectionsReached: i32 = 809;
    pub const cudaErrorMpsClientTerminated: i32 = 810;
    pub const cudaErrorCdpNotSupported: i32 = 811;
    pub const cudaErrorCdpVersionMismatch: i32 = 812;
    pub const cudaErrorStreamCaptureUnsupported: i32 = 900;
    pub const cudaErrorStreamCaptureInvalidated: i32 = 901;
    pub const cudaErrorStreamCaptureMerge: i32 = 902;
    pub const cudaErrorStreamCaptureUnmatched: i32 = 903;
    pub const cudaErrorStreamCaptureUnjoined: i32 = 904;
    pub const cudaErrorStreamCaptureIsolation: i32 = 905;
    pub const cudaErrorStreamCaptureImplicit: i32 = 906;
    pub const cudaErrorCapturedEvent: i32 = 907;
    pub const cudaErrorStreamCaptureWrongThread: i32 = 908;
    pub const cudaErrorTimeout: i32 = 909;
    pub const cudaErrorGraphExecUpdateFailure: i32 = 910;
    pub const cudaErrorExternalDevice: i32 = 911;
    pub const cudaErrorInvalidClusterSize: i32 = 912;
    pub const cudaErrorFunctionNotLoaded: i32 = 913;
    pub const cudaErrorInvalidResourceType: i32 = 914;
    pub const cudaErrorInvalidResourceConfiguration: i32 = 915;
    pub const cudaErrorUnknown: i32 = 999;
    pub const cudaErrorApiFailureBase: i32 = 10000;
}

/// The numbers of `cudaDeviceAttr` in the headers of CUDA's runtime, version 13.0.
pub mod cudaDeviceAttr {
    pub const cudaDevAttrMaxThreadsPerBlock: i32 = 1;
    pub const cudaDevAttrMaxBlockDimX: i32 = 2;
    pub const cudaDevAttrMaxBlockDimY: i32 = 3;
    pub const cudaDevAttrMaxBlockDimZ: i32 = 4;
    pub const cudaDevAttrMaxGridDimX: i32 = 5;
    pub const cudaDevAttrMaxGridDimY: i32 = 6;
    pub const cudaDevAttrMaxGridDimZ: i32 = 7;
    pub const cudaDevAttrMaxSharedMemoryPerBlock: i32 = 8;
    pub const cudaDevAttrTotalConstantMemory: i32 = 9;
    pub const cudaDevAttrWarpSize: i32 = 10;
    pub const cudaDevAttrMaxPitch: i32 = 11;
    pub const cudaDevAttrMaxRegistersPerBlock: i32 = 12;
    pub const cudaDevAttrClockRate: i32 = 13;
    pub const cudaDevAttrTextureAlignment: i32 = 14;
    pub const cudaDevAttrGpuOverlap: i32 = 15;
    pub const cudaDevAttrMultiProcessorCount: i32 = 16;
    pub const cudaDevAttrKernelExecTimeout: i32 = 17;
    pub const cudaDevAttrIntegrated: i32 = 18;
    pub const cudaDevAttrCanMapHostMemory: i32 = 19;
    pub const cudaDevAttrComputeMode: i32 = 20;
    pub const cudaDevAttrMaxTexture1DWidth: i32 = 21;
    pub const cudaDevAttrMaxTexture2DWidth: i32 = 22;
    pub const cudaDevAttrMaxTexture2DHeight: i32 = 23;
    pub const cudaDevAttrMaxTexture3DWidth: i32 = 24;
    pub const cudaDevAttrMaxTexture3DHeight: i32 = 25;
    pub const cudaDevAttrMaxTexture3DDepth: i32 = 26;
    pub const cudaDevAttrMaxTexture2DLayeredWidth: i32 = 27;
    pub const cudaDevAttrMaxTexture2DLayeredHeight: i32 = 28;
    pub const cudaDevAttrMaxTexture2DLayeredLayers: i32 = 29;
    pub const cudaDevAttrSurfaceAlignment: i32 = 30;
    pub const cudaDevAttrConcurrentKernels: i32 = 31;
    pub const cudaDevAttrEccEnabled: i32 = 32;
    pub const cudaDevAttrPciBusId: i32 = 33;
    pub const cudaDevAttrPciDeviceId: i32 = 34;
    pub const cudaDevAttrTccDriver: i32 = 35;
    pub const cudaDevAttrMemoryClockRate: i32 = 36;
    pub const cudaDevAttrGlobalMemoryBusWidth: i32 = 37;
    pub const cudaDevAttrL2CacheSize: i32 = 38;
    pub const cudaDevAttrMaxThreadsPerMultiProcessor: i32 = 39;
    pub const cudaDevAttrAsyncEngineCount: i32 = 40;
    pub const cudaDevAttrUnifiedAddressing: i32 = 41;
    pub const cudaDevAttrMaxTexture1DLayeredWidth: i32 = 42;
    pub const cudaDevAttrMaxTexture1DLayeredLayers: i32 = 43;
    pub const cudaDevAttrMaxTexture2DGatherWidth: i32 = 45;
    pub const cudaDevAttrMaxTexture2DGatherHeight: i32 = 46;
    pub const cudaDevAttrMaxTexture3DWidthAlt: i32 = 47;
    pub const cudaDevAttrMaxTexture3DHeightAlt: i32 = 48;
    pub const cudaDevAttrMaxTexture3DDepthAlt: i32 = 49;
    pub const cudaDevAttrPciDomainId: i32 = 50;
    pub const cudaDevAttrTexturePitchAlignment: i32 = 51;
    pub const cudaDevAttrMaxTextureCubemapWidth: i32 = 52;
    pub const cudaDevAttrMaxTextureCubemapLayeredWidth: i32 = 53;
    pub const cudaDevAttrMaxTextureCubemapLayeredLayers: i32 = 54;
    pub const cudaDevAttrMaxSurface1DWidth: i32 = 55;
    pub const cudaDevAttrMaxSurface2DWidth: i32 = 56;
    pub const cudaDevAttrMaxSurface2DHeight: i32 = 57;
    pub const cudaDevAttrMaxSurface3DWidth: i32 = 58;
    pub const cudaDevAttrMaxSurface3DHeight: i32 = 59;
    pub const cudaDevAttrMaxSurface3DDepth: i32 = 60;
    pub const cudaDevAttrMaxSurface1DLayeredWidth: i32 = 61;
    pub const cudaDevAttrMaxSurface1DLayeredLayers: i32 = 62;
    pub const cudaDevAttrMaxSurface2DLayeredWidth: i32 = 63;
    pub const cudaDevAttrMaxSurface2DLayeredHeight: i32 = 64;
    pub const cudaDevAttrMaxSurface2DLayeredLayers: i32 = 65;
    pub const cudaDevAttrMaxSurfaceCubemapWidth: i32 = 66;
    pub const cudaDevAttrMaxSurfaceCubemapLayeredWidth: i32 = 67;
    pub const cudaDevAttrMaxSurfaceCubemapLayeredLayers: i32 = 68;
    pub const cudaDevAttrMaxTexture1DLinearWidth: i32 = 69;
    pub const cudaDevAttrMaxTexture2DLinearWidth: i32 = 70;
    pub const cudaDevAttrMaxTexture2DLinearHeight: i32 = 71;
    pub const cudaDevAttrMaxTexture2DLinearPitch: i32 = 72;
    pub const cudaDevAttrMaxTexture2DMipmappedWidth: i32 = 73;
    pub const cudaDevAttrMaxTexture2DMipmappedHeight: i32 = 74;
    pub const cudaDevAttrComputeCapabilityMajor: i32 = 75;
    pub const cudaDevAttrComputeCapabilityMinor: i32 = 76;
    pub const cudaDevAttrMaxTexture1DMipmappedWidth: i32 = 77;
    pub const cudaDevAttrStreamPrioritiesSupported: i32 = 78;
    pub const cudaDevAttrGlobalL1CacheSupported: i32 = 79;
    pub const cudaDevAttrLocalL1CacheSupported: i32 = 80;
    pub const cudaDevAttrMaxSharedMemoryPerMultiprocessor: i32 = 81;
    pub const cudaDevAttrMaxRegistersPerMultiprocessor: i32 = 82;
    pub const cudaDevAttrManagedMemory: i32 = 83;
    pub const cudaDevAttrIsMultiGpuBoard: i32 = 84;
    pub const cudaDevAttrMultiGpuBoardGroupID: i32 = 85;
    pub const cudaDevAttrHostNativeAtomicSupported: i32 = 86;
    pub const cudaDevAttrSingleToDoublePrecisionPerfRatio: i32 = 87;
    pub const cudaDevAttrPageableMemoryAccess: i32 = 88;
    pub const cudaDevAttrConcurrentManagedAccess: i32 = 89;
    pub const cudaDevAttrComputePreemptionSupported: i32 = 90;
    pub const cudaDevAttrCanUseHostPointerForRegisteredMem: i32 = 91;
    pub const cudaDevAttrReserved92: i32 = 92;
    pub const cudaDevAttrReserved93: i32 = 93;
    pub const cudaDevAttrReserved94: i32 = 94;
    pub const cudaDevAttrCooperativeLaunch: i32 = 95;
    pub const cudaDevAttrReserved96: i32 = 96;
    pub const cudaDevAttrMaxSharedMemoryPerBlockOptin: i32 = 97;
    pub const cudaDevAttrCanFlushRemoteWrites: i32 = 98;
    pub const cudaDevAttrHostRegisterSupported: i32 = 99;
    pub const cudaDevAttrPageableMemoryAccessUsesHostPageTables: i32 = 100;
    pub const cudaDevAttrDirectManagedMemAccessFromHost: i32 = 101;
    pub const cudaDevAttrMaxBlocksPerMultiprocessor: i32 = 106;
    pub const cudaDevAttrMaxPersistingL2CacheSize: i32 = 108;
    pub const cudaDevAttrMaxAccessPolicyWindowSize: i32 = 109;
    pub const cudaDevAttrReservedSharedMemoryPerBlock: i32 = 111;
    pub const cudaDevAttrSparseCudaArraySupported: i32 = 112;
    pub const cudaDevAttrHostRegisterReadOnlySupported: i32 = 113;
    pub const cudaDevAttrTimelineSemaphoreInteropSupported: i32 = 114;
    pub const cudaDevAttrMemoryPoolsSupported: i32 = 115;
    pub const cudaDevAttrGPUDirectRDMASupported: i32 = 116;
    pub const cudaDevAttrGPUDirectRDMAFlushWritesOptions: i32 = 117;
    pub const cudaDevAttrGPUDirectRDMAWritesOrdering: i32 = 118;
    pub const cudaDevAttrMemoryPoolSupportedHandleTypes: i32 = 119;
    pub const cudaDevAttrClusterLaunch: i32 = 120;
    pub const cudaDevAttrDeferredMappingCudaArraySupported: i32 = 121;
    pub const cudaDevAttrReserved122: i32 = 122;
    pub const cudaDevAttrReserved123: i32 = 123;
    pub const cudaDevAttrReserved124: i32 = 124;
    pub const cudaDevAttrIpcEventSupport: i32 = 125;
    pub const cudaDevAttrMemSyncDomainCount: i32 = 126;
    pub const cudaDevAttrReserved127: i32 = 127;
    pub const cudaDevAttrReserved128: i32 = 128;
    pub const cudaDevAttrReserved129: i32 = 129;
    pub const cudaDevAttrNumaConfig: i32 = 130;
    pub const cudaDevAttrNumaId: i32 = 131;
    pub const cudaDevAttrReserved132: i32 = 132;
    pub const cudaDevAttrMpsEnabled: i32 = 133;
    pub const cudaDevAttrHostNumaId: i32 = 134;
    pub const cudaDevAttrD3D12CigSupported: i32 = 135;
    pub const cudaDevAttrVulkanCigSupported: i32 = 138;
    pub const cudaDevAttrGpuPciDeviceId: i32 = 139;
    pub const cudaDevAttrGpuPciSubsystemId: i32 = 140;
    pub const cudaDevAttrReserved141: i32 = 141;
    pub const cudaDevAttrHostNumaMemoryPoolsSupported: i32 = 142;
    pub const cudaDevAttrHostNumaMultinodeIpcSupported: i32 = 143;
    pub const cudaDevAttrHostMemoryPoolsSupported: i32 = 144;
    pub const cudaDevAttrReserved145: i32 = 145;
    pub const cudaDevAttrOnlyPartialHostNativeAtomicSupported: i32 = 147;
    pub const cudaDevAttrMax: i32 = 148;
}

/// The numbers of `cudaMemPoolAttr` in the headers of CUDA's runtime, version 13.0.
pub mod cudaMemPoolAttr {
    pub const cudaMemPoolReuseFollowEventDependencies: i32 = 1;
    pub const cudaMemPoolReuseAllowOpportunistic: i32 = 2;
    pub const cudaMemPoolReuseAllowInternalDependencies: i32 = 3;
    pub const cudaMemPoolAttrReleaseThreshold: i32 = 4;
    pub const cudaMemPoolAttrReservedMemCurrent: i32 = 5;
    pub const cudaMemPoolAttrReservedMemHigh: i32 = 6;
    pub const cudaMemPoolAttrUsedMemCurrent: i32 = 7;
    pub const cudaMemPoolAttrUsedMemHigh: i32 = 8;
}

/// The numbers of `CUpointer_attribute_enum` in the headers of CUDA's driver, version 13.0.
pub mod CUpointer_attribute_enum {
    pub const CU_POINTER_ATTRIBUTE_CONTEXT: i32 = 1;
    pub const CU_POINTER_ATTRIBUTE_MEMORY_TYPE: i32 = 2;
    pub const CU_POINTER_ATTRIBUTE_DEVICE_POINTER: i32 = 3;
    pub const CU_POINTER_ATTRIBUTE_HOST_POINTER: i32 = 4;
    pub const CU_POINTER_ATTRIBUTE_P2P_TOKENS: i32 = 5;
    pub const CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: i32 = 6;
    pub const CU_POINTER_ATTRIBUTE_BUFFER_ID: i32 = 7;
    pub const CU_POINTER_ATTRIBUTE_IS_MANAGED: i32 = 8;
    pub const CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: i32 = 9;
    pub const CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE: i32 = 10;
    pub const CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: i32 = 11;
    pub const CU_POINTER_ATTRIBUTE_RANGE_SIZE: i32 = 12;
    pub const CU_POINTER_ATTRIBUTE_MAPPED: i32 = 13;
    pub const CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES: i32 = 14;
    pub const CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE: i32 = 15;
    pub const CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: i32 = 16;
    pub const CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE: i32 = 17;
    pub const CU_POINTER_ATTRIBUTE_MAPPING_SIZE: i32 = 18;
    pub const CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: i32 = 19;
    pub const CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: i32 = 20;
    pub const CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE: i32 = 21;
}

/// The numbers of `CUfunction_attribute_enum` in the headers of CUDA's driver, version 13.0.
pub mod CUfunction_attribute_enum {
    pub const CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: i32 = 0;
    pub const CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: i32 = 1;
    pub const CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES: i32 = 2;
    pub const CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: i32 = 3;
    pub const CU_FUNC_ATTRIBUTE_NUM_REGS: i32 = 4;
    pub const CU_FUNC_ATTRIBUTE_PTX_VERSION: i32 = 5;
    pub const CU_FUNC_ATTRIBUTE_BINARY_VERSION: i32 = 6;
    pub const CU_FUNC_ATTRIBUTE_CACHE_MODE_CA: i32 = 7;
    pub const CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: i32 = 8;
    pub const CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: i32 = 9;
    pub const CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET: i32 = 10;
    pub const CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH: i32 = 11;
    pub const CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT: i32 = 12;
    pub const CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH: i32 = 13;
    pub const CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED: i32 = 14;
    pub const CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE: i32 = 15;
    pub const CU_FUNC_ATTRIBUTE_MAX: i32 = 16;
}
