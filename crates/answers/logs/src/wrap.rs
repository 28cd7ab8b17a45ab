//! Lines that a terminal, a web page or a mail program cut at a fixed width.
//!
//! A terminal cuts in the middle of words and numbers: `of which 4` and `12.00 MiB is free` are one line with 412 MiB. Each line
//! of a message but the last is then as long as the terminal is wide.

use crate::pattern::Pattern;
use crate::prefix::{Ends, Label, prefixes};

/// Terminals and forums are so wide: one line of such a length may be a cut one.
const WIDTHS: [usize; 5] = [80, 100, 120, 132, 160];
/// Two lines of one length, which is not below this, were cut there.
const NARROWEST: usize = 40;
/// Lines that begin with the same bytes, as many as this, are records of one kind and not the parts of a line.
const SAME_BEGIN: usize = 10;
/// Lines whose numbers count up are numbered if there are so many.
const COUNTED: usize = 3;

/// A line and its prefixes.
pub(crate) struct Piece<'a> {
    /// The number of the raw line, from 0.
    pub number: usize,
    /// The line without its end and without the indentation of code.
    pub line: &'a [u8],
    /// Who wrote it, if its prefix says so.
    pub label: Option<Label>,
    ends: Ends,
}

impl<'a> Piece<'a> {
    /// The line of this number, whose text has so many bytes of indentation.
    pub fn new(number: usize, line: &'a [u8], indent: usize) -> Self {
        let line = match line.strip_prefix(b"\t").filter(|_| indent > 0) {
            Some(rest) => rest,
            None => line.get(indent..).unwrap_or_default(),
        };
        let (label, ends) = prefixes(line);
        Piece { number, line, label, ends }
    }

    /// The line without its prefixes.
    pub fn rest(&self) -> &'a [u8] {
        self.after(self.ends.count).unwrap_or_default()
    }

    /// The line without so many prefixes; `None` if it has fewer.
    fn after(&self, prefixes: usize) -> Option<&'a [u8]> {
        self.line.get(self.ends.after(prefixes)?..)
    }
}

