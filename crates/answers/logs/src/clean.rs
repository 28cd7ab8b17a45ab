//! A piece of a log as the program meant it: without colours, prefixes of ranks and times, and progress bars.

use std::borrow::Cow;

use crate::pattern::Pattern;
use crate::prefix::Label;
use crate::wrap::{Piece, counts_lines, joints, widths};

/// Removes terminal escape sequences from a stream that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Ansi(State);

#[derive(Debug, Default, PartialEq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After `ESC [`, until a letter.
    Control,
    /// After `ESC ]`, until BEL or ESC.
    Command,
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

impl Ansi {
    /// Appends the text of `bytes` to `out`.
    pub fn strip(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.0 != State::Text {
                self.step(bytes[0]);
                bytes = &bytes[1..];
                continue;
            }
            let end = memchr::memchr(ESC, bytes);
            out.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else { return };
            self.0 = State::Escape;
            bytes = &bytes[end + 1..];
        }
    }

    fn step(&mut self, byte: u8) {
        self.0 = match (&self.0, byte) {
            (State::Escape, b'[') => State::Control,
            (State::Escape, b']') => State::Command,
            (State::Control, 0x20..=0x3f) => State::Control,
            (State::Command, BEL) => State::Text,
            (State::Command, ESC) => State::Escape,
            (State::Command, b'\n') => State::Text,
            (State::Command, _) => State::Command,
            _ => State::Text,
        };
    }
}

/// A text without what surrounds the program's own lines.
#[derive(Debug, Default)]
pub(crate) struct Cleaned {
    /// The program's lines, each ended by `\n`. Lines that a terminal cut are one line again.
    pub text: Vec<u8>,
    /// The place in `text` where each line of the raw text begins.
    starts: Vec<usize>,
    /// Whether lines that had been cut were joined.
    pub joined: bool,
    /// Whether the numbers before the lines count the lines: they name no ranks.
    pub numbered: bool,
    /// The number and the length of each raw line that the next one may continue and that was not joined with it.
    open: Vec<(usize, usize)>,
}

impl Cleaned {
    /// The place in the text where the raw line of this number begins, counted from 0.
    pub fn start_of(&self, line: u64) -> usize {
        let at = usize::try_from(line).unwrap_or(usize::MAX);
        self.starts.get(at).copied().unwrap_or(self.text.len())
    }

    /// The number of the raw line that a place in the text is from, counted from 0.
    pub fn line_of(&self, at: usize) -> u64 {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1) as u64
    }

    /// The lengths of lines near the raw line of this number that a terminal of an unusual width may have cut.
    pub fn widths_near(&self, line: u64) -> Vec<usize> {
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        let near = self.open.iter().filter(|(number, _)| number.abs_diff(line) <= NEAR);
        let mut widths: Vec<usize> = near.map(|(_, width)| *width).collect();
        widths.sort_unstable();
        widths.dedup();
        widths
    }
}

/// A message whose lines are joined on trial begins so many lines from its anchor, at most.
const NEAR: usize = 2;

/// How a text is cleaned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cleaning<'a> {
    /// Lines that name another source than this one are left out.
    pub source: Option<&'a Label>,
    /// Whether lines that a terminal cut are joined.
    pub join: bool,
    /// Whether the prefixes of lines are kept, and the longest lines that another may continue are taken for cut ones.
    pub as_paste: bool,
    /// Lines of this length are taken for cut ones.
    pub width: Option<usize>,
}

impl<'a> Cleaning<'a> {
    /// The lines of a source and those that name none, without prefixes and whole.
    pub fn of(source: Option<&'a Label>) -> Self {
        Cleaning { source, join: true, as_paste: false, width: None }
    }
}

