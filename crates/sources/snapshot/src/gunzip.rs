//! Bounded gzip.

use std::io::{ErrorKind, Read};

use flate2::read::MultiGzDecoder;

use crate::error::SnapshotError;

/// How a gzip begins.
pub(crate) const MAGIC: &[u8] = &[0x1f, 0x8b];
/// Snapshots pack 10 to 40 times; deflate can reach 1032 times, which only zeros do.
const LARGEST_RATIO: u64 = 200;
/// Small files may unpack to this in any case.
const SMALL: u64 = 1 << 20;

/// The unpacked bytes, and whether the file is whole.
///
/// # Errors
/// Where it unpacks out of proportion, or is damaged before its first byte.
pub(crate) fn gunzip(data: &[u8]) -> Result<(Vec<u8>, bool), SnapshotError> {
    let limit = (data.len() as u64).saturating_mul(LARGEST_RATIO).max(SMALL);
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(data).take(limit + 1).read_to_end(&mut unpacked);
    if unpacked.len() as u64 > limit {
        return Err(SnapshotError::Bomb { limit, times: limit / data.len().max(1) as u64 });
    }
    match read {
        Ok(_) => Ok((unpacked, true)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !unpacked.is_empty() => {
            Ok((unpacked, false))
        }
        Err(error) => Err(SnapshotError::damaged(0, format!("the gzip cannot be unpacked: {error}"))),
    }
}
