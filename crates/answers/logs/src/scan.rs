//! The pass over a text of any size with the memory of a few blocks.

use std::collections::BTreeSet;
use std::io::{self, Read};

use crate::Report;
use crate::catalog::{Catalog, Kind, MOST_SEVERE};
use crate::clean::{Ansi, Cleaning, clean};
use crate::context::Context;
use crate::incident::{Found, Looked, both_ways, read, read_fields};
use crate::prefix::{Label, label_of};
use crate::progress::last_step;
use crate::shapes::{Known, Shapes, shape};

/// The text is searched in blocks of this size.
const BLOCK: usize = 256 << 10;
/// Bytes kept before a match, which may belong to the message (a traceback, a start-up ledger).
const BEFORE: usize = 16 << 10;
/// Bytes kept after a match.
const AFTER: usize = 32 << 10;
/// Bytes around a match by which it is decided whether it is a message.
const GLANCE_BEFORE: usize = 1500;
const GLANCE_AFTER: usize = 2048;
/// Bytes after a match that was no message, at most, to the next match that is looked at.
const STEP: usize = 512;
/// Bytes from a failure to the next one of the same rank, at least.
const NEXT_FAILURE: usize = 1500;
/// The number of failures after which the ranks of further ones are not read.
const MOST_COUNTED_CLOSELY: u64 = 4096;
/// How often a ledger is read, at most.
const MOST_LEDGERS: u32 = 64;
/// Ledgers and settings are looked for in the beginning of a log and around a failure: programs print them once.
const STARTING: u64 = 32 << 20;
/// Most ranks of later failures that are named.
const MOST_RANKS: usize = 1024;

/// A text that is no longer than this may be one message, copied from a terminal.
const PASTE: usize = 8 << 10;