/// Removes what surrounds the program's own lines; ends of lines become `\n`.
pub(crate) fn clean(raw: &[u8], how: Cleaning<'_>) -> Cleaned {
    let indent = common_indent(raw);
    let unescaped: Vec<(usize, Cow<'_, [u8]>)> =
        lines(raw).map(|(number, line)| (number, unescaped(line))).collect();
    let mut pieces: Vec<Piece<'_>> =
        unescaped.iter().map(|(number, line)| Piece::new(*number, line, indent)).collect();
    let numbered = counts_lines(&pieces);
    let other = |label: &Label| how.source.is_some_and(|source| label != source);
    let mut out = Cleaned { text: Vec::with_capacity(raw.len()), numbered, ..Cleaned::default() };
    // The number of each raw line is kept also where the line itself is left out.
    let last = pieces.last().map_or(0, |piece| piece.number + 1);
    pieces.retain(|piece| numbered || !piece.label.as_ref().is_some_and(other));
    let open = if how.join { widths(&pieces, true) } else { vec![None; pieces.len()] };
    let widths = if how.join && how.width.is_none() { widths(&pieces, false) } else { open.clone() };
    let widest = widths.iter().copied().flatten().max().filter(|_| how.as_paste);
    let joints = joints(&pieces, &open, &widths, widest.or(how.width));
    let open = pieces.iter().zip(&open).zip(&joints).filter(|(_, joint)| joint.is_none());
    out.open = open.filter_map(|((piece, width), _)| Some((piece.number, (*width)?))).collect();
    let mut joint = None;
    for (piece, next) in pieces.iter().zip(joints) {
        if let Some(glue) = joint {
            out.joined = true;
            out.text.pop();
            out.text.extend_from_slice(glue);
        }
        while out.starts.len() <= piece.number {
            out.starts.push(out.text.len());
        }
        let line = if how.as_paste && joint.is_none() { piece.line } else { piece.rest() };
        out.text.extend_from_slice(&without_bars(line));
        out.text.push(b'\n');
        joint = next;
    }
    out.starts.resize(last.max(out.starts.len()), out.text.len());
    out
}

/// Lines without their ends, each with the number of its raw line from 0; a carriage return alone ends a line as
/// well (progress bars redraw so).
fn lines(raw: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    raw.split(|byte| *byte == b'\n').enumerate().flat_map(|(number, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.split(|byte| *byte == b'\r').map(move |piece| (number, piece))
    })
}

/// Markdown indents code so far.
const CODE_INDENT: usize = 4;

/// The indentation of code in Markdown, if every line has it.
fn common_indent(raw: &[u8]) -> usize {
    let code = |(_, line): (usize, &[u8])| {
        line.trim_ascii().is_empty() || line.starts_with(&[b' '; CODE_INDENT]) || line.starts_with(b"\t")
    };
    if lines(raw).all(code) { CODE_INDENT } else { 0 }
}

/// A line of a JSON log with its escapes resolved, any other as it is.
fn unescaped(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.trim_ascii_start().starts_with(b"{") || memchr::memchr(b'\\', line).is_none() {
        return line.into();
    }
    let mut out = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, byte == b'\\') {
            (_, true) => match bytes.next() {
                Some(b'n' | b'r') => out.push(b'\n'),
                Some(b't') => out.push(b' '),
                Some(other) => out.push(other),
                None => {}
            },
            _ => out.push(byte),
        }
    }
    out.into()
}

/// tqdm's bars: `45%|████▌     | 450/1000 [00:32<00:40, 13.6it/s]`.
fn without_bars(line: &[u8]) -> Cow<'_, [u8]> {
    static BAR: Pattern = Pattern::constant(r"\d{1,3}%\|[^|\n]{0,400}\|[^\[\n]{0,60}\[[^\]\n]{0,80}\]");
    if memchr::memmem::find(line, b"%|").is_none() {
        return line.into();
    }
    let (mut left, mut done) = (Vec::with_capacity(line.len()), 0);
    for bar in BAR.find_iter(line) {
        left.extend_from_slice(&line[done..bar.start]);
        done = bar.end;
    }
    left.extend_from_slice(&line[done..]);
    left.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::label_of;

    fn text(raw: &str, source: Option<&Label>) -> String {
        String::from_utf8(clean(raw.as_bytes(), Cleaning::of(source)).text).unwrap()
    }

    #[test]
    fn colours_go_also_across_pieces() {
        let (mut ansi, mut out) = (Ansi::default(), Vec::new());
        for piece in ["a\x1b", "[31", "mb\x1b]0;title\x07c\x1b[0", "md\n"] {
            ansi.strip(piece.as_bytes(), &mut out);
        }
        assert_eq!(out, b"abcd\n");
    }

    #[test]
    fn prefixes_go() {
        for raw in [
            "[rank3]: CUDA out",
            "3: CUDA out",
            "[1,3]<stderr>:CUDA out",
            "(EngineCore_DP0 pid=563) ERROR 12-23 23:34:23 [core.py:708] CUDA out",
            "worker-0: CUDA out",
            "2026-11-24T10:00:00.123456Z stderr F CUDA out",
            "2026-11-24 10:00:00,123 - ERROR - CUDA out",
            "[default7]:CUDA out",
            "> CUDA out",
        ] {
            assert_eq!(text(raw, None), "CUDA out\n", "{raw}");
        }
    }

    #[test]
    fn other_ranks_are_left_out() {
        let raw = "[rank0]: mine\n[rank1]: theirs\nnobody's\n";
        assert_eq!(text(raw, label_of(b"[rank0]: mine").as_ref()), "mine\nnobody's\n\n");
    }

    #[test]
    fn raw_lines_are_numbered_through_what_is_left_out_and_joined() {
        let cut = format!("[rank0]: a\n[rank1]: b\n{}4\n12.00 MiB free\nend\n", "x".repeat(79));
        let cleaned = clean(cut.as_bytes(), Cleaning::of(label_of(b"[rank0]: a").as_ref()));
        let at = memchr::memmem::find(&cleaned.text, b"end").unwrap();
        assert_eq!(cleaned.line_of(at), 4);
        assert_eq!(cleaned.start_of(4), at);
        assert!(memchr::memmem::find(&cleaned.text, b"412.00 MiB free").is_some());
    }

    #[test]
    fn bars_escapes_and_line_ends() {
        assert_eq!(text(" 45%|##   | 450/1000 [00:32<00:40, 13.6it/s]CUDA", None), " CUDA\n");
        assert_eq!(text("a\r\nb\rc", None), "a\nb\nc\n");
        assert_eq!(text(r#"{"log":"CUDA out\nof"}"#, None), "{\"log\":\"CUDA out\nof\"}\n");
    }
}
