//! A failure read from the text around it.

use std::collections::BTreeMap;

use brimful_units::Bytes;

use crate::Accelerator;
use crate::catalog::{Catalog, Format, Kind};
use crate::clean::{Cleaned, Cleaning, clean};
use crate::context::Context;
use crate::contradiction::contradictions;
use crate::facts::{Facts, Value};
use crate::prefix::{Label, label_of};
use crate::processes;

/// A process that holds memory of the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// What it holds (ledger: device).
    pub in_use: Bytes,
}

/// A memory failure, or what looks like one.
#[derive(Clone, Debug)]
pub struct Incident {
    /// What it means.
    pub kind: Kind,
    /// The format's name, such as `pt-2.5-plus`.
    pub format: String,
    /// The format in a line.
    pub title: String,
    /// Whose program it was, such as `vllm`.
    pub framework: String,
    /// The cause, where the format alone establishes it.
    pub cause: Option<String>,
    /// Whose memory it is about; `None` if the text does not name it.
    pub accelerator: Option<Accelerator>,
    /// The figures of the text.
    pub facts: Facts,
    /// What of the figures contradicts what, in a sentence each: then a number was cut or misread.
    pub contradictions: Vec<String>,
    /// The processes that the text names as holders of memory.
    pub processes: Vec<Process>,
    /// Where the program was: capture, save, optimizer, eval, loss, backward, kv-init, load, forward.
    pub phase: Option<String>,
    /// The program's message.
    pub message: String,
    /// The traceback before the message, the message, and some lines after it.
    pub frames: String,
    /// The line of the input, from 1.
    pub line: u64,
    /// The rank whose failure it is.
    pub rank: Option<String>,
}

/// What a text says about memory.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first failure.
    pub incident: Option<Incident>,
    /// Figures that the program printed elsewhere, such as its start-up ledger.
    pub facts: Facts,
    /// Settings that the text shows, such as `gpu_memory_utilization`.
    pub settings: BTreeMap<String, String>,
    /// Whose program it seems to be.
    pub framework: Option<String>,
    /// Messages of memory failures after the first.
    pub later: u64,
    /// The ranks that those name.
    pub later_ranks: Vec<String>,
    /// Size of the text.
    pub bytes: u64,
    /// Lines of the text.
    pub lines: u64,
}

/// A format's place in a text.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub format: usize,
    pub start: usize,
    pub end: usize,
}

/// Messages that begin so near to each other are one failure.
const CLUSTER: usize = 3000;
/// A message and its tables are no longer than this.
const LONGEST_MESSAGE: usize = 8000;
/// What stands in a message's line before it is shown with it, unless it is longer.
const SAME_LINE: usize = 400;
/// Two messages of a format begin with the same words if they agree so far.
const SAME_WORDS: usize = 12;
/// So much of a message is shown.
const MESSAGE_LINES: usize = 12;
const MESSAGE_BYTES: usize = 4000;
/// A request above this many bytes (1 PiB) is no request: no machine has so much.
const ABSURD: i64 = 1 << 50;
/// Of the text before a message, so much may be its traceback.
const FRAMES_BEFORE: usize = 6000;
/// Bytes kept before the message, of every rank: they may name the phase if no frame does.
const PHASE_BEFORE: usize = 1500;
/// Bytes kept after the message, which show where the program was.
const FRAMES_AFTER: usize = 1500;

/// Formats of at most this weight go by words that many programs use: they stand back where a format knows the line.
const GENERIC: u8 = 18;

/// The first place of each format whose needles a text has and whose pattern matches after `from`.
pub(crate) fn matches(text: &[u8], needles: &[usize], from: usize) -> Vec<Found> {
    let catalog = Catalog::get();
    let mut formats: Vec<usize> = needles.iter().flat_map(|needle| catalog.formats_of(*needle)).collect();
    formats.sort_unstable();
    formats.dedup();
    let mut found: Vec<Found> = formats.into_iter().filter_map(|at| place(at, text, from)).collect();
    let kind = |found: &Found| catalog.kind(found.format);
    let weight = |found: &Found| catalog.format(found.format).weight;
    // A line that a format claims is known, also where that format is less severe: what the driver calls a full GPU may be
    // page-locked host memory, and only the frames before the line say so.
    let known: Vec<(usize, usize, u8)> = found
        .iter()
        .filter(|found| !matches!(kind(found), Kind::Unknown | Kind::Ledger))
        .map(|found| (line_start(text, found.start), line_end(text, found.end), weight(found)))
        .collect();
    let claimed = |at: usize, weight: u8| {
        known.iter().any(|(start, end, theirs)| (*start..=*end).contains(&at) && *theirs > weight)
    };
    found.retain(|found| weight(found) > GENERIC || !claimed(found.start, weight(found)));
    found
}

