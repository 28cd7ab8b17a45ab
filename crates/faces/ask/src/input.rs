//! What a file is: its first bytes and its name decide. Every command asks here.

use brimful_rehearsal::MAGIC as ZIP;
use brimful_trace::BRIM_MAGIC;

/// Bytes of a file's beginning that are enough to recognise it.
pub(crate) const HEAD: usize = 4096;

/// Endings of the names of snapshots.
const SNAPSHOT_ENDINGS: [&str; 2] = [".pickle", ".pkl"];

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A run file of `brimful rehearse`: a zip archive. Any other zip archive looks the same from its beginning.
    RunFile,
    /// A trace of `brimful fit --trace`.
    Trace,
    /// A PyTorch memory snapshot: a pickle, JSON, or either of them gzipped.
    Snapshot,
    /// PyTorch's statistics: `memory_summary()` alone in a file, or `memory_stats()` as JSON.
    Statistics,
    /// Anything else: a log, a job file, a model's config.
    Text,
}

impl Input {
    /// Recognises a file by its first bytes; 4096 are enough.
    ///
    /// ```
    /// use brimful_ask::Input;
    /// assert_eq!(Input::recognise(b"BRIM\x01"), Input::Trace);
    /// assert_eq!(Input::recognise(b"torch.OutOfMemoryError: CUDA out of memory."), Input::Text);
    /// ```
    pub fn recognise(head: &[u8]) -> Input {
        match () {
            () if head.starts_with(ZIP) => Input::RunFile,
            () if head.starts_with(BRIM_MAGIC) => Input::Trace,
            () if brimful_snapshot::looks_like_one(head) => Input::Snapshot,
            () if are_statistics(head) => Input::Statistics,
            () => Input::Text,
        }
    }

    /// Recognises a file by its name first: what is called a snapshot has to say why it is none.
    pub fn recognise_named(name: &str, head: &[u8]) -> Input {
        match Input::recognise(head) {
            Input::Text if is_named_snapshot(name) => Input::Snapshot,
            Input::Text if name.ends_with(".brim") => Input::Trace,
            input => input,
        }
    }

    /// Whether it holds allocations or figures of an allocator, and is no text.
    pub fn is_recording(self) -> bool {
        self != Input::Text
    }
}

/// Whether a file's name says that it is a snapshot.
pub(crate) fn is_named_snapshot(name: &str) -> bool {
    SNAPSHOT_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn are_statistics(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start();
    let summary = text.starts_with("|==") && text.contains("PyTorch CUDA memory summary");
    summary || (text.starts_with('{') && text.contains("allocated_bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognised_by_its_beginning() {
        for (head, expected) in [
            (&b"PK\x03\x04"[..], Input::RunFile),
            (b"BRIM", Input::Trace),
            (b"|======\n| PyTorch CUDA memory summary, device ID 0", Input::Statistics),
            (br#"{"allocated_bytes.all.peak": 12}"#, Input::Statistics),
            (b"model = 'gpt2'", Input::Text),
            (b"", Input::Text),
        ] {
            assert_eq!(Input::recognise(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_name_decides_only_where_the_bytes_do_not() {
        assert_eq!(Input::recognise_named("a.pickle", b"hello"), Input::Snapshot);
        assert_eq!(Input::recognise_named("a.brim", b"hello"), Input::Trace);
        assert_eq!(Input::recognise_named("a.pickle", b"BRIM"), Input::Trace);
        assert_eq!(Input::recognise_named("train.log", b"hello"), Input::Text);
    }
}
