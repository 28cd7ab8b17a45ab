//! The GPUs that `CUDA_VISIBLE_DEVICES` leaves to this process. CUDA reads the variable once, at its first initialisation,
//! and numbers the GPUs in the variable's order.

use std::sync::OnceLock;

use super::machine::machine;
use crate::nvidia_smi::uuid;
use crate::state::{OfProcess, packed};

const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// The machine's number of each GPU, in the order of CUDA's numbers.
static VISIBLE: OnceLock<Vec<usize>> = OnceLock::new();

/// The machine's number of each GPU of this process. The first call reads the variable.
pub(super) fn visible() -> &'static [usize] {
    VISIBLE.get_or_init(|| {
        let all = machine().devices();
        // A value that is not UTF-8 names no GPU.
        let named = std::env::var_os(VARIABLE).map(|value| select(&value.to_string_lossy(), all));
        let visible = named.unwrap_or_else(|| (0..all).collect());
        machine().counters.set(OfProcess::Visible, packed(&visible));
        visible
    })
}

/// The packed numbers for a process whose counters begin now, if the variable has been read: the fork of a process that had
/// initialised CUDA has the same GPUs.
pub(super) fn packed_if_read() -> Option<u64> {
    VISIBLE.get().map(|visible| packed(visible))
}

/// The machine's number of a GPU of this process.
pub(super) fn on_machine(device: usize) -> usize {
    visible().get(device).copied().unwrap_or(device)
}

/// The GPUs that a value names: all before the first entry that names none. Whoever names one twice gets none
/// (`_parse_visible_devices` in torch/cuda/__init__.py, torch 2.15).
fn select(value: &str, all: usize) -> Vec<usize> {
    let by_name = value.trim_start().starts_with("GPU-");
    let entries =
        value.split(',').map(|entry| if by_name { named(entry, all) } else { numbered(entry, all) });
    let mut found = Vec::new();
    for device in entries.map_while(|device| device) {
        if found.contains(&device) {
            return Vec::new();
        }
        found.push(device);
    }
    found
}

/// The GPU with the number at the entry's beginning: `1gpu` is 1.
fn numbered(entry: &str, all: usize) -> Option<usize> {
    let entry = entry.trim();
    let digits = entry.strip_prefix('+').unwrap_or(entry);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|device| *device < all)
}

/// The one GPU whose UUID begins with the entry.
fn named(entry: &str, all: usize) -> Option<usize> {
    let entry = entry.trim().to_ascii_lowercase();
    let mut fitting = (0..all).filter(|device| uuid(*device).to_ascii_lowercase().starts_with(&entry));
    fitting.next().filter(|_| entry.starts_with("gpu-") && fitting.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_ends_at_the_first_entry_that_names_no_gpu() {
        let cases: [(&str, &[usize]); 9] = [
            ("", &[]),
            ("2,0", &[2, 0]),
            (" 1 , 3 ", &[1, 3]),
            ("0,7,1", &[0]),
            ("1,-1,2", &[1]),
            ("1gpu2,2ampere", &[1, 2]),
            ("none", &[]),
            ("1,1", &[]),
            ("MIG-1", &[]),
        ];
        for (value, expected) in cases {
            assert_eq!(select(value, 4), expected, "{value:?}");
        }
    }

    #[test]
    fn a_gpu_is_named_by_the_beginning_of_its_uuid_alone() {
        let both = format!("{},{}", uuid(3), uuid(1));
        assert_eq!(select(&both, 4), [3, 1]);
        assert_eq!(
            select(&uuid(2)[..uuid(2).len() - 1], 3),
            Vec::<usize>::new(),
            "the UUIDs differ at their end"
        );
        assert_eq!(select("GPU-", 1), [0]);
        assert_eq!(select("GPU-ffff", 4), Vec::<usize>::new());
    }
}