fn place(at: usize, text: &[u8], from: usize) -> Option<Found> {
    let format = Catalog::get().format(at);
    let mut start = 0;
    while let Some(found) = format.pattern.find_at(text, start) {
        if found.end > from && allowed(format, text, found.start, found.end) {
            return Some(Found { format: at, start: found.start, end: found.end });
        }
        start = found.end.max(start + 1);
        if start > text.len() {
            break;
        }
    }
    None
}

fn allowed(format: &Format, text: &[u8], start: usize, end: usize) -> bool {
    let line = &text[line_start(text, start)..line_end(text, end)];
    let refused = format.unless.as_ref().is_some_and(|unless| unless.is_match(line));
    let wanted = format.before.as_ref().is_none_or(|before| before.is_match(&text[..end]));
    let unwanted = format.before_not.as_ref().is_some_and(|not| not.is_match(&text[..start]));
    !refused && wanted && !unwanted
}

fn line_start(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1)
}

fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline)
}

/// A cleaned text and what was found in it.
pub(crate) struct Looked {
    pub text: Vec<u8>,
    /// The needles that occur in the text.
    pub needles: Vec<usize>,
    pub found: Vec<Found>,
}

/// What begins in a text before the place that `until` names, with its cut lines joined; in the text as it stands if nothing
/// is there.
pub(crate) fn both_ways(raw: &[u8], source: Option<&Label>, until: impl Fn(&Cleaned) -> usize) -> Looked {
    let look = |cleaned: Cleaned| {
        let needles = Catalog::get().needles().within(&cleaned.text);
        let mut found = matches(&cleaned.text, &needles, 0);
        let until = until(&cleaned);
        found.retain(|found| found.start <= until);
        Looked { text: cleaned.text, needles, found }
    };
    let joined = clean(raw, Cleaning::of(source));
    let was_joined = joined.joined;
    let looked = look(joined);
    if !looked.found.is_empty() || !was_joined {
        return looked;
    }
    look(clean(raw, Cleaning { join: false, ..Cleaning::of(source) }))
}

/// Reads the failure at `hit` in a piece of raw text; `None` where there is none after all.
pub(crate) fn read(raw: &[u8], hit: usize, line: u64) -> Option<Incident> {
    let source = label_of(&raw[line_start(raw, hit)..line_end(raw, hit)]);
    let how = Cleaning::of(source.as_ref());
    let joined = clean(raw, how);
    let incident = read_in(&joined, raw, hit, line)
        .or_else(|| read_in(&clean(raw, Cleaning { join: false, ..how }), raw, hit, line))?;
    let incident = unwrapped(incident, &joined, how, raw, (hit, line));
    // Numbers that count the lines are no ranks.
    let rank = source.filter(|_| !joined.numbered).and_then(|source| source.rank());
    Some(Incident { rank, ..incident })
}

/// The incident as it is read if lines of one length near it are parts of a longer one: a terminal of any width may have cut
/// a message in two, in the middle of a word. That reading counts only if it has more figures.
fn unwrapped(
    incident: Incident,
    joined: &Cleaned,
    how: Cleaning<'_>,
    raw: &[u8],
    (hit, line): (usize, u64),
) -> Incident {
    let hit_line = memchr::memchr_iter(b'\n', &raw[..hit]).count() as u64;
    let read_at = |width| read_in(&clean(raw, Cleaning { width: Some(width), ..how }), raw, hit, line);
    joined.widths_near(hit_line).into_iter().filter_map(read_at).fold(incident, |best, other| {
        let figures = |incident: &Incident| incident.facts.iter().count();
        let agrees = other.contradictions.len() <= best.contradictions.len();
        if agrees && other.kind == best.kind && figures(&other) > figures(&best) { other } else { best }
    })
}

