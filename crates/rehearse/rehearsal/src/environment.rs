//! The variables that a rehearsed command starts with.

use std::ffi::OsString;

use brimful_virtual_gpu::{SETTINGS_VARIABLE, SONAMES, STATE_VARIABLE};

use crate::Device;
use crate::folder::Folder;

/// Caches of compilers: a device that computes nothing must not teach the user's caches how fast kernels are.
const CACHES: [(&str, &str); 7] = [
    ("TRITON_CACHE_DIR", "triton"),
    ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
    ("TORCH_EXTENSIONS_DIR", "extensions"),
    ("CUDA_CACHE_PATH", "cuda"),
    ("VLLM_CACHE_ROOT", "vllm"),
    ("FLASHINFER_WORKSPACE_BASE", "flashinfer"),
    ("SGLANG_CACHE_DIR", "sglang"),
];

/// What PyTorch's allocator settings are called: `PYTORCH_ALLOC_CONF` from 2.9 on, the other before and still.
const CONF: [&str; 2] = ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"];

/// A variable that hides the virtual GPUs from the command.
const HIDES: &str = "CUDA_VISIBLE_DEVICES";

/// The variables to set, and those to remove, for a command in this folder.
pub(crate) struct Environment {
    pub set: Vec<(OsString, OsString)>,
    pub remove: Vec<&'static str>,
}

impl Environment {
    /// The variables for a device and the hook's settings. `conf`, if given, replaces the allocator's settings that are
    /// inherited.
    pub fn new(folder: &Folder, device: &Device, settings: String, conf: Option<&str>) -> Environment {
        let library = folder.path("lib");
        let mut set: Vec<(OsString, OsString)> = vec![
            // Without a slash: the loader then takes these for every library that asks for the name, whatever its own
            // search path says.
            ("LD_PRELOAD".into(), before(SONAMES.join(":").into(), "LD_PRELOAD")),
            ("LD_LIBRARY_PATH".into(), before(library.clone().into(), "LD_LIBRARY_PATH")),
            ("PATH".into(), before(folder.path("bin").into(), "PATH")),
            ("PYTHONPATH".into(), before(folder.path("hook").into(), "PYTHONPATH")),
            ("TRITON_LIBCUDA_PATH".into(), library.into()),
            (SETTINGS_VARIABLE.into(), device.settings().to_string().into()),
            (STATE_VARIABLE.into(), folder.states().join("0").into()),
            ("BRIMFUL_REHEARSAL".into(), settings.into()),
        ];
        set.extend(CACHES.map(|(name, part)| (name.into(), folder.path("cache").join(part).into())));
        let mut remove = Vec::new();
        if std::env::var_os(HIDES).is_some() {
            remove.push(HIDES);
        }
        if let Some(conf) = conf {
            set.extend(CONF.map(|name| (name.into(), conf.into())));
        }
        Environment { set, remove }
    }
}

/// A value in front of what the variable holds already.
fn before(value: OsString, name: &str) -> OsString {
    match std::env::var_os(name) {
        Some(rest) if !rest.is_empty() => [value, rest].join(&OsString::from(":")),
        _ => value,
    }
}
