/// A file that cannot be read as a memory snapshot. Offsets count bytes of the (unpacked) file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The file has no bytes: the process died while it dumped, or the disk was full.
    #[error(
        "the file is empty; PyTorch writes it at the end of `_dump_snapshot`, so the dump did not finish"
    )]
    Empty,
    /// Neither a pickle nor JSON nor gzip.
    #[error(
        "not a memory snapshot: it begins with {begins:?}; expected a pickle (protocol 2 to 5), JSON or gzip, as \
         `torch.cuda.memory._dump_snapshot(\"snapshot.pickle\")` writes it"
    )]
    NotASnapshot {
        /// The first characters.
        begins: String,
    },
    /// An old text pickle, or one from the future.
    #[error("pickle protocol {found} is not read; expected 2 to 5: dump it again with `_dump_snapshot`")]
    Protocol {
        /// The protocol that the file names.
        found: u8,
    },
    /// The pickle wants something imported or called. Plain data never does, so it is refused.
    #[error(
        "refused at byte {at}: the pickle asks to {wants} ({opcode}); a memory snapshot is plain data and never \
         does, so this file is not one, and may be malicious: do not `pickle.load` it"
    )]
    Refused {
        /// Where.
        at: u64,
        /// The opcode's name in Python's `pickletools`.
        opcode: &'static str,
        /// What it would do, with the name of it where there is one.
        wants: String,
    },
    /// The bytes break the format's own rules.
    #[error("damaged at byte {at}: {what}")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// The contents contradict each other or nature.
    #[error("cannot be: {what}")]
    Impossible {
        /// What is wrong.
        what: String,
    },
    /// The file ends before anything useful.
    #[error("cut off at byte {at}, before the first segment or event: the copy or the dump did not finish")]
    CutOff {
        /// Where it ends.
        at: u64,
    },
    /// A pickle or JSON of something else.
    #[error(
        "no memory snapshot: there are neither `segments` nor `device_traces` in it{}; expected what \
         `torch.cuda.memory._dump_snapshot(\"snapshot.pickle\")` writes", found(.keys)
    )]
    OtherContent {
        /// The keys that are there instead.
        keys: Vec<String>,
    },
    /// The unpacked file is out of proportion.
    #[error(
        "the gzip unpacks to more than {limit} bytes, {times} times its size: refused; if it is meant, unpack it \
         with gunzip first"
    )]
    Bomb {
        /// The largest size that is unpacked.
        limit: u64,
        /// How many times the packed size that is.
        times: u64,
    },
}

fn found(keys: &[String]) -> String {
    if keys.is_empty() { String::new() } else { format!(" (but {})", keys.join(", ")) }
}

impl SnapshotError {
    pub(crate) fn damaged(at: usize, what: impl Into<String>) -> SnapshotError {
        SnapshotError::Damaged { at: at as u64, what: what.into() }
    }
}
