//! The folder of a rehearsal: the virtual GPU's library, the start-up hook, caches, and what processes hand over.
//! Nothing of it is left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use brimful_virtual_gpu::{LIBRARY, SONAMES};
use serde::Serialize;
use tempfile::TempDir;

use crate::RehearsalError;
use crate::error::at;

/// The files of the hook, by their names.
const HOOK: &[(&str, &str)] = &[
    ("sitecustomize.py", include_str!("../hook/sitecustomize.py")),
    ("brimful_rehearsal/__init__.py", include_str!("../hook/brimful_rehearsal/__init__.py")),
    ("brimful_rehearsal/imports.py", include_str!("../hook/brimful_rehearsal/imports.py")),
    ("brimful_rehearsal/start.py", include_str!("../hook/brimful_rehearsal/start.py")),
    ("brimful_rehearsal/record.py", include_str!("../hook/brimful_rehearsal/record.py")),
    ("brimful_rehearsal/recording.py", include_str!("../hook/brimful_rehearsal/recording.py")),
    ("brimful_rehearsal/marks.py", include_str!("../hook/brimful_rehearsal/marks.py")),
    ("brimful_rehearsal/modules.py", include_str!("../hook/brimful_rehearsal/modules.py")),
    ("brimful_rehearsal/stops.py", include_str!("../hook/brimful_rehearsal/stops.py")),
    ("brimful_rehearsal/exits.py", include_str!("../hook/brimful_rehearsal/exits.py")),
    ("brimful_rehearsal/objects.py", include_str!("../hook/brimful_rehearsal/objects.py")),
    ("brimful_rehearsal/weights.py", include_str!("../hook/brimful_rehearsal/weights.py")),
    ("brimful_rehearsal/serving.py", include_str!("../hook/brimful_rehearsal/serving.py")),
    ("brimful_rehearsal/vllm.py", include_str!("../hook/brimful_rehearsal/vllm.py")),
    ("brimful_rehearsal/uncompiled.py", include_str!("../hook/brimful_rehearsal/uncompiled.py")),
    ("brimful_rehearsal/deepspeed.py", include_str!("../hook/brimful_rehearsal/deepspeed.py")),
    ("brimful_rehearsal/sglang.py", include_str!("../hook/brimful_rehearsal/sglang.py")),
    ("brimful_rehearsal/synthetic.py", include_str!("../hook/brimful_rehearsal/synthetic.py")),
    ("brimful_rehearsal/imagined.py", include_str!("../hook/brimful_rehearsal/imagined.py")),
    ("brimful_rehearsal/offline.py", include_str!("../hook/brimful_rehearsal/offline.py")),
    ("brimful_rehearsal/pictures.py", include_str!("../hook/brimful_rehearsal/pictures.py")),
    ("brimful_rehearsal/settle.py", include_str!("../hook/brimful_rehearsal/settle.py")),
    ("brimful_rehearsal/pretrained.py", include_str!("../hook/brimful_rehearsal/pretrained.py")),
];

/// What the hook is told.
#[derive(Serialize)]
pub struct HookSettings {
    /// Where records go.
    pub folder: PathBuf,
    /// Events that the history keeps, the newest.
    pub history: u64,
    /// Optimizer steps after which the run ends.
    pub steps: Option<u64>,
    /// Whether the other ranks are imagined.
    pub imagined: bool,
    /// Whether missing weights are made up.
    pub dummy_weights: bool,
    /// Whether a server goes on once it listens.
    pub keep_serving: bool,
    /// Rows that stand in for data sets.
    pub synthetic: Option<String>,
}

/// A rehearsal's folder; it is removed when this is dropped.
pub struct Folder(TempDir);

impl Folder {
    /// Makes the folder, with the library under each of its names.
    ///
    /// # Errors
    /// As the system's, with the path.
    pub fn new() -> Result<Folder, RehearsalError> {
        let parent = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("brimful-rehearsal-").tempdir_in(&parent);
        let folder = Folder(made.map_err(at(parent))?);
        for name in ["lib", "bin", "hook/brimful_rehearsal", "cache", "records", "states"] {
            let path = folder.path(name);
            fs::create_dir_all(&path).map_err(at(path))?;
        }
        for &(name, text) in HOOK {
            let path = folder.path("hook").join(name);
            fs::write(&path, text).map_err(at(path))?;
        }
        folder.put_library()?;
        folder.put_nvidia_smi()?;
        folder.machine(0)?;
        Ok(folder)
    }

    fn put_library(&self) -> Result<(), RehearsalError> {
        let file = "libbrimful_vgpu.so";
        let path = self.path("lib").join(file);
        fs::write(&path, library()?).map_err(at(path))?;
        for soname in SONAMES {
            let path = self.path("lib").join(soname);
            symlink(file, &path).map_err(at(path))?;
        }
        Ok(())
    }

    /// Scripts that ask `nvidia-smi` are answered by this program.
    fn put_nvidia_smi(&self) -> Result<(), RehearsalError> {
        let program = std::env::current_exe().map_err(at("this program"))?;
        let path = self.path("bin").join("nvidia-smi");
        let program = program.display().to_string().replace('\'', "'\\''");
        fs::write(&path, format!("#!/bin/sh\nexec '{program}' nvidia-smi \"$@\"\n")).map_err(at(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(at(&path))
    }

    /// Writes what the hook is told; gives the file.
    ///
    /// # Errors
    /// As the system's, with the path.
    pub fn tell_hook(&self, settings: &HookSettings) -> Result<PathBuf, RehearsalError> {
        let path = self.path("settings.json");
        let text = serde_json::to_string(settings).unwrap_or_default();
        fs::write(&path, text).map_err(at(&path))?;
        Ok(path)
    }

    /// A part of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where processes hand over their records.
    pub fn records(&self) -> PathBuf {
        self.path("records")
    }

    /// Where the live counters of the virtual GPUs are, a file for each machine.
    pub fn states(&self) -> PathBuf {
        self.path("states")
    }

    /// The counters of one machine. Programs on different machines share no GPU.
    ///
    /// # Errors
    /// As the system's, with the path.
    pub fn machine(&self, number: u64) -> Result<PathBuf, RehearsalError> {
        let path = self.states().join(number.to_string());
        if !path.exists() {
            fs::write(&path, []).map_err(at(&path))?;
        }
        Ok(path)
    }
}

/// The library that answers as all of CUDA's.
fn library() -> Result<&'static [u8], RehearsalError> {
    if LIBRARY.is_empty() { Err(RehearsalError::OnlyLinux) } else { Ok(LIBRARY) }
}
