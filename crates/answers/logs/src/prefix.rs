//! What launchers, loggers, containers and mail put before a line.

use std::sync::LazyLock;

use crate::pattern::{Groups, Pattern};

/// Who wrote a line, as its prefix names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    kind: LabelKind,
    name: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LabelKind {
    Rank,
    /// A number alone: a rank of `srun -l`, or the number of the line.
    Bare,
    /// A process id, which is no rank.
    Process,
}

impl Label {
    /// The rank, if the prefix names one.
    pub fn rank(&self) -> Option<String> {
        (self.kind != LabelKind::Process).then(|| String::from_utf8_lossy(&self.name).into_owned())
    }

    /// The number, if the prefix is nothing but a number.
    pub fn bare(&self) -> Option<u64> {
        let number = || std::str::from_utf8(&self.name).ok()?.parse().ok();
        if self.kind == LabelKind::Bare { number() } else { None }
    }
}

/// A line has no more prefixes than this.
const MOST_PREFIXES: usize = 6;

/// Where each prefix of a line ends, in order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    ends: [usize; MOST_PREFIXES],
    /// How many prefixes the line has.
    pub count: usize,
}

impl Ends {
    /// The line's length of prefixes up to the one of this number, from 1; `None` if it has fewer.
    pub fn after(&self, count: usize) -> Option<usize> {
        match count {
            0 => Some(0),
            _ if count <= self.count => Some(self.ends[count - 1]),
            _ => None,
        }
    }
}

/// The label that a line names and where its prefixes end.
pub(crate) fn prefixes(line: &[u8]) -> (Option<Label>, Ends) {
    let (mut label, mut ends, mut at) = (None, Ends::default(), 0);
    while ends.count < MOST_PREFIXES {
        let Some((named, length)) = prefix(&line[at..]) else { break };
        label = label.or(named);
        at += length;
        ends.ends[ends.count] = at;
        ends.count += 1;
    }
    (label, ends)
}

/// The label and the length of the prefix that a line begins with. A prefix that names somebody comes before another one.
fn prefix(line: &[u8]) -> Option<(Option<Label>, usize)> {
    if !may_begin_prefix(line) {
        return None;
    }
    if let Some(found) = LABEL.captures(line) {
        return Some((label_in(&found), found.range(0)?.end));
    }
    Some((None, PLAIN.find_at(line, 0)?.end))
}

/// The label that a line names in its prefix.
pub(crate) fn label_of(line: &[u8]) -> Option<Label> {
    prefixes(line).0
}

fn label_in(found: &Groups<'_>) -> Option<Label> {
    let (group, name) = found.named()?;
    let kind = match group.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "rank" => LabelKind::Rank,
        "bare" => LabelKind::Bare,
        _ => LabelKind::Process,
    };
    Some(Label { kind, name: name.to_vec() })
}

/// The words that a prefix can begin with, besides the names of workers, which end in `-` and a number.
const WORDS: [&str; 17] = [
    "rank", "default", "worker", "node", "gpu", "info", "warning", "warn", "error", "debug", "critical",
    "fatal", "trace", "stderr", "stdout", "f", "p",
];

/// Whether a line can begin with a prefix, by its first word: most lines cannot, and the pattern takes much longer to see it.
fn may_begin_prefix(line: &[u8]) -> bool {
    // Blanks are of ASCII's white space and of bytes above ASCII, and no prefix begins with one of those.
    let Some(start) = line.iter().position(|byte| (b'!'..=b'~').contains(byte)) else { return false };
    let rest = &line[start..];
    if matches!(rest[0], b'[' | b'(' | b'|' | b'>' | b'-' | b'0'..=b'9') {
        return true;
    }
    let ends = |among: fn(&u8) -> bool| rest.iter().position(|byte| !among(byte)).unwrap_or(rest.len());
    let word = &rest[..ends(u8::is_ascii_alphabetic)];
    let name = &rest[..ends(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))];
    let numbered = |pair: &[u8]| pair[0] == b'-' && pair[1].is_ascii_digit();
    name.windows(2).any(numbered) || WORDS.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// White space before a prefix, also the wide blanks that web pages and word processors put there: U+0085, U+00A0, U+1680,
