//! What a machine has around its GPUs that changes the meaning of their figures.

use std::fs;
use std::path::Path;

/// What was found beside the driver's library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The first line of `/proc/driver/nvidia/version`: the kernel's side of the driver. `None` if it is not loaded, and in
    /// containers that do not show it.
    pub kernel_module: Option<String>,
    /// Whether there is `/dev/nvidiactl`, without which a container has no GPU.
    pub has_device: bool,
    /// Whether this is Linux within Windows (WSL).
    pub is_wsl: bool,
    /// Whether this process sees only the processes of its own container.
    pub is_in_container: bool,
    /// A library that every process loads and that changes the driver's figures (HAMi).
    pub preload: Option<String>,
    /// The process IDs of servers of CUDA's Multi-Process Service.
    pub mps_servers: Vec<u32>,
    /// Bytes of the processes named nvidia-persistenced. Versions of it grew with every client.
    pub persistenced: Option<u64>,
}

impl Surroundings {
    /// Looks around. `proc` is `/proc`, and `sees_host` whether all processes of the machine are in it.
    pub fn look(proc: &Path, sees_host: bool) -> Surroundings {
        let module = fs::read_to_string(proc.join("driver/nvidia/version")).ok();
        let kernel = fs::read_to_string(proc.join("version")).unwrap_or_default().to_lowercase();
        let preload = fs::read_to_string("/etc/ld.so.preload").unwrap_or_default();
        let preload = preload.split_whitespace().find(|library| library.contains("libvgpu"));
        Surroundings {
            kernel_module: module.and_then(|text| text.lines().next().map(str::to_owned)),
            has_device: Path::new("/dev/nvidiactl").exists(),
            is_wsl: kernel.contains("microsoft") || Path::new("/dev/dxg").exists(),
            is_in_container: !sees_host,
            preload: preload.map(str::to_owned),
            mps_servers: named(proc, "nvidia-cuda-mps").into_iter().map(|(pid, _)| pid).collect(),
            persistenced: named(proc, "nvidia-persiste").into_iter().map(|(_, bytes)| bytes).max(),
        }
    }
}

/// The processes whose name begins so, with their resident memory. The kernel keeps 15 characters of a name.
fn named(proc: &Path, beginning: &str) -> Vec<(u32, u64)> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        name.starts_with(beginning).then(|| (pid, resident(&entry.path()).unwrap_or(0)))
    });
    found.collect()
}

fn resident(folder: &Path) -> Option<u64> {
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}
