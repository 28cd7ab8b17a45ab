//! The memory of the host.

use std::fs;
use std::path::Path;

use super::cgroup::Cgroup;

/// The host's memory. Each figure is `None` where the kernel does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `MemTotal`, in bytes.
    pub total: Option<u64>,
    /// `MemAvailable`, in bytes.
    pub available: Option<u64>,
    /// How long processes waited for memory.
    pub pressure: Option<Pressure>,
    /// The limit that holds for this process.
    pub cgroup: Option<Cgroup>,
    /// `/dev/shm`, through which data loaders pass batches.
    pub shared: Option<SharedMemory>,
}

/// Pressure Stall Information: the share of the last ten seconds in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// In which some process waited for memory.
    pub some: u32,
    /// In which all did.
    pub full: u32,
}

/// A file system in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedMemory {
    /// Its size in bytes.
    pub total: u64,
    /// Bytes in use.
    pub used: u64,
}

/// Reads the host's memory. `root` is `/proc`.
pub fn read_host(root: &Path) -> Host {
    let meminfo = fs::read_to_string(root.join("meminfo")).unwrap_or_default();
    let pressure = fs::read_to_string(root.join("pressure/memory")).unwrap_or_default();
    let cgroup = fs::read_to_string(root.join("self/cgroup")).unwrap_or_default();
    Host {
        total: kilobytes(&meminfo, "MemTotal:"),
        available: kilobytes(&meminfo, "MemAvailable:"),
        pressure: parse_pressure(&pressure),
        cgroup: Cgroup::read(&cgroup, Path::new("/sys/fs/cgroup")),
        shared: shared(),
    }
}

fn kilobytes(meminfo: &str, key: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn parse_pressure(text: &str) -> Option<Pressure> {
    let average = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let (whole, hundredths) = line.split_whitespace().next()?.strip_prefix("avg10=")?.split_once('.')?;
        whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)
    };
    Some(Pressure { some: average("some ")?, full: average("full ").unwrap_or(0) })
}

#[cfg(target_os = "linux")]
fn shared() -> Option<SharedMemory> {
    let about = rustix::fs::statvfs("/dev/shm").ok()?;
    let total = about.f_blocks.checked_mul(about.f_frsize)?;
    let free = about.f_bfree.checked_mul(about.f_frsize)?;
    Some(SharedMemory { total, used: total.saturating_sub(free) })
}

#[cfg(not(target_os = "linux"))]
fn shared() -> Option<SharedMemory> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_not_there_are_unknown() {
        let meminfo = "MemTotal:       131072 kB\nMemFree: 5 kB\nMemAvailable:      64 kB\n";
        assert_eq!(kilobytes(meminfo, "MemTotal:"), Some(128 << 20));
        assert_eq!(kilobytes(meminfo, "MemAvailable:"), Some(64 << 10));
        assert_eq!(kilobytes("MemTotal: many kB\n", "MemTotal:"), None);
        assert_eq!(read_host(Path::new("/no/such/folder")).total, None);
    }

    #[test]
    fn pressure_is_read_in_hundredths_of_a_percent() {
        let text = "some avg10=12.34 avg60=0.00 avg300=0.00 total=1\nfull avg10=3.05 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(parse_pressure(text), Some(Pressure { some: 1234, full: 305 }));
        assert_eq!(parse_pressure("some avg10=x total=1\n"), None);
        assert_eq!(parse_pressure(""), None);
    }
}