/// U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000.
const BLANK: &str =
    r"(?:\s|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)";

/// Prefixes that name who wrote the line: torchrun, srun, mpirun, Ray, vLLM, DeepSpeed's pdsh, Docker, Kubernetes.
static LABEL: LazyLock<Pattern> = LazyLock::new(|| {
    one_of(&[
        r"\[?(?i:rank|default|worker|node|gpu)[ _:-]?(?<rank0>\d{1,5})\]?\s*[:|>]\s?",
        r"\[(?i:rank|default|worker)[ _:-]?(?<rank1>\d{1,5})\]:?\s?",
        r"\[\d{1,5},(?<rank2>\d{1,5})\](?:<std\w+>)?:?\s?",
        r"(?<bare0>\d{1,5}):\s",
        r"\[(?<bare1>\d{1,5})\]:\s",
        r"\([\w.:-]{1,60}\s+(?:rank=(?<rank3>\d{1,5})\s+)?pid=(?<process0>\d{1,9})[^)\n]{0,80}\)\s?",
        r"[\w.-]{1,60}-(?<rank4>\d{1,5})\s*\|\s",
        r"[\w-]{1,60}-(?<rank5>\d{1,5}):\s",
    ])
});

/// Prefixes that name nobody: Python's and C++'s loggers, journald, a quotation mark and the line numbers of Markdown and
/// editors. They have no groups, which cost more than the rest of a search.
static PLAIN: LazyLock<Pattern> = LazyLock::new(|| {
    one_of(&[
        r"\d{1,6}(?:\s?\|\s|\t)",
        r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\s\]]{0,16}\]?\s?",
        r"\d\d-\d\d \d\d:\d\d:\d\d\s+",
        r"\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?\s+",
        r"\[?(?:INFO|WARNING|WARN|ERROR|DEBUG|CRITICAL|FATAL|TRACE|stderr|stdout)\]?(?:\s*[:|]|\s)\s?",
        r"\[[\w./-]{1,80}\.(?:py|cc|cpp|h|rs|go):\d+\]:?\s",
        r"(?:[FP]|[|>-])\s",
    ])
});

fn one_of(prefixes: &[&str]) -> Pattern {
    Pattern::new(format!("^{BLANK}{{0,8}}(?:{})", prefixes.join("|")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_is_no_rank_and_tells_lines_apart() {
        let (one, two) = (label_of(b"(EngineCore pid=1094) x"), label_of(b"(EngineCore pid=1095) x"));
        assert_ne!(one, two);
        assert_eq!(one.unwrap().rank(), None);
        assert_eq!(label_of(b"(Worker rank=3 pid=7) x").unwrap().rank().as_deref(), Some("3"));
        assert_eq!(label_of(b"[rank12]: x").unwrap().rank().as_deref(), Some("12"));
    }

    #[test]
    fn a_line_whose_first_word_begins_no_prefix_has_none() {
        let healthy = include_str!("../../../../fixtures/logs/healthy.txt");
        let examples = crate::formats().map(|format| format.example.as_str());
        let (mut without, mut with) = (0, 0);
        for line in examples.chain([healthy]).flat_map(str::lines) {
            // Also from the middle of a line, for lines that begin with anything.
            let starts = (0..line.len().min(40)).map(|at| &line.as_bytes()[at..]);
            for rest in starts {
                let found = LABEL.is_match(rest) || PLAIN.is_match(rest);
                assert!(may_begin_prefix(rest) || !found, "{}", String::from_utf8_lossy(rest));
                *(if may_begin_prefix(rest) { &mut with } else { &mut without }) += 1;
            }
        }
        assert!(without > with && with > 1000, "{without} without, {with} with");
    }

    #[test]
    fn each_prefix_ends_where_the_next_begins() {
        let (_, ends) = prefixes(b"> [rank0]: text");
        assert_eq!(
            (ends.count, ends.after(0), ends.after(1), ends.after(2)),
            (2, Some(0), Some(2), Some(11))
        );
        assert_eq!(ends.after(3), None);
    }
}
