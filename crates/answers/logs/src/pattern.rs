//! Patterns, and the fields among them: regular expressions with `{name_bytes}` for a size and `{name}` for a whole number.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use regex_automata::Input;
use regex_automata::meta::{self, Regex};
use regex_automata::util::captures::Captures;
#[cfg(test)]
use regex_automata::util::primitives::PatternID;
use regex_automata::util::syntax;

use crate::Value;
use crate::parse::{float, integer, list, size};
use crate::required::{Required, required};

/// Bytes that a pattern searches before its lazy automaton is worth its compilation: a short message, a few times.
const SHORT: usize = 1 << 11;

/// A regular expression that is compiled when it is first needed.
///
/// Most are matched against a few kilobytes, once or twice in the life of a process, so that compiling them is what takes
/// time: a pattern is compiled only where a text that each of its matches holds occurs, and at first without the automata
/// that only long texts repay. A pattern that searches more is compiled again, with them. Classes such as `\w` are those of
/// ASCII.
#[derive(Debug)]
pub struct Pattern {
    source: Cow<'static, str>,
    required: OnceLock<Required>,
    /// Quick to compile.
    compiled: OnceLock<Regex>,
    /// Quick to search.
    automaton: OnceLock<Regex>,
    /// Bytes searched so far.
    searched: AtomicUsize,
}

impl Pattern {
    /// A pattern of the built-in data. It is not checked before it is first needed; [`Pattern::check`] is for tests.
    pub fn new(source: String) -> Self {
        Pattern::of(Cow::Owned(source))
    }

    /// A pattern of the program.
    pub(crate) const fn constant(source: &'static str) -> Self {
        Pattern::of(Cow::Borrowed(source))
    }

    const fn of(source: Cow<'static, str>) -> Self {
        Pattern {
            source,
            required: OnceLock::new(),
            compiled: OnceLock::new(),
            automaton: OnceLock::new(),
            searched: AtomicUsize::new(0),
        }
    }

    /// Compiles the pattern.
    ///
    /// # Errors
    /// The pattern with what is wrong in it.
    pub fn check(&self) -> Result<(), String> {
        self.compile(meta::Config::new()).map(|_| ())
    }

    fn compile(&self, config: meta::Config) -> Result<Regex, String> {
        let bytes = syntax::Config::new().unicode(false).utf8(false);
        let built = Regex::builder().configure(config.utf8_empty(false)).syntax(bytes).build(&self.source);
        built.map_err(|error| format!("{error}: {}", self.source))
    }

    /// The compiled pattern; `None` if the text lacks what every match holds.
    fn for_text(&self, text: &[u8]) -> Option<&Regex> {
        // A compiled pattern looks for its texts itself.
        if self.compiled.get().is_none() && self.automaton.get().is_none() {
            let required = self.required.get_or_init(|| required(&self.source));
            if required.as_ref().is_some_and(|texts| !texts.occur(text)) {
                return None;
            }
        }
        let searched = self.searched.fetch_add(text.len(), Ordering::Relaxed) + text.len();
        let (place, config) = if searched <= SHORT {
            // Half of the time of compiling goes into finding literals to search for.
            let quick = meta::Config::new().hybrid(false).dfa(false).onepass(false).auto_prefilter(false);
            (&self.compiled, quick)
        } else {
            (&self.automaton, meta::Config::new())
        };
        // Cannot fail: the patterns are part of the program, and tests compile each.
        Some(place.get_or_init(|| self.compile(config).unwrap_or_else(|error| panic!("{error}"))))
    }

    #[cfg(test)]
    pub(crate) fn groups(&self) -> usize {
        self.compile(meta::Config::new()).unwrap().group_info().group_len(PatternID::ZERO)
    }

    #[cfg(test)]
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the text has a match, also where it lacks what the pattern requires.
    #[cfg(test)]
    pub(crate) fn is_match_compiled(&self, text: &[u8]) -> bool {
        self.compiled.get_or_init(|| self.compile(meta::Config::new()).unwrap()).is_match(text)
    }

    /// Whether the text has a match.
    pub fn is_match(&self, text: &[u8]) -> bool {
        // `Regex::is_match` of a text above 128 bytes takes the slower of the two engines, which finds the end of a match first.
        self.for_text(text).is_some_and(|regex| regex.find(text).is_some())
    }

    /// The first match that begins at `start` or behind it; what stands before counts for `\b` and `^`.
    pub(crate) fn find_at(&self, text: &[u8], start: usize) -> Option<Range<usize>> {
        self.for_text(text)?.find(Input::new(text).range(start..)).map(|found| found.range())
    }

    /// Where every match is.
    pub(crate) fn find_iter<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        let regex = self.for_text(text).into_iter();
        regex.flat_map(move |regex| regex.find_iter(text)).map(|found| found.range())
    }

    /// Every match, with its groups.
    pub(crate) fn captures_iter<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Groups<'a>> + 'a {
        let regex = self.for_text(text).into_iter();
        regex.flat_map(move |regex| regex.captures_iter(text)).map(move |found| Groups { text, found })
    }

    /// The first match, with its groups.
    pub(crate) fn captures<'a>(&self, text: &'a [u8]) -> Option<Groups<'a>> {
        let regex = self.for_text(text)?;
        let mut found = regex.create_captures();
        regex.captures(text, &mut found);
        found.is_match().then_some(Groups { text, found })
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

    /// The text of a group, as a string.
    pub fn string(&self, group: usize) -> Option<String> {
        self.get(group).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// The first named group that matched.
    pub fn named(&self) -> Option<(&str, &'a [u8])> {
        let names = self.found.group_info().pattern_names(self.found.pattern()?);
        names.enumerate().find_map(|(group, name)| Some((name?, self.get(group)?)))
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

/// One placeholder of a pattern.
#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    reads: Reads,
    /// The fields of one source share its pattern: compiling it takes longer than a short log takes to search.
    pattern: Arc<Pattern>,
    /// The group of the pattern that holds the figure.
    group: usize,
}

impl Field {
    /// The fields of `…{name}…{other}…`, one for each placeholder. The source has no capturing groups of its own.
    pub fn parse(source: &str) -> Vec<Self> {
        let (mut pattern, mut done, mut read) = (String::new(), 0, Vec::new());
        for (open, close) in placeholders(source) {
            let (name, reads) = placeholder(&source[open + 1..close]);
            pattern += &source[done..open];
            pattern += &format!("({})", group(&reads));
            read.push((name.to_owned(), reads));
            done = close + 1;
        }
        pattern += &source[done..];
        let pattern = Arc::new(Pattern::new(pattern));
        let numbered = (1..).zip(read);
        numbered
            .map(|(group, (name, reads))| Field { name, reads, pattern: Arc::clone(&pattern), group })
            .collect()
    }

    #[cfg(test)]
    pub fn group(&self) -> usize {
        self.group
    }

    #[cfg(test)]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Every figure that the text has of this kind, in order.
    pub fn all<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Value> + 'a {
        self.pattern.captures_iter(text).filter_map(|found| self.value(found.get(self.group)?))
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
