//! Bounded gzip.

use std::io::{ErrorKind, Read};

use flate2::read::MultiGzDecoder;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::error::SnapshotError;

/// How a gzip begins.
pub(crate) const MAGIC: &[u8] = &[0x1f, 0x8b];
/// Snapshots pack 10 to 40 times; deflate can reach 1032 times, which only zeros do.
const LARGEST_RATIO: u64 = 200;
/// CRC-32 and size, behind the packed bytes.
const TRAILER: usize = 8;
/// Small files may unpack to this in any case.
const SMALL: u64 = 1 << 20;

/// The unpacked bytes, and whether the file is whole.
///
/// # Errors
/// Where it unpacks out of proportion, or is damaged before its first byte.
pub(crate) fn gunzip(data: &[u8]) -> Result<(Vec<u8>, bool), SnapshotError> {
    let limit = (data.len() as u64).saturating_mul(LARGEST_RATIO).max(SMALL);
    if let Some(unpacked) = gunzip_at_once(data, limit) {
        return Ok((unpacked, true));
    }
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

/// The bytes of a whole gzip that has one member and states its size truly, as Python writes it; `None` for every other.
///
/// Its output is written in place, where [`MultiGzDecoder`] copies it out of a window.
fn gunzip_at_once(data: &[u8], limit: u64) -> Option<Vec<u8>> {
    let size = size_at_the_end(data);
    let body = data.get(header_len(data)?..data.len().checked_sub(TRAILER)?)?;
    if size > limit {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    // `vec!` aborts where there is no room, so room is asked for first. Neither writes to it: the system zeroes a page of
    // it when the output reaches it, however much the file claims.
    Vec::<u8>::new().try_reserve_exact(size).ok()?;
    let mut unpacked = vec![0; size];
    let mut inflate = Decompress::new(false);
    // With `Finish` at the first call, the output is the window (`inflate` in miniz_oxide, src/inflate/stream.rs, 0.9.1).
    let status = inflate.decompress(body, &mut unpacked, FlushDecompress::Finish).ok()?;
    let ends = status == Status::StreamEnd && inflate.total_in() == body.len() as u64;
    if !ends || inflate.total_out() != size as u64 {
        return None;
    }
    let mut crc = Crc::new();
    crc.update(&unpacked);
    let stated = data.last_chunk::<TRAILER>()?.first_chunk()?;
    (crc.sum() == u32::from_le_bytes(*stated)).then_some(unpacked)
}

/// The bytes before the packed ones, if nothing but the name of the file stands between (RFC 1952, 2.3).
fn header_len(data: &[u8]) -> Option<usize> {
    const DEFLATE: u8 = 8;
    const NAME: u8 = 8;
    let ([first, second, DEFLATE, flags, ..], rest) = data.split_first_chunk::<10>()? else { return None };
    match *flags {
        _ if [*first, *second] != *MAGIC => None,
        0 => Some(10),
        NAME => rest.iter().position(|byte| *byte == 0).map(|end| 10 + end + 1),
        _ => None,
    }
}

/// The size that the last member of a gzip states, in its last four bytes (RFC 1952, ISIZE): room for what comes, so that
/// the buffer need not grow. A cut file ends with any four bytes, which is why the caller bounds it.
fn size_at_the_end(data: &[u8]) -> u64 {
    data.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last).into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    /// Repeats itself and does not, so that matches of many distances are in it.
    fn content() -> Vec<u8> {
        (0..200_000u32).flat_map(|number| (number.wrapping_mul(number) >> 7).to_le_bytes()).collect()
    }

    fn packed(builder: GzBuilder, content: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut writer = builder.write(Vec::new(), Compression::fast());
        writer.write_all(content)?;
        writer.finish()
    }

    #[test]
    fn a_whole_gzip_is_unpacked_at_once_with_and_without_a_name() -> std::io::Result<()> {
        for builder in [GzBuilder::new(), GzBuilder::new().filename("snapshot.pickle")] {
            let packed = packed(builder, &content())?;
            assert_eq!(gunzip_at_once(&packed, u64::MAX).as_deref(), Some(&content()[..]));
            assert_eq!(gunzip_at_once(&packed, 799_999), None);
        }
        Ok(())
    }

    #[test]
    fn members_comments_and_damage_take_the_slow_way_to_the_same_answer() -> std::io::Result<()> {
        let (plain, commented) = (GzBuilder::new(), GzBuilder::new().comment("a comment"));
        let one = packed(plain, &content())?;
        let two = [one.clone(), packed(commented, b"more")?].concat();
        assert_eq!(gunzip_at_once(&two, u64::MAX), None);
        let both = [content(), b"more".to_vec()].concat();
        assert!(gunzip(&two).is_ok_and(|unpacked| unpacked == (both, true)));

        let cut = &one[..one.len() - 5];
        assert_eq!(gunzip_at_once(cut, u64::MAX), None);
        assert!(gunzip(cut).is_ok_and(|(unpacked, whole)| unpacked == content() && !whole));

        let mut wrong = one;
        let checksum = wrong.len() - TRAILER;
        wrong[checksum] ^= 1;
        assert_eq!(gunzip_at_once(&wrong, u64::MAX), None);
        assert!(gunzip(&wrong).is_err());
        Ok(())
    }
}
