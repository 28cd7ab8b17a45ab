//! GPUs of AMD and Intel, by the kernel's own files: `/sys/class/drm` and `/proc/PID/fdinfo`. No library is loaded, and
//! `/dev/kfd` is not opened, since that makes the reader a process of the GPU (ROCm issue 4411).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A GPU that the kernel's Direct Rendering Manager serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrmCard {
    /// Its name on the PCI bus.
    pub bus: String,
    /// Its maker.
    pub vendor: &'static str,
    /// Its name as the driver has it, or its number on the bus.
    pub name: String,
    folder: PathBuf,
}

/// The memory of such a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrmReading {
    /// Its memory in bytes; `None` if the driver does not say (Intel's).
    pub total: Option<u64>,
    /// Bytes in use; `None` if the driver does not say.
    pub used: Option<u64>,
    /// The share of time in which it worked, in percent.
    pub utilization: Option<u32>,
    /// Bytes by process ID.
    pub processes: BTreeMap<u32, u64>,
}

/// The cards of a machine.
#[derive(Debug, Default)]
pub struct Drm {
    cards: Vec<DrmCard>,
    proc: PathBuf,
}

impl Drm {
    /// Finds the cards of AMD and Intel below `/sys` (`sys`). `proc` is `/proc`.
    pub fn find(sys: &Path, proc: &Path) -> Drm {
        let entries = fs::read_dir(sys.join("class/drm")).into_iter().flatten().flatten();
        let cards = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // card0, not card0-DP-1.
            let is_card = name.strip_prefix("card")?.bytes().all(|byte| byte.is_ascii_digit());
            is_card.then(|| card(&entry.path().join("device"))).flatten()
        });
        let mut cards: Vec<DrmCard> = cards.collect();
        cards.sort_by(|one, other| one.bus.cmp(&other.bus));
        Drm { cards, proc: proc.to_owned() }
    }

    /// The cards in the order of the bus.
    pub fn cards(&self) -> &[DrmCard] {
        &self.cards
    }

    /// Reads all cards. Processes of other users are left out where their files may not be read.
    pub fn read(&self) -> Vec<DrmReading> {
        let mut held = if self.cards.is_empty() { BTreeMap::new() } else { self.holders() };
        let reading = |card: &DrmCard| {
            let number =
                |name: &str| fs::read_to_string(card.folder.join(name)).ok()?.trim().parse::<u64>().ok();
            DrmReading {
                total: number("mem_info_vram_total"),
                used: number("mem_info_vram_used"),
                utilization: number("gpu_busy_percent").and_then(|percent| u32::try_from(percent).ok()),
                processes: held.remove(&card.bus).unwrap_or_default(),
            }
        };
        self.cards.iter().map(reading).collect()
    }

    /// Bytes by card and process.
    fn holders(&self) -> BTreeMap<String, BTreeMap<u32, u64>> {
        let mut held: BTreeMap<String, BTreeMap<u32, u64>> = BTreeMap::new();
        for entry in fs::read_dir(&self.proc).into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            for (bus, bytes) in of_process(&entry.path()) {
                *held.entry(bus).or_default().entry(pid).or_default() += bytes;
            }
        }
        held
    }
}

fn card(folder: &Path) -> Option<DrmCard> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned());
    let vendor = match text("vendor")?.as_str() {
        "0x1002" => "amd",
        "0x8086" => "intel",
        _ => return None,
    };
    let bus = fs::canonicalize(folder).ok()?.file_name()?.to_str()?.to_owned();
    let name = text("product_name")
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("{} GPU {}", vendor.to_uppercase(), text("device").unwrap_or_default()));
    Some(DrmCard { bus, vendor, name, folder: folder.to_owned() })
}

/// Bytes by card of one process. A client that is open under several descriptors is counted once.
fn of_process(folder: &Path) -> BTreeMap<String, u64> {
    let mut seen = BTreeSet::new();
    let mut held = BTreeMap::new();
    for file in fs::read_dir(folder.join("fd")).into_iter().flatten().flatten() {
        // Reading the link is cheap; only what leads to a GPU is looked into.
        let is_gpu = fs::read_link(file.path()).is_ok_and(|link| link.starts_with("/dev/dri"));
        if !is_gpu {
            continue;
        }
        let info = fs::read_to_string(folder.join("fdinfo").join(file.file_name())).unwrap_or_default();
        if let Some(client) = client(&info)
            && seen.insert((client.bus.clone(), client.id))
        {
            *held.entry(client.bus).or_default() += client.bytes;
        }
    }
    held
}

