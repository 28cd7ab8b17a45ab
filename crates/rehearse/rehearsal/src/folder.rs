//! The folder of a rehearsal: the virtual GPU's library, the start-up hook, caches, and the records of processes. It is
//! removed afterwards.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use brimful_virtual_gpu::{LIBRARY, SONAMES};
use tempfile::TempDir;

use crate::RehearsalError;
use crate::error::at;

/// The files of the hook, with their paths; `build.rs` lists them.
const HOOK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/hook.rs"));

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
        for name in ["lib", "bin", "cache", "records", "states"] {
            let path = folder.path(name);
            fs::create_dir_all(&path).map_err(at(path))?;
        }
        for &(name, text) in HOOK {
            let path = folder.path("hook").join(name);
            let parent = path.parent().unwrap_or(&path);
            fs::create_dir_all(parent).map_err(at(parent))?;
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

    /// Puts an `nvidia-smi` on the search path that is this program.
    fn put_nvidia_smi(&self) -> Result<(), RehearsalError> {
        let program = std::env::current_exe().map_err(at("this program"))?;
        let path = self.path("bin").join("nvidia-smi");
        let program = program.display().to_string().replace('\'', "'\\''");
        fs::write(&path, format!("#!/bin/sh\nexec '{program}' nvidia-smi \"$@\"\n")).map_err(at(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(at(&path))
    }

    /// A part of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where processes write their records.
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
