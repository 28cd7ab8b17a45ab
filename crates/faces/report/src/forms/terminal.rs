//! Where an answer is shown: the only place that writes what a terminal obeys.

use anstyle::{AnsiColor, Effects, Reset, Style as Ansi};

use super::ascii::{hidden_byte, in_ascii, is_unsafe, visible};
use super::marks::{BAD, BAR, COLUMN, DIM, END, GOOD, HANG, STRONG, WHOLE, is_mark};

/// Lines of prose are not longer, however wide a terminal is.
const WIDEST_PROSE: usize = 100;
/// A narrower terminal is treated as one of this width: below it, every word would stand alone.
const NARROWEST: usize = 20;
/// A column that is narrower goes on at the left.
const LEAST_ROOM: usize = 24;
/// Marks the end of the GPU in a bar.
const END_OF_GPU: char = '┃';
/// A bar is not drawn shorter.
const SHORTEST_BAR: usize = 10;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Characters in a line.
    pub columns: usize,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
}

/// A character and how it is emphasised.
type Cell = (char, Option<char>);

/// A line without its marks.
#[derive(Default)]
struct Line {
    cells: Vec<Cell>,
    /// Where the lines begin that this one goes on in.
    hang: Option<usize>,
    is_prose: bool,
    /// The bar in it, by its first and its last place.
    bar: Option<(usize, usize)>,
    is_whole: bool,
}

impl Terminal {
    /// An answer's text as the terminal shows it: lines as wide as it is, emphasis as escape codes, and no other
    /// character that a terminal obeys. Those are written out, such as `\x1b`.
    ///
    /// ```
    /// let terminal = brimful_report::Terminal { columns: 80, unicode: true };
    /// assert_eq!(terminal.show("a\u{1b}[31mb"), "a\\x1b[31mb");
    /// ```
    pub fn show(&self, text: &str) -> String {
        text.split('\n').map(|line| self.lines_of(line)).collect::<Vec<_>>().join("\n")
    }

    /// As [`Terminal::show`], but no line is broken: for messages.
    pub fn whole(&self, text: &str) -> String {
        text.split('\n').map(|line| painted(&self.read(line).cells)).collect::<Vec<_>>().join("\n")
    }

    fn lines_of(&self, text: &str) -> String {
        let mut line = self.read(text);
        let columns = self.columns.max(NARROWEST);
        line.shorten_bar(columns);
        if line.is_whole || line.cells.len() <= columns.min(line.widest()) {
            return painted(&line.cells);
        }
        let broken = line.broken(columns.min(line.widest()));
        broken.iter().map(|cells| painted(cells)).collect::<Vec<_>>().join("\n")
    }

    /// Takes the marks out of a line, and writes out what a terminal would obey.
    /// Emphasis ends with the line: a mark that a file holds does not reach the next one.
    fn read(&self, text: &str) -> Line {
        let mut line = Line::default();
        let mut style = None;
        for character in text.chars() {
            let at = line.cells.len();
            match character {
                GOOD | BAD | DIM | STRONG => style = Some(character),
                END => style = None,
                HANG | COLUMN => {
                    line.hang = Some(at);
                    line.is_prose = character == HANG;
                }
                WHOLE => line.is_whole = true,
                BAR => line.bar = Some(line.bar.map_or((at, at), |(start, _)| (start, at))),
                '\t' => line.cells.push((' ', style)),
                _ => {
                    let mut shown = visible(character).unwrap_or_else(|| character.to_string());
                    if !self.unicode {
                        let unicode = std::mem::take(&mut shown);
                        unicode.chars().for_each(|character| in_ascii(character, &mut shown));
                    }
                    line.cells.extend(shown.chars().map(|character| (character, style)));
                }
            }
        }
        line
    }
}

impl Line {
    /// Prose is kept narrow; what lines up in columns may use the whole terminal.
    fn widest(&self) -> usize {
        if self.is_prose { WIDEST_PROSE } else { usize::MAX }
    }

    /// Takes characters out of a bar at equal distances until the line fits. The mark of the GPU's end is not taken out.
    fn shorten_bar(&mut self, columns: usize) {
        let Some((start, end)) = self.bar else { return };
        let length = end.saturating_sub(start);
        let excess = self.cells.len().saturating_sub(columns);
        let kept = length.saturating_sub(excess).max(SHORTEST_BAR.min(length));
        if kept == length {
            return;
        }
        let bar: Vec<Cell> = (0..kept)
            .map(|at| {
                let merged = &self.cells[start + at * length / kept..start + (at + 1) * length / kept];
                let end = merged.iter().find(|cell| cell.0 == END_OF_GPU);
                *end.or(merged.first()).unwrap_or(&(' ', None))
            })
            .collect();
        self.cells.splice(start..end, bar);
    }

