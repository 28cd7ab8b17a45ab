//! What NVML's functions return.

use std::fmt;

/// An `nvmlReturn_t` that is not success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// The library is used before it is initialised.
    pub const UNINITIALIZED: Status = Status(1);
    /// An argument is wrong, such as the version word of a struct under some drivers.
    pub const INVALID_ARGUMENT: Status = Status(2);
    /// This GPU or this platform has no such figure.
    pub const NOT_SUPPORTED: Status = Status(3);
    /// The caller may not know, such as a container that was given one MIG partition.
    pub const NO_PERMISSION: Status = Status(4);
    /// There is no such thing.
    pub const NOT_FOUND: Status = Status(6);
    /// The caller's buffer is too small.
    pub const INSUFFICIENT_SIZE: Status = Status(7);
    /// The kernel module is not loaded.
    pub const DRIVER_NOT_LOADED: Status = Status(9);
    /// The library has no such function. NVML returns it, and a symbol that is not exported counts as it here.
    pub const FUNCTION_NOT_FOUND: Status = Status(13);
    /// The GPU has left the bus.
    pub const GPU_IS_LOST: Status = Status(15);
    /// The library and the kernel module are of different versions, as after an update without a restart.
    pub const LIB_RM_VERSION_MISMATCH: Status = Status(18);
    /// The version word of a struct is not known to this driver.
    pub const ARGUMENT_VERSION_MISMATCH: Status = Status(25);
    /// An internal error. WSL's driver returns it for `nvmlDeviceGetMemoryInfo_v2`.
    pub const UNKNOWN: Status = Status(999);

    /// The constant's name in nvml.h, without `NVML_ERROR_`.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(code, _)| *code == self.0).map(|(_, name)| *name)
    }

    /// Whether an older form of the same function may succeed.
    pub(crate) fn is_of_the_form(self) -> bool {
        matches!(
            self,
            Status::FUNCTION_NOT_FOUND
                | Status::ARGUMENT_VERSION_MISMATCH
                | Status::INVALID_ARGUMENT
                | Status::UNKNOWN
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

/// `nvmlReturn_t` in nvml.h of R580.
const NAMES: [(i32, &str); 30] = [
    (1, "UNINITIALIZED"),
    (2, "INVALID_ARGUMENT"),
    (3, "NOT_SUPPORTED"),
    (4, "NO_PERMISSION"),
    (5, "ALREADY_INITIALIZED"),
    (6, "NOT_FOUND"),
    (7, "INSUFFICIENT_SIZE"),
    (8, "INSUFFICIENT_POWER"),
    (9, "DRIVER_NOT_LOADED"),
    (10, "TIMEOUT"),
    (11, "IRQ_ISSUE"),
    (12, "LIBRARY_NOT_FOUND"),
    (13, "FUNCTION_NOT_FOUND"),
    (14, "CORRUPTED_INFOROM"),
    (15, "GPU_IS_LOST"),
    (16, "RESET_REQUIRED"),
    (17, "OPERATING_SYSTEM"),
    (18, "LIB_RM_VERSION_MISMATCH"),
    (19, "IN_USE"),
    (20, "MEMORY"),
    (21, "NO_DATA"),
    (22, "VGPU_ECC_NOT_SUPPORTED"),
    (23, "INSUFFICIENT_RESOURCES"),
    (24, "FREQ_NOT_SUPPORTED"),
    (25, "ARGUMENT_VERSION_MISMATCH"),
    (26, "DEPRECATED"),
    (27, "NOT_READY"),
    (28, "GPU_NOT_FOUND"),
    (29, "INVALID_STATE"),
    (999, "UNKNOWN"),
];
