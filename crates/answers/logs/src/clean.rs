//! A piece of a log as the program meant it: without colours, prefixes of ranks and times, and progress bars.

use std::sync::LazyLock;

use regex::bytes::Regex;

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

/// Removes what surrounds the program's own lines. Of lines that name another rank than `rank`, nothing is
/// left; ends of lines become `\n`.
pub(crate) fn clean(raw: &[u8], rank: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for line in lines(raw) {
        let line = unescaped(line);
        let (label, rest) = split_prefix(&line);
        if rank.is_some() && label.is_some() && label != rank {
            continue;
        }
        out.extend_from_slice(&without_bars(rest));
        out.push(b'\n');
    }
    out
}

/// The rank that a line names in its prefix.
pub(crate) fn rank_of(line: &[u8]) -> Option<Vec<u8>> {
    split_prefix(&unescaped(line)).0.map(<[u8]>::to_vec)
}

/// Lines without their ends; a carriage return alone ends a line as well (progress bars redraw so).
fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw.split(|byte| *byte == b'\n')
        .flat_map(|line| line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == b'\r'))
}

/// A line of a JSON log with its escapes resolved, any other as it is.
fn unescaped(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
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

/// What launchers, loggers and containers put before a line: the rank where it is named, and the rest.
fn split_prefix(line: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let (mut label, mut rest) = (None, line);
    for _ in 0..MOST_PREFIXES {
        let Some(found) = PREFIX.as_ref().and_then(|pattern| pattern.captures(rest)) else { break };
        label = label.or_else(|| found.iter().skip(1).flatten().next().map(|group| group.as_bytes()));
        rest = &rest[found.get(0).map_or(0, |all| all.end())..];
    }
    (label, rest)
}

/// A line has no more prefixes than this.
const MOST_PREFIXES: usize = 6;

/// torchrun, srun, mpirun, Ray, vLLM, DeepSpeed's pdsh; Python's and C++'s loggers; Docker, Kubernetes, journald;
/// a quotation mark of Markdown.
static PREFIX: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let parts = [
        r"\[?(?i:rank|default|worker|node|gpu)[ _:-]?(\d{1,5})\]?\s*[:|>]\s?",
        r"\[(?i:rank|default|worker)[ _:-]?(\d{1,5})\]:?\s?",
        r"\[\d{1,5},(\d{1,5})\](?:<std\w+>)?:?\s?",
        r"(\d{1,5}):\s",
        r"\[(\d{1,5})\]:\s",
        r"\([\w.:-]{1,60}\s+(?:rank=\d+\s+)?pid=(\d{1,9})[^)\n]{0,80}\)\s?",
        r"[\w.-]{1,60}-(\d{1,5})\s*\|\s",
        r"[\w-]{1,60}-(\d{1,5}):\s",
        r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\s\]]{0,12}\]?\s*",
        r"\d\d-\d\d \d\d:\d\d:\d\d\s+",
        r"\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?\s+",
        r"\[?(?:INFO|WARNING|WARN|ERROR|DEBUG|CRITICAL|FATAL|TRACE|stderr|stdout)\]?(?:\s*[:|]|\s)\s?",
        r"\[[\w./-]{1,80}\.(?:py|cc|cpp|h|rs|go):\d+\]:?\s",
        r"(?:[FP]|[|>-])\s",
    ];
    Regex::new(&format!(r"^\s{{0,8}}(?-u:{})", parts.join("|"))).ok()
});

/// tqdm's bars: `45%|████▌     | 450/1000 [00:32<00:40, 13.6it/s]`.
fn without_bars(line: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    static BAR: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let bar = r"(?-u)\d{1,3}%\|[^|\n]{0,400}\|[^\[\n]{0,60}\[[^\]\n]{0,80}\]";
        Regex::new(bar).ok()
    });
    if memchr::memmem::find(line, b"%|").is_none() {
        return line.into();
    }
    match &*BAR {
        Some(bar) => bar.replace_all(line, &b""[..]),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str, rank: Option<&str>) -> String {
        String::from_utf8(clean(raw.as_bytes(), rank.map(str::as_bytes))).unwrap()
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
        assert_eq!(text(raw, Some("0")), "mine\nnobody's\n\n");
    }

    #[test]
    fn bars_escapes_and_line_ends() {
        assert_eq!(text(" 45%|##   | 450/1000 [00:32<00:40, 13.6it/s]CUDA", None), " CUDA\n");
        assert_eq!(text("a\r\nb\rc", None), "a\nb\nc\n");
        assert_eq!(text(r#"{"log":"CUDA out\nof"}"#, None), "{\"log\":\"CUDA out\nof\"}\n");
    }
}