fn read_in(cleaned: &Cleaned, raw: &[u8], hit: usize, line: u64) -> Option<Incident> {
    let text = &cleaned.text;
    let hit_line = memchr::memchr_iter(b'\n', &raw[..hit]).count() as u64;
    let here = cleaned.start_of(hit_line);
    let needles = Catalog::get().needles().within(text);
    let found = matches(text, &needles, here.saturating_sub(300));
    let main = chosen(&found)?;
    let format = Catalog::get().format(main.format);
    let extent = extent(text, main);
    let frames = frames(text, main.start, extent.1);
    let context = Context::get();
    let mut processes = processes::in_message(&text[extent.0..extent.1]);
    if processes.is_empty() {
        processes = processes::in_table(text);
    }
    let printed = &format.info.framework;
    // vLLM names its processes in the prefixes of lines, which are not among the frames.
    let near = &raw[hit.saturating_sub(PHASE_BEFORE)..line_end(raw, hit)];
    let whose = context.framework(printed, frames).or_else(|| context.framework(printed, near));
    let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let facts = facts(text, &found, main);
    let own = message(&text[extent.0..extent.1]);
    let accelerator = match format.info.kind {
        Kind::Host | Kind::Pinned | Kind::Shm => Some(Accelerator::Host),
        _ => context.accelerator(own, frames),
    };
    let absurd = facts.int("tried_bytes").is_some_and(|tried| tried >= ABSURD);
    Some(Incident {
        kind: if absurd { Kind::Absurd } else { format.info.kind },
        format: format.info.id.clone(),
        title: format.info.title.clone(),
        framework: whose.unwrap_or_else(|| printed.clone()),
        cause: format.cause.clone(),
        accelerator,
        contradictions: contradictions(&facts),
        facts,
        processes,
        phase: context.phase(frames).or_else(|| context.phase(&around(raw, hit))),
        message: string(own),
        frames: string(frames),
        line: (line + cleaned.line_of(main.start)).saturating_sub(hit_line),
        rank: None,
    })
}

/// Some lines of all ranks before a place: others may tell what a rank does that says nothing but its failure.
fn around(raw: &[u8], hit: usize) -> Vec<u8> {
    clean(&raw[line_start(raw, hit.saturating_sub(PHASE_BEFORE))..hit], Cleaning::of(None)).text
}

/// Picks the most severe match near the first severe one; ties go to the most specific format, then to the order of the files.
fn chosen(found: &[Found]) -> Option<Found> {
    let catalog = Catalog::get();
    let gravity = |found: &&Found| catalog.kind(found.format).gravity();
    let most = found.iter().map(|found| gravity(&found)).max().filter(|most| *most > 0)?;
    let severe: Vec<&Found> = found.iter().filter(|found| gravity(found) == most).collect();
    let first = severe.iter().map(|found| found.start).min()?;
    let near = severe.into_iter().filter(|found| found.start <= first + CLUSTER);
    near.min_by_key(|found| (std::cmp::Reverse(catalog.format(found.format).weight), found.format)).copied()
}

/// From the message's line to the next message that begins with the same words.
fn extent(text: &[u8], main: Found) -> (usize, usize) {
    let start = line_start(text, main.start).max(main.start.saturating_sub(SAME_LINE));
    let format = Catalog::get().format(main.format);
    let limit = (main.start + LONGEST_MESSAGE).min(text.len()).max(main.end);
    if format.repeats {
        return (start, limit);
    }
    let words = &text[main.start..main.end.min(main.start + SAME_WORDS)];
    let rest = &text[main.end..limit];
    let next = format.pattern.find_iter(rest).find(|next| rest[next.clone()].starts_with(words));
    (start, next.map_or(limit, |next| line_start(text, main.end + next.start).max(main.end)))
}

