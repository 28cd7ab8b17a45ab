//! The settings of the virtual GPU, which are passed as text in an environment variable.

use std::fmt;
use std::str::FromStr;

/// The environment variable that holds [`Settings`].
pub const SETTINGS_VARIABLE: &str = "BRIMFUL_VGPU";

/// When work on a stream is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// At once: an event is complete as soon as it is recorded.
    Immediate,
    /// After that many further launches on any stream, or when the program waits for it. Memory that another stream used is
    /// then free for reuse later, as on hardware.
    Delayed(u64),
}

/// The machine as programs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The number of GPUs, which are all of one kind.
    pub devices: u32,
    /// The name that the driver reports.
    pub name: String,
    /// Bytes of memory, which `cudaMemGetInfo` returns as the total.
    pub total: u64,
    /// Bytes that a process's CUDA context uses on a GPU from the process's first use of that GPU.
    pub context: u64,
    /// Bytes that the kernels of libraries use once the first cuBLAS handle is made.
    pub libraries: u64,
    /// Bytes that NCCL uses for the connections of its bandwidth algorithms. They are counted once per process and GPU, at the
    /// first collective of more than one rank whose message is larger than 64 KiB.
    pub nccl: u64,
    /// Compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// When work is done.
    pub completion: Completion,
    /// The version of cuDNN, which `cudnnGetVersion` returns.
    pub cudnn: u32,
    /// Bytes of host memory that may be pinned; `None` if there is no limit.
    pub pinned: Option<u64>,
    /// Whether flags that the program reads from the device (`all(…)`, comparisons) are computed from zeros; if not, they are
    /// zero.
    pub flags: bool,
}

impl Default for Settings {
    /// One GPU without a memory limit, with the compute capability and multiprocessors of an A100.
    fn default() -> Settings {
        Settings {
            devices: 1,
            name: "a GPU without an end".to_owned(),
            total: 16 << 40,
            context: 0,
            libraries: 0,
            nccl: 0,
            compute_capability: (8, 0),
            multiprocessors: 108,
            completion: Completion::Immediate,
            cudnn: 92600,
            pinned: None,
            flags: true,
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = self.name.replace([';', '='], " ");
        let (major, minor) = self.compute_capability;
        write!(f, "devices={};name={name};total={};context={}", self.devices, self.total, self.context)?;
        write!(f, ";libraries={};nccl={};cc={major}.{minor}", self.libraries, self.nccl)?;
        write!(f, ";sms={};cudnn={}", self.multiprocessors, self.cudnn)?;
        match self.completion {
            Completion::Immediate => write!(f, ";completion=immediate")?,
            Completion::Delayed(launches) => write!(f, ";completion={launches}")?,
        }
        if let Some(pinned) = self.pinned {
            write!(f, ";pinned={pinned}")?;
        }
        write!(f, ";flags={}", self.flags)
    }
}

/// Settings that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    key: String,
    value: String,
    expected: &'static str,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let SettingsError { key, value, expected } = self;
        write!(f, "{SETTINGS_VARIABLE}: {key} = {value:?}: expected {expected}")
    }
}

impl std::error::Error for SettingsError {}

impl FromStr for Settings {
    type Err = SettingsError;

    /// Reads `key=value` pairs, joined by `;`; absent keys keep their default.
    ///
    /// ```
    /// let settings: brimful_virtual_gpu::Settings = "name=NVIDIA L4;total=23580639232;cc=8.9;sms=58".parse().unwrap();
    /// assert_eq!((settings.compute_capability, settings.devices), ((8, 9), 1));
    /// assert_eq!(settings.to_string().parse(), Ok(settings));
    /// ```
    fn from_str(text: &str) -> Result<Settings, SettingsError> {
        let mut settings = Settings::default();
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            settings.set(key, value).map_err(|expected| SettingsError {
                key: key.to_owned(),
                value: value.to_owned(),
                expected,
            })?;
        }
        Ok(settings)
    }
}

impl Settings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "devices" => {
                self.devices = number(value)?;
                if self.devices == 0 || self.devices as usize > crate::MOST_DEVICES {
                    return Err("1 to 16 GPUs");
                }
            }
            "name" => self.name = value.to_owned(),
            "total" => self.total = number(value)?,
            "context" => self.context = number(value)?,
            "libraries" => self.libraries = number(value)?,
            "nccl" => self.nccl = number(value)?,
            "sms" => self.multiprocessors = number(value)?,
            "cudnn" => self.cudnn = number(value)?,
            "pinned" => self.pinned = Some(number(value)?),
            "flags" => self.flags = value.parse().map_err(|_| "true or false")?,
            "cc" => {
                let (major, minor) = value.split_once('.').ok_or("a compute capability such as 8.0")?;
                self.compute_capability = (number(major)?, number(minor)?);
            }
            "completion" if value == "immediate" => self.completion = Completion::Immediate,
            "completion" => self.completion = Completion::Delayed(number(value)?),
            _ => {
                return Err(
                    "one of devices, name, total, context, libraries, nccl, cc, sms, cudnn, completion, pinned, flags",
                );
            }
        }
        Ok(())
    }
}

fn number<T: FromStr>(value: &str) -> Result<T, &'static str> {
    value.parse().map_err(|_| "a whole number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let settings = Settings {
            name: "NVIDIA; H100=80GB".to_owned(),
            completion: Completion::Delayed(7),
            pinned: Some(1 << 30),
            flags: false,
            ..Settings::default()
        };
        let read: Settings = settings.to_string().parse().unwrap();
        assert_eq!(read, Settings { name: "NVIDIA  H100 80GB".to_owned(), ..settings });
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = "total=80GB".parse::<Settings>().unwrap_err();
        assert_eq!(error.to_string(), "BRIMFUL_VGPU: total = \"80GB\": expected a whole number");
        assert!("devices=0".parse::<Settings>().is_err());
        assert!("colour=red".parse::<Settings>().is_err());
    }
}