/// Whether the prefixes are numbers that count the lines up, as `grep -n` writes them.
pub(crate) fn counts_lines(pieces: &[Piece<'_>]) -> bool {
    let numbers: Vec<u64> = pieces.iter().filter_map(|piece| piece.label.as_ref()?.bare()).collect();
    numbers.len() >= COUNTED && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// The length in characters of each line that the next line may continue. If `any`, the next line may be longer: only a part of
/// the text was cut.
pub(crate) fn widths(pieces: &[Piece<'_>], any: bool) -> Vec<Option<usize>> {
    (0..pieces.len()).map(|at| width_of_part(pieces, at, any)).collect()
}

/// What stands between each line and the next one if both are parts of one line; `None` if they are two lines. Of the lines that
/// the next may continue, `widths` holds those that no longer line follows. Lines of `cut` characters are cut whatever stands
/// beside them.
pub(crate) fn joints(
    pieces: &[Piece<'_>],
    open: &[Option<usize>],
    widths: &[Option<usize>],
    cut: Option<usize>,
) -> Vec<Option<&'static [u8]>> {
    let neighbours = |at: usize| [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
    let beside = |at: usize, width| neighbours(at).find(|at| widths.get(*at) == Some(&Some(width)));
    let cut_at = |at: usize, width| WIDTHS.contains(&width) || beside(at, width).is_some();
    let joint = |at: usize| {
        open[at]?;
        if cuts_number(pieces[at].rest(), pieces[at + 1].rest()) {
            return Some(&b""[..]);
        }
        let width = widths[at]?;
        if cut_at(at, width) || Some(width) == cut {
            return Some(&b""[..]);
        }
        // The cut fell before a space at the end of the line, and a copy lost that space.
        let full = beside(at, width + 1)?;
        cut_at(full, width + 1).then_some(&b" "[..])
    };
    (0..pieces.len()).map(joint).collect()
}

/// The length of a line in characters if the next line may continue it.
///
/// It is measured with as many prefixes as the next line has fewer: a terminal counts them, and repeats none.
fn width_of_part(pieces: &[Piece<'_>], at: usize, any: bool) -> Option<usize> {
    let (piece, next) = (&pieces[at], pieces.get(at + 1)?);
    let (line, rest) = (piece.after(next.ends.count)?, next.rest());
    let width = characters(line);
    let fits = width >= NARROWEST && (any || width >= characters(rest));
    (fits && continues(line, rest)).then_some(width)
}

/// Whether a line can be the second part of another: tables, tracebacks and records of one kind are not.
fn continues(line: &[u8], next: &[u8]) -> bool {
    let drawn = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii() || b"|+=^~".contains(byte));
    let indented = next.starts_with(b"  ") || next.starts_with(b"\t");
    let alike = next.len() >= SAME_BEGIN && line.starts_with(&next[..SAME_BEGIN]);
    !(drawn(line.last()) || drawn(next.first()) || indented || alike || begins_record(next))
}

/// Whether a line begins a traceback, a frame or an exception.
fn begins_record(line: &[u8]) -> bool {
    let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let exception = [&b"Error:"[..], b"Exception:", b"Warning:"].iter().any(|end| word.ends_with(end));
    exception || line.starts_with(b"Traceback (most") || line.starts_with(b"File \"")
}

/// Whether the cut lies in a number, in its unit or in a tensor's shape: the line ends so that the next one must go on. No
/// program prints two numbers so.
fn cuts_number(line: &[u8], next: &[u8]) -> bool {
    static REST: Pattern = Pattern::constant(r"^[.,]?\d[\d.,]*(?:\s?(?:[KMGT]i?B\b|bytes\b)|\])");
    static UNIT: Pattern = Pattern::constant(r"\d\s?(?:[KMGT]i?)$");
    // Most lines end otherwise: the last bytes are looked at first. The cut may follow the point of a number.
    match line {
        [.., before, b'.' | b','] if before.is_ascii_digit() => {
            next.first().is_some_and(u8::is_ascii_digit) && REST.is_match(next)
        }
        [.., b'K' | b'M' | b'G' | b'T' | b'i'] => {
            let rest = next.strip_prefix(b"i").unwrap_or(next);
            let ends_unit = |rest: &[u8]| rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric());
            rest.strip_prefix(b"B").is_some_and(ends_unit)
                && UNIT.is_match(&line[line.len().saturating_sub(8)..])
        }
        [.., last] => last.is_ascii_digit() && REST.is_match(next),
        [] => false,
    }
}

/// The number of characters of a text in UTF-8.
fn characters(line: &[u8]) -> usize {
    line.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Vec<Option<&'static [u8]>> {
        let pieces: Vec<Piece<'_>> =
            text.lines().enumerate().map(|(at, line)| Piece::new(at, line.as_bytes(), 0)).collect();
        joints(&pieces, &widths(&pieces, true), &widths(&pieces, false), None)
    }

    #[test]
    fn a_line_as_wide_as_a_terminal_goes_on() {
        let wide = "w".repeat(79) + "4";
        assert_eq!(joined(&format!("{wide}\n12.00 MiB")), [Some(&b""[..]), None]);
        assert_eq!(joined(&format!("> {wide}\n> 12.00 MiB")), [Some(&b""[..]), None]);
        assert_eq!(joined(&format!("{wide}w\nand so on")), [None, None]);
    }

    #[test]
    fn two_lines_of_any_length_go_on() {
        let (one, two) = ("a".repeat(93), "b".repeat(93));
        assert_eq!(joined(&format!("{one}\n{two}\nend")), [Some(&b""[..]), Some(b""), None]);
        assert_eq!(joined(&format!("{one}\n{}\nend", &two[1..])), [None; 3]);
    }

    #[test]
    fn a_number_cut_at_any_width_is_one_number() {
        let line = format!("{} of which 4", "x".repeat(50));
        assert_eq!(joined(&format!("{line}\n12.00 MiB is free")), [Some(&b""[..]), None]);
        assert_eq!(joined(&format!("{line}\n12 requests")), [None, None]);
        assert_eq!(joined(&format!("{line}.\n12 MiB is free")), [Some(&b""[..]), None]);
        assert_eq!(joined(&format!("{line}.\n")), [None]);
        assert_eq!(joined(&format!("{line}12.00 Mi\nB is free")), [Some(&b""[..]), None]);
        assert_eq!(joined(&format!("{line}12.00 G\nBig is free")), [None, None]);
        assert_eq!(joined(&format!("{}[16,1\n28,3] and type float", "x".repeat(50))), [Some(&b""[..]), None]);
    }

    #[test]
    fn tables_and_records_of_one_kind_do_not() {
        let row = format!("|{}|", " ".repeat(78));
        assert_eq!(joined(&format!("{row}\n{row}\n{row}")), [None; 3]);
        let record = |n: u8| format!("InUse at 7f3{n} {}", "c".repeat(66));
        assert_eq!(joined(&format!("{}\n{}\n{}", record(1), record(2), record(3))), [None; 3]);
        let frame = format!("{}\n    return f(x)", "d".repeat(80));
        assert_eq!(joined(&frame), [None, None]);
    }
}
