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
    // Where there is no room for it at once, the buffer grows with what is read.
    let _ = unpacked.try_reserve(size_at_the_end(data).min(limit) as usize);
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

/// The size that the last member of a gzip states, in its last four bytes (RFC 1952, ISIZE): room for what comes, so that
/// the buffer need not grow. A cut file ends with any four bytes, which is why the caller bounds it.
fn size_at_the_end(data: &[u8]) -> u64 {
    data.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last).into())
}