/// Reads a text to its end.
///
/// # Errors
/// Those of the reader.
pub fn scan(mut reader: impl Read) -> io::Result<Report> {
    let mut scanner = Scanner::new();
    let mut block = vec![0; BLOCK];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(scanner.finish()),
            Ok(n) => scanner.push(&block[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Finds the first failure in a text that comes in pieces.
pub struct Scanner {
    ansi: Ansi,
    utf16: Utf16,
    /// The text without colours, from `base` on.
    buffer: Vec<u8>,
    /// Of the buffer, so much was searched.
    searched: usize,
    /// Place of the buffer's first byte in the text without colours.
    base: u64,
    /// Lines before the buffer.
    lines: u64,
    /// Places before this one were looked at.
    looked: u64,
    /// How often each anchor of ledgers and settings may still be looked at; `None` for those of failures.
    ledgers: Vec<Option<u32>>,
    shapes: Shapes,
    later_ranks: BTreeSet<String>,
    /// Where the last failure that was counted is, and whose it is.
    counted: (u64, Option<Label>),
    hits: Vec<(usize, usize)>,
    report: Report,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner::new()
    }
}

impl Scanner {
    /// A scanner at the beginning of a text.
    pub fn new() -> Self {
        Scanner {
            ansi: Ansi::default(),
            utf16: Utf16::default(),
            buffer: Vec::with_capacity(2 * BLOCK + BEFORE + AFTER),
            searched: 0,
            base: 0,
            lines: 0,
            looked: 0,
            ledgers: ledgers(),
            shapes: Shapes::default(),
            later_ranks: BTreeSet::new(),
            counted: (0, None),
            hits: Vec::new(),
            report: Report::default(),
        }
    }

    /// Takes the next piece of the text.
    pub fn push(&mut self, bytes: &[u8]) {
        self.report.bytes += bytes.len() as u64;
        for piece in bytes.chunks(BLOCK) {
            let piece = self.utf16.narrow(piece);
            self.ansi.strip(&piece, &mut self.buffer);
            if self.buffer.len() >= self.searched + BLOCK + AFTER {
                self.search(self.buffer.len() - AFTER);
                self.forget();
            }
        }
    }

    /// What the text says.
    pub fn finish(mut self) -> Report {
        self.search(self.buffer.len());
        if self.base == 0 && self.buffer.len() <= PASTE && self.gravity() <= Kind::Unknown.gravity() {
            self.search_joined();
        }
        let unended = self.buffer.last().is_some_and(|last| *last != b'\n');
        self.report.lines = self.lines + newlines(&self.buffer) + u64::from(unended);
        self.report.later_ranks = self.later_ranks.into_iter().collect();
        self.report
    }

    /// Looks at every place up to `end` where an anchor begins.
    fn search(&mut self, end: usize) {
        let needles = Catalog::get().needles();
        let until = (end + needles.longest()).min(self.buffer.len());
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        let starting = self.base + (self.searched as u64) < STARTING;
        needles.find(&self.buffer[self.searched..until], starting, &mut hits);
        for (at, anchor) in &hits {
            let at = self.searched + at;
            if at < end && self.base + at as u64 >= self.looked {
                self.look(at, *anchor);
            }
        }
        self.hits = hits;
        self.searched = end;
    }

    /// Searches a short text once more with its cut lines joined: a cut may lie inside every anchor of a message.
    fn search_joined(&mut self) {
        let how = Cleaning { as_paste: true, ..Cleaning::of(None) };
        let joined = clean(&self.buffer, how);
        if !joined.joined {
            return;
        }
        let mut scanner = Scanner::new();
        scanner.buffer.extend_from_slice(&joined.text);
        scanner.search(joined.text.len());
        if scanner.gravity() > self.gravity() {
            let bytes = self.report.bytes;
            self.report = Report { bytes, ..scanner.report };
            let line_starts = |line: u64| nth_line(&joined.text, line.saturating_sub(1));
            if let Some(incident) = &mut self.report.incident {
                incident.line = joined.line_of(line_starts(incident.line)) + 1;
            }
        }
    }

    /// Drops what lies too far back to matter.
    fn forget(&mut self) {
        let keep = self.searched.saturating_sub(BEFORE);
        self.lines += newlines(&self.buffer[..keep]);
        self.base += keep as u64;
        self.searched -= keep;
        self.buffer.drain(..keep);
    }

    fn look(&mut self, at: usize, anchor: usize) {
        match &mut self.ledgers[anchor] {
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        let shape = shape(&self.buffer, at);
        let step = match self.shapes.known(shape) {
            Some(Known::Nothing(_)) => self.line_left(at).min(STEP),
            Some(Known::Failure(gravity)) if gravity <= self.gravity() => self.later(at, gravity),
            _ => self.look_closely(at, shape),
        };
        self.looked = self.base + (at + step.max(1)) as u64;
    }

    /// Looks for formats around a place and takes note of what is there; how far on the next look may be.
    fn look_closely(&mut self, at: usize, shape: u64) -> usize {
        let catalog = Catalog::get();
        let source = self.source(at);
        let (from, line, to) = glance(&self.buffer, at);
        let line_number = newlines(&self.buffer[from..line]);
        let looked = both_ways(&self.buffer[from..to], source.as_ref(), |cleaned| {
            // A message that begins after the anchor's line has an anchor of its own.
            let before_line = cleaned.start_of(line_number) + GLANCE_BEFORE.min(at - line);
            before_line + self.line_left(at).min(STEP)
        });
        let Looked { text, needles, found } = looked;
        self.settings(&text, &needles);
        let gravity = found.iter().map(|found| catalog.kind(found.format).gravity()).max();
        match gravity {
            Some(gravity) if gravity > 0 => {
                self.shapes.failure(shape, gravity);
                return self.failure(at, gravity, &text, &found);
            }
            Some(_) => self.ledger(&text, &found),
            None => {}
        }
        self.shapes.nothing(shape);
        self.line_left(at).min(STEP)
    }

    /// The gravity of the failure that is known.
    fn gravity(&self) -> u8 {
        self.report.incident.as_ref().map_or(0, |incident| incident.kind.gravity())
    }

    /// Counts a failure after the first. What the same rank says soon after is the same failure.
    fn later(&mut self, at: usize, gravity: u8) -> usize {
        if self.report.later >= MOST_COUNTED_CLOSELY {
            self.report.later += u64::from(gravity == MOST_SEVERE);
            return NEXT_FAILURE;
        }
        let (place, source) = (self.base + at as u64, self.source(at));
        let again =
            place < self.counted.0 + NEXT_FAILURE as u64 && (source.is_none() || source == self.counted.1);
        if !again {
            self.report.later += u64::from(gravity == MOST_SEVERE);
            let rank = source.as_ref().and_then(Label::rank);
            self.later_ranks.extend(rank.filter(|_| self.later_ranks.len() < MOST_RANKS));
            self.counted = (place, source);
        }
        self.line_left(at)
    }

    fn settings(&mut self, text: &[u8], needles: &[usize]) {
        for needle in needles {
            for setting in Catalog::get().settings_of(*needle) {
                Context::get().read(setting, text, &mut self.report.settings);
            }
        }
    }

    fn ledger(&mut self, text: &[u8], found: &[Found]) {
        for found in found {
            let format = Catalog::get().format(found.format);
            if format.info.kind == Kind::Ledger {
                read_fields(format, text, *found, &mut self.report.facts);
                self.report.framework.get_or_insert_with(|| format.info.framework.clone());
            }
        }
    }

    /// Takes a failure if it is the first or graver than the one that is known, else counts it.
    fn failure(&mut self, at: usize, gravity: u8, text: &[u8], found: &[Found]) -> usize {
        if gravity <= self.gravity() {
            return self.later(at, gravity);
        }
        let from = at.saturating_sub(BEFORE);
        let to = (at + AFTER).min(self.buffer.len());
        let line = self.lines + newlines(&self.buffer[..at]) + 1;
        self.ledger(text, found);
        if let Some(incident) = read(&self.buffer[from..to], at - from, line) {
            let around = clean(&self.buffer[from..to], Cleaning::of(None));
            self.settings(&around.text, &Catalog::get().needles().within(&around.text));
            if let Some(step) = last_step(&self.buffer[from..at]) {
                self.report.settings.insert("step".to_owned(), step);
            }
            self.counted = (at as u64 + self.base, self.source(at));
            self.report.incident = Some(incident);
            return self.line_left(at);
        }
        STEP
    }

    /// Who wrote the line of a place, if the line names somebody.
    fn source(&self, at: usize) -> Option<Label> {
        let from = line_start(&self.buffer[..at], at).max(at.saturating_sub(STEP));
        label_of(&self.buffer[from..at + self.line_left(at).min(STEP)])
    }

    /// Bytes from a place to the end of its line.
    fn line_left(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.buffer[at..]).unwrap_or(self.buffer.len() - at)
    }
}

fn ledgers() -> Vec<Option<u32>> {
    let catalog = Catalog::get();
    (0..catalog.needles().anchors())
        .map(|at| catalog.needles().is_quiet(at).then_some(MOST_LEDGERS))
        .collect()
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Where the line of this number begins, counted from 0.
fn nth_line(bytes: &[u8], number: u64) -> usize {
    let before = usize::try_from(number).unwrap_or(usize::MAX).checked_sub(1);
    let newline = before.and_then(|before| memchr::memchr_iter(b'\n', bytes).nth(before));
    newline.map_or(0, |newline| newline + 1)
}

fn line_start(bytes: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1)
}

/// Where some lines before the line of a place begin, where that line begins, and where what follows it ends.
fn glance(bytes: &[u8], at: usize) -> (usize, usize, usize) {
    let from = at.saturating_sub(GLANCE_BEFORE);
    let cut = memchr::memchr2(b'\n', b'\r', &bytes[from..at]).filter(|_| from > 0);
    let from = cut.map_or(from, |newline| from + newline + 1);
    (from, line_start(&bytes[..at], at).max(from), (at + GLANCE_AFTER).min(bytes.len()))
}

/// Text of two bytes a character, as PowerShell's `>` writes it, made narrow.
#[derive(Default)]
enum Utf16 {
    #[default]
    Unknown,
    No,
    /// Whether the next byte is a high one, which is dropped.
    Yes(bool),
}

impl Utf16 {
    fn narrow<'a>(&mut self, bytes: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
        if matches!(self, Utf16::Unknown) && !bytes.is_empty() {
            *self = if bytes.starts_with(&[0xff, 0xfe]) { Utf16::Yes(false) } else { Utf16::No };
        }
        let Utf16::Yes(high) = self else { return bytes.into() };
        let first = usize::from(*high);
        *high ^= bytes.len() % 2 == 1;
        bytes.iter().skip(first).step_by(2).copied().collect::<Vec<_>>().into()
    }
}
