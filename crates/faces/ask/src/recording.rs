//! Opening snapshots, traces and the ranks of run files.

use std::hint::black_box;
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use brimful_models::Kind;
use brimful_rehearsal::{MAGIC, RunFile};
use brimful_report::shell_word;
use brimful_snapshot::{Container, Snapshot};
use brimful_trace::{Origin, Trace};

use crate::input::HEAD;
use crate::{Content, Files, Host, Input};

/// How to record what a snapshot lacks.
const HOW_TO_RECORD: &str = "record one: call torch.cuda.memory._record_memory_history(max_entries=1_000_000) before the \
     model is built, and torch.cuda.memory._dump_snapshot(\"snapshot.pickle\") at the end or on OOM";

/// Programs that pack files: how their files begin, and the command that unpacks one. gzip is not here, since it is read.
const PACKERS: [(&[u8], &str, &str); 4] = [
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
    (b"\xfd7zXZ\x00", "xz", "xz -dk"),
    (b"BZh", "bzip2", "bzip2 -dk"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -d"),
];

/// The bytes of a file, or of one rank of a run file: `rehearsal.zip#63`.
///
/// # Errors
/// As the system's, with the name.
pub(crate) fn content(files: &dyn Files, input: &str) -> Result<Content> {
    let (path, rank) = of_rank(files, input);
    let head = head(files, path).with_context(|| input.to_owned())?;
    let recognised = Input::recognise_named(path, &head);
    if recognised != Input::RunFile {
        ensure!(rank.is_none(), "{input}: no such file; FILE#RANK is for run files of `brimful rehearse`");
        ensure_unpacked(input, &head)?;
        // What cannot be a snapshot is not read on: it may be a device without an end. JSON is, since its keys come late.
        let is_json = head.trim_ascii_start().first().is_some_and(|first| b"{[".contains(first));
        if !recognised.is_recording() && !is_json {
            return Ok(Content::Read(head));
        }
        return files.content(path).with_context(|| input.to_owned());
    }
    let content = files.content(path).with_context(|| input.to_owned())?;
    let mut run = RunFile::new(Cursor::new(&content[..])).with_context(|| path.to_owned())?;
    Ok(Content::Read(run.snapshot(rank).with_context(|| path.to_owned())?))
}

/// The beginning of a file, which shows what it is.
///
/// # Errors
/// A file that is not there, is a folder, or cannot be read.
pub(crate) fn head(files: &dyn Files, path: &str) -> Result<Vec<u8>> {
    match files.kind(path) {
        Kind::Missing if path.is_empty() => {
            bail!("the name is empty; name a file, or - for the standard input")
        }
        Kind::Missing => bail!(
            "there is no such file; expected a PyTorch memory snapshot, a trace of `brimful fit --trace`, or a run file \
             of `brimful rehearse`"
        ),
        Kind::Folder => bail!("is a folder; expected a file, such as {path}/snapshot.pickle"),
        Kind::File => files.read(path, 0, HEAD as u64).map_err(anyhow::Error::msg),
    }
}

/// Names the program that unpacks a file, if it is packed.
///
/// # Errors
/// A packed file.
pub(crate) fn ensure_unpacked(input: &str, head: &[u8]) -> Result<()> {
    match PACKERS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        Some((_, program, command)) => bail!(
            "{input}: is packed with {program}; expected the file itself, or the file packed with gzip; unpack it: {command} {}",
            shell_word(input)
        ),
        None => Ok(()),
    }
}

/// A file, and the rank of the run in it that is meant. A file whose name has a `#` goes before.
fn of_rank<'i>(files: &dyn Files, input: &'i str) -> (&'i str, Option<&'i str>) {
    match input.rsplit_once('#') {
        Some((path, rank)) if files.kind(input) == Kind::Missing => (path, Some(rank)),
        _ => (input, None),
    }
}

/// Whether a name means one rank of a run file that is there.
pub(crate) fn names_a_rank(files: &dyn Files, input: &str) -> bool {
    matches!(of_rank(files, input), (path, Some(_)) if files.kind(path) == Kind::File)
}

/// A run file's ranks, each as an input of its own; `None` for any other file.
///
/// # Errors
/// A zip archive that is no run file.
pub(crate) fn ranks_of(files: &dyn Files, input: &str) -> Result<Option<Vec<String>>> {
    if !head(files, input).with_context(|| input.to_owned())?.starts_with(MAGIC) {
        return Ok(None);
    }
    let content = files.content(input).with_context(|| input.to_owned())?;
    let run = RunFile::new(Cursor::new(&content[..])).with_context(|| input.to_owned())?;
    let ranks = run.run.snapshots();
    ensure!(!ranks.is_empty(), "{input}: no process of the run used a GPU");
    Ok(Some(ranks.iter().map(|rank| format!("{input}#{rank}")).collect()))
}

/// A trace with what the file said about it.
pub(crate) struct Recording {
    /// The trace.
    pub trace: Trace,
    /// The GPU of the snapshot; `None` for a predicted trace.
    pub device: Option<usize>,
    /// How it was written, for people.
    pub format: String,
    /// What could not be read, for people.
    pub unread: Vec<String>,
    /// Whether the file was cut off.
    pub partial: bool,
}

