//! Which PyTorch wrote the file: the keys tell, since the format has no version of its own.

use crate::tables::Tables;
use crate::words::Word;

/// The oldest and the newest release of PyTorch whose snapshots are known.
pub const KNOWN_RELEASES: (&str, &str) = ("2.0", "2.15");

/// The earliest release that writes all of the keys (the headers of the releases 2.0 to 2.15).
pub(crate) fn written_by(tables: &Tables<'_>) -> &'static str {
    let entry = |word: Word| tables.entry_keys & word.bit().unwrap_or(0) != 0;
    let block = |word: Word| tables.block_keys & word.bit().unwrap_or(0) != 0;
    let top = |word: Word| tables.top.as_ref().is_some_and(|top| top.keys.contains(&word));
    let marks = [
        ("2.15", entry(Word::InternalMetadata)),
        ("2.14", top(Word::HostSegments) || top(Word::HostTraces)),
        ("2.12", entry(Word::PoolId)),
        ("2.10", entry(Word::UserMetadata)),
        ("2.8", entry(Word::CompileContext)),
        ("2.5", top(Word::ExternalAnnotations)),
        ("2.3", top(Word::AllocatorSettings)),
        ("2.2", entry(Word::TimeUs)),
        ("2.1", block(Word::Address)),
    ];
    marks.iter().find(|mark| mark.1).map_or("2.0", |mark| mark.0)
}
