//! Field patterns: regular expressions with `{name_bytes}` for a size and `{name}` for a whole number.

use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::Input;
use regex_automata::meta::{self, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::util::syntax;

use crate::Value;
use crate::parse::{float, integer, list, size};

/// A regular expression that is compiled when it is first needed.
///
/// Each is matched against a few kilobytes at most, once or twice in the life of a process, so that compiling it is what
/// takes time. Automata that only long texts repay are left out, which halves that time.
#[derive(Debug)]
pub(crate) struct Lazy {
    source: String,
    compiled: OnceLock<Regex>,
}

impl Lazy {
    /// A pattern of the built-in data.
    pub fn new(source: String) -> Self {
        Lazy { source, compiled: OnceLock::new() }
    }

    fn get(&self) -> &Regex {
        self.compiled.get_or_init(|| {
            let quick = meta::Config::new().hybrid(false).dfa(false).onepass(false).utf8_empty(false);
            let bytes = syntax::Config::new().unicode(false).utf8(false);
            let built = Regex::builder().configure(quick).syntax(bytes).build(&self.source);
            // Cannot fail: the patterns are part of the program, and a test compiles each.
            built.unwrap_or_else(|error| panic!("formats/*.toml: {error}: {}", self.source))
        })
    }

    /// Whether the text has a match.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.get().is_match(text)
    }

    /// The first match that begins at `start` or behind it; what stands before counts for `\b` and `^`.
    pub fn find_at(&self, text: &[u8], start: usize) -> Option<Range<usize>> {
        self.get().find(Input::new(text).range(start..)).map(|found| found.range())
    }

    /// Where every match is.
    pub fn find_iter<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        self.get().find_iter(text).map(|found| found.range())
    }

    /// Every match, with its groups.
    pub fn captures_iter<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Groups<'a>> + 'a {
        self.get().captures_iter(text).map(move |found| Groups { text, found })
    }
}

/// A match and its groups.
pub(crate) struct Groups<'a> {
    text: &'a [u8],
    found: Captures,
}

impl<'a> Groups<'a> {
    /// Where a group is; 0 is the whole match.
    pub fn range(&self, group: usize) -> Option<Range<usize>> {
        self.found.get_group(group).map(|span| span.range())
    }

    /// The text of a group.
    pub fn get(&self, group: usize) -> Option<&'a [u8]> {
        self.range(group).map(|range| &self.text[range])
    }
}

/// What a placeholder reads.
#[derive(Clone, Debug, PartialEq)]
enum Reads {
    /// A size; a bare number is in this unit, and is none where the unit is `unit`.
    Size(String),
    Integer,
    Float,
    Word,
    Shape,
}

/// A pattern with one placeholder.
#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    reads: Reads,
    pattern: Lazy,
}

impl Field {
    /// The fields of `…{name}…{other}…`, one for each placeholder.
    pub fn parse(source: &str) -> Vec<Self> {
        let places = placeholders(source);
        (0..places.len()).map(|of| Field::nth(source, &places, of)).collect()
    }

    fn nth(source: &str, places: &[(usize, usize)], of: usize) -> Self {
        let (mut pattern, mut done) = (String::new(), 0);
        for (at, (open, close)) in places.iter().enumerate() {
            let group = group(&placeholder(&source[open + 1..*close]).1);
            pattern += &source[done..*open];
            pattern += &if at == of { format!("({group})") } else { format!("(?:{group})") };
            done = close + 1;
        }
        pattern += &source[done..];
        let (name, reads) = placeholder(&source[places[of].0 + 1..places[of].1]);
        Field { name: name.to_owned(), reads, pattern: Lazy::new(pattern) }
    }

    /// Every figure that the text has of this kind, in order.
    pub fn all<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Value> + 'a {
        self.pattern.captures_iter(text).filter_map(|found| self.value(found.get(1)?))
    }

    /// The first figure of this kind.
    pub fn first(&self, text: &[u8]) -> Option<Value> {
        self.all(text).next()
    }

    /// The last figure of this kind.
    pub fn last(&self, text: &[u8]) -> Option<Value> {
        self.all(text).last()
    }

    fn value(&self, raw: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(raw).ok()?.trim();
        match &self.reads {
            Reads::Size(unit) => size(text, unit).map(Value::Int),
            Reads::Integer => integer(text).map(Value::Int),
            Reads::Float => float(text).map(Value::Float),
            Reads::Word => Some(Value::Text(text.to_owned())),
            Reads::Shape => list(text).map(Value::List),
        }
    }
}

/// Where braces hold a name; `{1,80}` is a count of repetitions.
fn placeholders(source: &str) -> Vec<(usize, usize)> {
    let named = |at: usize| source[at + 1..].starts_with(|c: char| c.is_ascii_lowercase());
    let opens = source.match_indices('{').filter(|(at, _)| named(*at));
    opens.filter_map(|(open, _)| Some((open, open + source[open..].find('}')?))).collect()
}

fn placeholder(inner: &str) -> (&str, Reads) {
    let (name, hint) = inner.split_once(':').unwrap_or((inner, ""));
    (name, reads_of(name, hint))
}

fn reads_of(name: &str, hint: &str) -> Reads {
    match (name, hint) {
        (_, "text") | ("dtype", _) => Reads::Word,
        ("shape", _) => Reads::Shape,
        ("utilization" | "concurrency", _) => Reads::Float,
        _ if name.ends_with("_bytes") => Reads::Size(hint.to_owned()),
        _ => Reads::Integer,
    }
}

fn group(reads: &Reads) -> &'static str {
    match reads {
        Reads::Size(_) => r"-?\s?\d[\d.,]*\s*(?:[KMGTPE]i?[Bb]\b|[KMGTPE]\b|[bB]ytes\b|B\b)?",
        Reads::Integer => r"-?\d[\d,]*",
        Reads::Float => r"\d+(?:\.\d+)?",
        Reads::Word => r"[^\s\])]+",
        Reads::Shape => r"[\d,\s]*",
    }
}
