//! NVML's functions by the shape of their parameters.

use super::status::Status;

/// Declares the functions that are used, with their names in NVML.
macro_rules! functions {
    ($($name:ident)+) => {
        /// A function of NVML.
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum Function { $($name),+ }

        impl Function {
            /// All of them.
            pub const ALL: &'static [Function] = &[$(Function::$name),+];

            /// The name that the library exports.
            pub fn name(self) -> &'static str {
                match self { $(Function::$name => stringify!($name)),+ }
            }
        }
    };
}

functions! {
    nvmlInit_v2
    nvmlInit
    nvmlShutdown
    nvmlSystemGetDriverVersion
    nvmlSystemGetNVMLVersion
    nvmlSystemGetCudaDriverVersion_v2
    nvmlSystemGetCudaDriverVersion
    nvmlDeviceGetCount_v2
    nvmlDeviceGetCount
    nvmlDeviceGetHandleByIndex_v2
    nvmlDeviceGetHandleByIndex
    nvmlDeviceGetName
    nvmlDeviceGetUUID
    nvmlDeviceGetPciInfo_v3
    nvmlDeviceGetPciInfo_v2
    nvmlDeviceGetMemoryInfo_v2
    nvmlDeviceGetMemoryInfo
    nvmlDeviceGetUtilizationRates
    nvmlDeviceGetPersistenceMode
    nvmlDeviceGetVirtualizationMode
    nvmlDeviceGetDriverModel
    nvmlDeviceGetComputeRunningProcesses_v3
    nvmlDeviceGetComputeRunningProcesses_v2
    nvmlDeviceGetComputeRunningProcesses
    nvmlDeviceGetGraphicsRunningProcesses_v3
    nvmlDeviceGetGraphicsRunningProcesses_v2
    nvmlDeviceGetGraphicsRunningProcesses
    nvmlDeviceGetMPSComputeRunningProcesses_v3
    nvmlDeviceGetMPSComputeRunningProcesses_v2
    nvmlDeviceGetMPSComputeRunningProcesses
    nvmlDeviceGetMigMode
    nvmlDeviceGetMaxMigDeviceCount
    nvmlDeviceGetMigDeviceHandleByIndex
    nvmlDeviceGetGpuInstanceId
    nvmlDeviceGetConfComputeMemSizeInfo
    nvmlDeviceGetRunningProcessDetailList
}

/// An `nvmlDevice_t`.
pub type Handle = usize;

/// Numbers of an `nvmlMemory_v2_t` or an `nvmlMemory_t`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryInfo {
    /// All memory.
    pub total: u64,
    /// What the driver keeps for itself; only in the newer struct.
    pub reserved: Option<u64>,
    /// Memory that is free.
    pub free: u64,
    /// Memory in use: without `reserved` in the newer struct, with it in the older.
    pub used: u64,
}

/// NVML as it is called. A function that the library does not export returns [`Status::FUNCTION_NOT_FOUND`].
pub trait Backend: Send {
    /// Whether the library exports a function.
    fn has(&self, function: Function) -> bool;

    /// A function without parameters.
    ///
    /// # Errors
    /// What NVML returns; likewise for the other functions.
    fn call(&mut self, function: Function) -> Result<(), Status>;

    /// A function that writes one text, of a GPU or of the system.
    ///
    /// # Errors
    /// What NVML returns.
    fn text(&mut self, function: Function, handle: Option<Handle>) -> Result<String, Status>;

    /// A function that writes one number, of a GPU or of the system.
    ///
    /// # Errors
    /// What NVML returns.
    fn number(&mut self, function: Function, handle: Option<Handle>) -> Result<u32, Status>;

    /// A function that writes two numbers about a GPU, as two results or as one struct.
    ///
    /// # Errors
    /// What NVML returns.
    fn pair(&mut self, function: Function, handle: Handle) -> Result<(u32, u32), Status>;

    /// A function that finds a GPU, or a partition of the GPU `parent`, by its index.
    ///
    /// # Errors
    /// What NVML returns.
    fn handle(&mut self, function: Function, parent: Option<Handle>, index: u32) -> Result<Handle, Status>;

    /// The GPU's name on the PCI bus.
    ///
    /// # Errors
    /// What NVML returns.
    fn bus(&mut self, function: Function, handle: Handle) -> Result<String, Status>;

    /// The memory of a GPU, by either function.
    ///
    /// # Errors
    /// What NVML returns.
    fn memory(&mut self, function: Function, handle: Handle) -> Result<MemoryInfo, Status>;

    /// The processes of a GPU. `count` is the number of entries for which `words` has room (four words each, the most that
    /// any version of the struct has), and then the number that the driver has.
    ///
    /// # Errors
    /// What NVML returns.
    fn processes(
        &mut self,
        function: Function,
        handle: Handle,
        count: &mut u32,
        words: &mut [u64],
    ) -> Result<(), Status>;
}
