use brimful_units::Bytes;
use brimful_virtual_gpu::{Completion, Settings};
use serde::{Deserialize, Serialize};

/// The GPUs that a command is shown. All are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Device {
    /// How many.
    pub count: u32,
    /// The name, as `torch.cuda.get_device_name` gives it.
    pub name: String,
    /// What `cudaMemGetInfo` calls total, in bytes.
    pub total: Bytes,
    /// What the CUDA context takes of it at its first use, in bytes.
    pub context: Bytes,
    /// What the kernels of libraries take of it with the first handle, in bytes.
    #[serde(default)]
    pub libraries: Bytes,
    /// What NCCL takes of it with the first large collective, in bytes.
    #[serde(default)]
    pub nccl: Bytes,
    /// Compute capability, major and minor.
    pub compute_capability: (u8, u8),
    /// Streaming multiprocessors.
    pub multiprocessors: u64,
    /// The version of cuDNN as `cudnnGetVersion` returns it (92600 is 9.26.0), which decides whether PyTorch uses its
    /// attention; the newest known where none is given.
    #[serde(default)]
    pub cudnn: Option<u32>,
    /// Whether flags that are read from the GPU are false: a mask that is asked whether all of it is true has padding.
    #[serde(default)]
    pub padded: bool,
    /// Launches after which work on a stream is done; `None`: at once.
    #[serde(default)]
    pub delay: Option<u64>,
    /// Whether it was asked for. Else it has no end, and the verdict is open.
    pub named: bool,
}

/// What no run can fill: 16 TiB.
const WITHOUT_END: Bytes = Bytes::gib(16 << 10);

impl Device {
    /// A device without an end; its kernels are those of an A100.
    pub fn without_end() -> Device {
        Device {
            count: 1,
            name: "a GPU without an end".to_owned(),
            total: WITHOUT_END,
            context: Bytes::ZERO,
            libraries: Bytes::ZERO,
            nccl: Bytes::ZERO,
            compute_capability: (8, 0),
            multiprocessors: 108,
            cudnn: None,
            padded: false,
            delay: None,
            named: false,
        }
    }

    /// A device that gives the allocator exactly so much; its kernels are those of an A100.
    pub fn of_capacity(capacity: Bytes) -> Device {
        Device {
            name: format!("a GPU with {capacity} for PyTorch"),
            total: capacity,
            named: true,
            ..Device::without_end()
        }
    }
}

impl Device {
    /// The settings of the library for this device.
    #[cfg(target_os = "linux")]
    pub(crate) fn settings(&self) -> Settings {
        let (major, minor) = self.compute_capability;
        Settings {
            devices: self.count,
            name: self.name.clone(),
            total: self.total.get(),
            context: self.context.get(),
            libraries: self.libraries.get(),
            nccl: self.nccl.get(),
            compute_capability: (u32::from(major), u32::from(minor)),
            multiprocessors: u32::try_from(self.multiprocessors).unwrap_or(u32::MAX),
            cudnn: self.cudnn.unwrap_or(Settings::default().cudnn),
            flags: !self.padded,
            completion: self.delay.map_or(Completion::Immediate, Completion::Delayed),
            ..Settings::default()
        }
    }
}