fn frames(text: &[u8], start: usize, end: usize) -> &[u8] {
    let from = start.saturating_sub(FRAMES_BEFORE);
    let before = &text[from..start];
    let traceback = memchr::memmem::rfind(before, b"Traceback (most recent").unwrap_or(0);
    &text[from + traceback..end.min(start + FRAMES_AFTER).max(start)]
}

/// The main format's figures first, then what the others near it and the ledgers around it add.
fn facts(text: &[u8], found: &[Found], main: Found) -> Facts {
    let catalog = Catalog::get();
    let mut facts = Facts::default();
    read_fields(catalog.format(main.format), text, main, &mut facts);
    derive(&mut facts);
    for other in found.iter().filter(|other| other.format != main.format) {
        let format = catalog.format(other.format);
        let near = other.start.abs_diff(main.start) <= LONGEST_MESSAGE;
        if near || format.info.kind == Kind::Ledger {
            let mut more = Facts::default();
            read_fields(format, text, *other, &mut more);
            facts.fill_from(renamed(more, &format.secondary));
        }
    }
    derive(&mut facts);
    facts
}

fn renamed(facts: Facts, names: &BTreeMap<String, String>) -> Facts {
    let mut out = Facts::default();
    for (name, value) in facts.iter() {
        out.fill(names.get(name).map_or(name, String::as_str), first_of(value));
    }
    if names.is_empty() { facts } else { out }
}

fn first_of(value: &Value) -> Value {
    match value {
        Value::List(list) if !list.is_empty() => Value::Int(list[0]),
        other => other.clone(),
    }
}

/// Reads the fields of a format at its place; a ledger's last figure counts, a message's first.
pub(crate) fn read_fields(format: &Format, text: &[u8], found: Found, facts: &mut Facts) {
    let ledger = format.info.kind == Kind::Ledger;
    let (start, end) = if ledger || format.wide { (0, text.len()) } else { extent(text, found) };
    let piece = &text[start..end];
    for field in &format.fields {
        let value = match (format.repeats, ledger) {
            (true, _) => several(field.all(piece).collect()),
            (false, true) => field.last(piece),
            (false, false) => field.first(piece),
        };
        match (facts.get(&field.name).cloned(), value) {
            (None, Some(value)) => facts.fill(&field.name, value),
            (Some(old), Some(new)) if format.repeats => {
                facts.set(&field.name, several(vec![old, new]).unwrap_or(Value::List(Vec::new())));
            }
            _ => {}
        }
    }
}

/// Most figures of a kind that are kept.
const MOST: usize = 64;

/// One figure as it is, several different ones as a list.
fn several(values: Vec<Value>) -> Option<Value> {
    let mut list = Vec::new();
    for value in &values {
        let more: &[i64] = match value {
            Value::Int(n) => std::slice::from_ref(n),
            Value::List(more) => more,
            _ => return values.into_iter().next(),
        };
        for n in more {
            if !list.contains(n) && list.len() < MOST {
                list.push(*n);
            }
        }
    }
    match list.len() {
        0 => None,
        1 => Some(Value::Int(list[0])),
        _ => Some(Value::List(list)),
    }
}

/// What follows from the figures: the size of a tensor from its shape and type.
fn derive(facts: &mut Facts) {
    let (Some(Value::List(shape)), Some(Value::Text(dtype))) = (facts.get("shape"), facts.get("dtype"))
    else {
        return;
    };
    let width = match dtype.as_str() {
        "double" | "int64" | "complex64" => 8,
        "float" | "int32" => 4,
        "half" | "bfloat16" | "int16" => 2,
        "bool" | "int8" | "uint8" => 1,
        _ => return,
    };
    let bytes = shape.iter().try_fold(width, |bytes: i64, dim| bytes.checked_mul(*dim));
    if let Some(bytes) = bytes {
        facts.fill("tried_bytes", Value::Int(bytes));
    }
}

/// The first lines of a message, up to the next traceback.
fn message(text: &[u8]) -> &[u8] {
    let traceback = memchr::memmem::find(text, b"\nTraceback (most recent").unwrap_or(text.len());
    let lines = memchr::memchr_iter(b'\n', text).nth(MESSAGE_LINES - 1).unwrap_or(text.len());
    text[..traceback.min(lines).min(MESSAGE_BYTES)].trim_ascii()
}
