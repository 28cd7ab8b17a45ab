//! Reads PyTorch memory snapshots (`torch.cuda.memory._dump_snapshot`), of every version from 2.0 to
//! 2.15: pickles of the protocols 2 to 5, JSON dumps, bare lists of segments, and any of these gzipped.
//!
//! Nothing is imported, called or executed: an opcode that could is refused by name. Events go straight
//! into the columns of a [`Trace`](brimful_trace::Trace), frames and stacks are interned through the
//! pickle's memo. A file that is cut off gives the answer of its readable part, marked as such
//! ([`Unread::cut_off_at`]).
//!
//! ```
//! // An empty list of segments, as `pickle.dumps([], 2)` writes it.
//! let snapshot = brimful_snapshot::read(b"\x80\x02]q\x00.").unwrap();
//! assert!(snapshot.devices.is_empty());
//! ```
//!
//! The format is PyTorch's: `torch/csrc/cuda/Module.cpp` (`py_symbolize`, `segmentToDict`),
//! `torch/csrc/cuda/memory_snapshot.cpp` and `c10/cuda/CUDACachingAllocator.h`, torch 2.0 to 2.15.

mod columns;
mod error;
mod gunzip;
mod json;
mod machine;
mod opcode;
mod plain;
mod refused;

mod settings;
mod snapshot;
mod stack_cache;
mod statistics;
mod tables;
mod value;
mod version;
mod words;

pub use error::SnapshotError;
pub use settings::Settings;
pub use snapshot::{Container, Device, Snapshot, Unread};
pub use statistics::{Amount, Statistics, StatisticsForm, read_statistics};
pub use version::KNOWN_RELEASES;

/// Reads a snapshot from the bytes of its file. Sizes are bytes.
///
/// # Errors
/// [`SnapshotError`]: what the file is instead, what it asks for that is refused, or where it is damaged.
pub fn read(data: &[u8]) -> Result<Snapshot, SnapshotError> {
    if data.is_empty() {
        return Err(SnapshotError::Empty);
    }
    if !data.starts_with(gunzip::MAGIC) {
        return read_unpacked(data);
    }
    let (unpacked, whole) = gunzip::gunzip(data)?;
    let mut snapshot = read_unpacked(&unpacked)?;
    if !whole {
        snapshot.unread.cut_off_at.get_or_insert(unpacked.len() as u64);
    }
    Ok(snapshot)
}

/// Whether the bytes may be a snapshot: a binary pickle, gzip, or JSON with the keys of one near its
/// beginning. What else may be text that a framework printed.
pub fn looks_like_one(data: &[u8]) -> bool {
    let begins = &data[..data.len().min(4096)];
    let json =
        begins.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte));
    let keyed = ["\"segments\"", "\"device_traces\"", "\"total_size\"", "\"blocks\""]
        .iter()
        .any(|key| begins.windows(key.len()).any(|window| window == key.as_bytes()));
    data.first() == Some(&0x80) || data.starts_with(gunzip::MAGIC) || (json && keyed)
}

fn read_unpacked(data: &[u8]) -> Result<Snapshot, SnapshotError> {
    let first = data.iter().find(|byte| !byte.is_ascii_whitespace());
    let (container, (tables, root, end)) = match (data.first(), first) {
        (Some(0x80), _) => (Container::Pickle, machine::Machine::new(data).run()?),
        (_, Some(b'{' | b'[')) => (Container::Json, json::run(data)?),
        _ => {
            let begins = String::from_utf8_lossy(&data[..data.len().min(40)]).into_owned();
            return Err(SnapshotError::NotASnapshot { begins });
        }
    };
    Snapshot::new(tables, root, end, container)
}