/// A client of the kernel's driver.
#[derive(Debug, PartialEq, Eq)]
struct Client {
    bus: String,
    id: String,
    bytes: u64,
}

/// Reads `fdinfo` (Documentation/gpu/drm-usage-stats.rst). `drm-resident-…` is what lies in memory now; drivers before
/// Linux 6.13 have `drm-memory-…` for it.
fn client(info: &str) -> Option<Client> {
    let value =
        |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim));
    let sum = |prefix: &str| {
        let lines = info.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once(':'));
        let on_card = lines.filter(|(region, _)| region.starts_with("vram") || region.starts_with("local"));
        let amounts: Vec<u64> = on_card.filter_map(|(_, amount)| bytes(amount)).collect();
        (!amounts.is_empty()).then(|| amounts.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes)))
    };
    Some(Client {
        bus: value("drm-pdev")?.to_owned(),
        id: value("drm-client-id")?.to_owned(),
        bytes: sum("drm-resident-").or_else(|| sum("drm-memory-")).or_else(|| sum("drm-total-")).unwrap_or(0),
    })
}

/// `123 KiB`; without a unit, bytes.
fn bytes(amount: &str) -> Option<u64> {
    let mut words = amount.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let unit = match words.next() {
        None => 1,
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some(_) => return None,
    };
    number.checked_mul(unit)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const AMD: &str = "pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t12\ndrm-pdev:\t0000:03:00.0\n\
        drm-memory-vram:\t900 KiB\ndrm-resident-vram:\t1000 KiB\ndrm-resident-gtt:\t5 KiB\n";

    #[test]
    fn resident_memory_of_the_card_counts_and_that_of_the_host_does_not() {
        let client = client(AMD).unwrap();
        assert_eq!((client.bus.as_str(), client.bytes), ("0000:03:00.0", 1000 << 10));
        let intel = "drm-driver: xe\ndrm-client-id: 3\ndrm-pdev: 0000:00:02.0\ndrm-resident-vram0: 4 MiB\n\
            drm-resident-vram1: 1 MiB\ndrm-total-gtt: 7 MiB\n";
        assert_eq!(super::client(intel).unwrap().bytes, 5 << 20);
        let old = "drm-pdev: a\ndrm-client-id: 1\ndrm-memory-vram: 2 KiB\n";
        assert_eq!(super::client(old).unwrap().bytes, 2048);
        assert_eq!(super::client("pos: 0\n"), None);
    }

    #[test]
    fn a_card_is_read_with_its_processes_and_each_client_once() {
        let folder = tempfile::tempdir().unwrap();
        let (sys, proc) = (folder.path().join("sys"), folder.path().join("proc"));
        let device = sys.join("devices/0000:03:00.0");
        let card = sys.join("class/drm/card0");
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(&card).unwrap();
        fs::create_dir_all(sys.join("class/drm/card0-DP-1")).unwrap();
        symlink(&device, card.join("device")).unwrap();
        for (name, text) in [
            ("vendor", "0x1002\n"),
            ("product_name", "AMD Instinct MI300X\n"),
            ("mem_info_vram_total", "206141652992\n"),
            ("mem_info_vram_used", "2048000\n"),
        ] {
            fs::write(device.join(name), text).unwrap();
        }
        for (pid, files) in [("41", 2), ("42", 0)] {
            fs::create_dir_all(proc.join(pid).join("fd")).unwrap();
            fs::create_dir_all(proc.join(pid).join("fdinfo")).unwrap();
            for file in 0..files {
                symlink("/dev/dri/renderD128", proc.join(pid).join(format!("fd/{file}"))).unwrap();
                fs::write(proc.join(pid).join(format!("fdinfo/{file}")), AMD).unwrap();
            }
        }
        let drm = Drm::find(&sys, &proc);
        assert_eq!((drm.cards()[0].name.as_str(), drm.cards().len()), ("AMD Instinct MI300X", 1));
        let reading = &drm.read()[0];
        assert_eq!((reading.total, reading.used), (Some(206_141_652_992), Some(2_048_000)));
        assert_eq!(reading.processes, BTreeMap::from([(41, 1000 << 10)]));
    }
}