/// Reads a snapshot or a `.brim` trace. `device` is the GPU wanted, the fullest where none is.
///
/// # Errors
/// What the file is instead, or what it lacks, with the cure.
pub(crate) fn open(host: Host<'_>, input: &str, content: &[u8], device: Option<usize>) -> Result<Recording> {
    if Input::recognise(content) == Input::Trace {
        let trace = Trace::read_brim(content).with_context(|| input.to_owned())?;
        let format = "brimful trace".to_owned();
        return Ok(Recording { trace, device: None, format, unread: Vec::new(), partial: false });
    }
    let read = || host.during(content.len(), "reading", || brimful_snapshot::read(content));
    let snapshot = with_pages_ahead(content, read).with_context(|| input.to_owned())?;
    let device = choose(input, &snapshot, device)?;
    let format = format_of(&snapshot);
    let mut unread = unread(&snapshot);
    unread.extend(other_devices(&snapshot, device));
    let partial = snapshot.unread.cut_off_at.is_some();
    let Some(trace) = snapshot.into_trace(device) else { bail!("{input}: GPU {device} has no memory in it") };
    Ok(Recording { trace, device: Some(device), format, unread, partial })
}

/// As [`open`], but every GPU of a snapshot that has a history, in their order, and which of them is the one wanted.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_each(
    host: Host<'_>,
    input: &str,
    content: &[u8],
    device: Option<usize>,
) -> Result<(Vec<Recording>, usize)> {
    if Input::recognise(content) == Input::Trace {
        return Ok((vec![open(host, input, content, device)?], 0));
    }
    let read = || host.during(content.len(), "reading", || brimful_snapshot::read(content));
    let snapshot = with_pages_ahead(content, read).with_context(|| input.to_owned())?;
    let wanted = choose(input, &snapshot, device)?;
    let format = format_of(&snapshot);
    let partial = snapshot.unread.cut_off_at.is_some();
    let has_history = |at: &usize| *at == wanted || snapshot.devices[*at].events() > 0;
    let devices: Vec<usize> = (0..snapshot.devices.len()).filter(has_history).collect();
    let unread = unread(&snapshot);
    let recordings = snapshot.into_traces(&devices).into_iter().map(|(device, trace)| Recording {
        trace,
        device: Some(device),
        format: format.clone(),
        unread: unread.clone(),
        partial,
    });
    Ok((recordings.collect(), devices.iter().position(|at| *at == wanted).unwrap_or(0)))
}

/// How far a thread looks ahead at most: of a file that exceeds memory, it would push out what is still to be read.
const MOST_AHEAD: usize = 2 << 30;
/// The system brings in so many bytes around each that is looked at (`fault_around_bytes`).
const AROUND: usize = 64 << 10;

/// Does something with a mapped file while a thread beside it brings in the file's pages.
fn with_pages_ahead<T>(content: &[u8], read: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pages = content[..content.len().min(MOST_AHEAD)].chunks(AROUND);
        let bring_in = || {
            for page in pages.take_while(|_| !done.load(Ordering::Relaxed)) {
                black_box(page[0]);
            }
        };
        // Without a thread it is slower, and no more.
        let _ = std::thread::Builder::new().spawn_scoped(scope, bring_in);
        let read = read();
        done.store(true, Ordering::Relaxed);
        read
    })
}

fn choose(input: &str, snapshot: &Snapshot, wanted: Option<usize>) -> Result<usize> {
    let count = snapshot.devices.len();
    let empty = |at: usize| snapshot.devices[at].events() == 0 && snapshot.devices[at].reserved().get() == 0;
    match wanted.or(snapshot.fullest()) {
        Some(device) if device >= count => {
            bail!("{input}: --device {device} is not in the snapshot; it holds GPU 0 to {}", count.max(1) - 1)
        }
        Some(device) if !empty(device) => Ok(device),
        _ => bail!(
            "{input}: the snapshot is empty: no GPU held memory when it was taken, and no history was recorded; {HOW_TO_RECORD}"
        ),
    }
}

fn format_of(snapshot: &Snapshot) -> String {
    let container = match snapshot.container {
        Container::Pickle => "pickle",
        Container::Json => "JSON",
    };
    format!("PyTorch memory snapshot, {container}, torch {} or later", snapshot.written_by)
}

fn unread(snapshot: &Snapshot) -> Vec<String> {
    let unread = &snapshot.unread;
    let mut notes = Vec::new();
    if let Some(at) = unread.cut_off_at {
        notes.push(format!("the file is cut off at byte {at}: this is the answer of the part before"));
    }
    if !unread.unknown_keys.is_empty() {
        let keys: Vec<&str> = unread.unknown_keys.keys().map(String::as_str).collect();
        notes.push(format!("keys that are not known were skipped: {}", keys.join(", ")));
    }
    if unread.unknown_values > 0 {
        notes.push(format!("{} values were not understood", unread.unknown_values));
    }
    if unread.implied_frees > 0 {
        notes.push(format!("{} frees were not recorded but must have happened", unread.implied_frees));
    }
    notes
}

/// The other GPUs of a snapshot in which several hold memory.
fn other_devices(snapshot: &Snapshot, device: usize) -> Option<String> {
    let holding = || snapshot.devices.iter().filter(|device| device.reserved().get() > 0);
    let others = holding().filter(|other| other.index != device);
    let others: Vec<String> =
        others.map(|other| format!("GPU {} ({})", other.index, other.reserved())).collect();
    (holding().count() > 1)
        .then(|| format!("other GPUs are in it, too: {}; name one with --device", others.join(", ")))
}

/// A recording without events shows the end only.
///
/// # Errors
/// Says how to record the history.
pub(crate) fn need_history(input: &str, trace: &Trace) -> Result<()> {
    if trace.is_empty() && trace.origin == Origin::Recorded {
        bail!("{input}: the snapshot holds no history, so there is nothing to replay; {HOW_TO_RECORD}");
    }
    Ok(())
}

/// The note of an explanation without history.
pub(crate) fn no_history_note(trace: &Trace) -> Option<String> {
    trace
        .is_empty()
        .then(|| format!("no history was recorded: this is the memory at the end only; {HOW_TO_RECORD}"))
}