    /// The line in pieces that fit, broken between words. A word that is longer than a line stays whole.
    fn broken(&self, columns: usize) -> Vec<Vec<Cell>> {
        let blank = |cell: &Cell| cell.0 == ' ';
        let margin = self.cells.iter().take_while(|cell| blank(cell)).count();
        // Far to the right there is no room left for words.
        let has_room = |hang: &usize| hang + LEAST_ROOM.min(columns / 2) <= columns;
        let hang = self.hang.filter(has_room).unwrap_or((margin + 2).min(columns / 2));
        let mut lines = Vec::new();
        let mut rest = &self.cells[..];
        let mut indent = 0;
        loop {
            let room = columns - indent;
            let begins = if indent == 0 { margin } else { 0 };
            let fits = rest.len() <= room;
            let breaks = |at: &usize| rest[*at].0 == ' ';
            let within = (begins + 1..rest.len().min(room + 1)).rev().find(breaks);
            let cut = within.or_else(|| (rest.len().min(room + 1)..rest.len()).find(breaks));
            let (piece, after) = match cut.filter(|_| !fits) {
                Some(at) => rest.split_at(at),
                None => (rest, &rest[..0]),
            };
            let mut cells = vec![(' ', None); indent];
            cells.extend_from_slice(piece);
            while cells.last().is_some_and(blank) {
                cells.pop();
            }
            lines.push(cells);
            rest = &after[after.iter().take_while(|cell| blank(cell)).count()..];
            if rest.is_empty() {
                return lines;
            }
            indent = hang;
        }
    }
}

/// The characters with escape codes where the emphasis changes.
fn painted(cells: &[Cell]) -> String {
    let mut text = String::new();
    let mut now = None;
    for (character, style) in cells {
        if *style != now {
            if now.is_some() {
                text += &Reset.render().to_string();
            }
            text += &style.map_or_else(String::new, |style| ansi(style).render().to_string());
            now = *style;
        }
        text.push(*character);
    }
    if now.is_some() {
        text += &Reset.render().to_string();
    }
    text
}

fn ansi(style: char) -> Ansi {
    match style {
        GOOD => AnsiColor::Green.on_default().effects(Effects::BOLD),
        BAD => AnsiColor::Red.on_default().effects(Effects::BOLD),
        DIM => Ansi::new().effects(Effects::DIMMED),
        _ => Ansi::new().effects(Effects::BOLD),
    }
}

/// A document of another program, such as Markdown: it has no emphasis, and no character that a terminal obeys.
pub fn safe_document(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match visible(character) {
            Some(shown) => safe += &shown,
            None if is_mark(character) => safe += &format!("\\u{{{:x}}}", u32::from(character)),
            None => safe.push(character),
        }
    }
    safe
}

/// An answer's JSON in which no character is left that a terminal obeys. Such characters can only stand within strings,
/// where JSON has an escape for each. A byte of a name that is not UTF-8 becomes U+FFFD.
pub fn safe_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        match hidden_byte(character) {
            Some(byte) if byte.is_ascii() => safe += &format!("\\u{byte:04x}"),
            Some(_) => safe.push(char::REPLACEMENT_CHARACTER),
            None if is_unsafe(character) || is_mark(character) => {
                let mut units = [0; 2];
                safe.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
            None => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::{Style, hanging, next_line, plain, table};

    const WIDE: Terminal = Terminal { columns: 80, unicode: true };
    const NARROW: Terminal = Terminal { columns: 30, unicode: true };

    #[test]
    fn no_character_of_a_text_is_obeyed() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| is_unsafe(*c)) {
            let shown = WIDE.show(&format!("a{character}b"));
            assert!(!shown.contains(character) && shown.starts_with("a\\"), "{shown:?}");
            let json = safe_json(&format!("\"a{character}b\""));
            assert!(json.is_ascii() && json.starts_with("\"a\\u"), "{json:?}");
        }
    }

    #[test]
    fn only_emphasis_of_our_own_becomes_an_escape_code() {
        let shown = WIDE.show(&format!("{} \u{1b}]0;title\u{7}", Style::BAD.paint("bad")));
        assert_eq!(shown, "\u{1b}[1m\u{1b}[31mbad\u{1b}[0m \\x1b]0;title\\x07");
    }

    #[test]
    fn lines_are_broken_between_words_and_go_on_where_they_hang() {
        let line = hanging("  note: ", "one two three four five six seven").join("\n");
        assert_eq!(NARROW.show(&line), "  note: one two three four\n        five six seven");
        assert_eq!(
            NARROW.show("    at a line that has no mark in it"),
            "    at a line that has no mark\n      in it"
        );
        assert_eq!(WIDE.show(&line), "  note: one two three four five six seven");
    }

    #[test]
    fn emphasis_goes_on_in_the_next_line() {
        let shown = NARROW.show(&Style::DIM.paint("one two three four five six seven"));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines, ["\u{1b}[2mone two three four five six\u{1b}[0m", "  \u{1b}[2mseven\u{1b}[0m"]);
    }

    #[test]
    fn the_last_column_of_a_table_goes_on_below_itself() {
        let rows = [vec!["a".into(), "1 MiB".into(), "a place with many words in it".into()]];
        let lines = table(&rows).join("\n");
        assert_eq!(NARROW.show(&lines), "a  1 MiB  a place with many\n          words in it");
    }

    #[test]
    fn a_command_stays_on_its_line() {
        let line = next_line("brimful replay a-file-with-a-long-name.pickle --conf expandable_segments:True");
        assert_eq!(NARROW.show(&line).lines().count(), 1);
    }

    #[test]
    fn a_bar_is_drawn_shorter_and_keeps_its_parts() {
        let bar = format!("  [{BAR}{}{}{BAR}]", "█".repeat(30), "░".repeat(30));
        assert_eq!(NARROW.show(&bar), format!("  [{}{}]", "█".repeat(13), "░".repeat(13)));
        assert_eq!(plain(&bar).chars().count(), 64);
    }

    #[test]
    fn a_terminal_without_unicode_gets_ascii() {
        let ascii = Terminal { columns: 80, unicode: false };
        assert_eq!(ascii.show("✓ fits ± 1 – █░ ö"), "+ fits +/- 1 - @: ?");
    }
}
