//! The first pass: which of a few hundred short texts occur, and where.

use aho_corasick::{AhoCorasick, packed};

/// The vectorised search takes no more than this many texts at once.
const GROUP: usize = 64;

/// A search for many short texts.
///
/// In the whole log each text is searched by its *anchor*, the suffix that starts at its rarest four bytes; an anchor that
/// is contained in another one replaces it. The texts themselves are searched near an anchor only.
pub(crate) struct Needles {
    groups: Vec<Group>,
    anchors: Vec<String>,
    /// The anchors from this one on are context only.
    context_from: usize,
    texts: Vec<String>,
    beginnings: Beginnings,
}

struct Group {
    first: usize,
    context_only: bool,
    search: Search,
}

enum Search {
    Packed(packed::Searcher),
    /// Where the processor has no vector instructions for it.
    General(AhoCorasick),
}

impl Needles {
    /// A search for these texts, each of four bytes or more. A text is context
    /// only if no failure begins with it.
    pub fn new(texts: Vec<String>, is_quiet: impl Fn(usize) -> bool) -> Self {
        let mut anchors: Vec<&str> = texts.iter().map(|text| anchor(text)).collect();
        anchors.sort_unstable();
        anchors.dedup();
        let inside = Beginnings::of(&anchors);
        // An anchor that contains another one is found with it.
        let contains_another = |(at, anchor): (usize, &&str)| {
            let mut others = false;
            inside.each(&anchors, anchor.as_bytes(), |found| others |= found != at);
            others
        };
        let contains_another: Vec<bool> = anchors.iter().enumerate().map(contains_another).collect();
        let mut begins_failure = vec![false; anchors.len()];
        for (_, text) in texts.iter().enumerate().filter(|(at, _)| !is_quiet(*at)) {
            inside.each(&anchors, text.as_bytes(), |anchor| begins_failure[anchor] = true);
        }
        let kept = |failures: bool| -> Vec<String> {
            let kept =
                (0..anchors.len()).filter(|at| !contains_another[*at] && begins_failure[*at] == failures);
            kept.map(|at| anchors[at].to_owned()).collect()
        };
        let (context_only, mut anchors) = (kept(false), kept(true));
        let context_from = anchors.len();
        let mut groups = grouped(&anchors, 0, false);
        groups.extend(grouped(&context_only, context_from, true));
        anchors.extend(context_only);
        Needles { groups, anchors, context_from, beginnings: Beginnings::of(&texts), texts }
    }

    /// Whether no failure begins with an anchor.
    pub fn is_quiet(&self, anchor: usize) -> bool {
        anchor >= self.context_from
    }

    /// The number of anchors.
    pub fn anchors(&self) -> usize {
        self.anchors.len()
    }

    /// The length of the longest anchor.
    pub fn longest(&self) -> usize {
        self.anchors.iter().map(String::len).max().unwrap_or(0)
    }

    /// The numbers of all texts that occur in a short piece, also of those inside others; sorted.
    pub fn within(&self, piece: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        self.beginnings.each(&self.texts, piece, |text| found.push(text));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Appends the places in `hay` where anchors begin, with the anchor's number, in order of place. Of anchors
    /// that overlap, one is reported. Those that are context only are left out unless the caller wants them.
    pub fn find(&self, hay: &[u8], context_only: bool, found: &mut Vec<(usize, usize)>) {
        let from = found.len();
        for group in self.groups.iter().filter(|group| context_only || !group.context_only) {
            group.search.each(hay, |at, text| found.push((at, group.first + text)));
        }
        found[from..].sort_unstable();
    }
}

/// Texts by their first bytes. It is built in a hundredth of the time that an automaton takes, and it runs over little text.
struct Beginnings {
    /// The first bytes of each text and its number, sorted.
    heads: Vec<(u32, usize)>,
    /// The bits of the hashes of all heads: most places in a text need no look at the list.
    hashes: [u64; 1 << (HASH_BITS - 6)],
}

/// A few hundred texts set one bit of twenty.
const HASH_BITS: u32 = 13;

/// The bit of a head: an odd number with many bits set (2^32 / golden ratio) carries each byte to the high bits.
fn hash(head: u32) -> usize {
    (head.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

fn head(text: &[u8]) -> Option<u32> {
    text.first_chunk::<COMPARED>().map(|head| u32::from_be_bytes(*head))
}

impl Beginnings {
    /// Texts of four bytes or more.
    fn of<T: AsRef<[u8]>>(texts: &[T]) -> Self {
        let heads = texts.iter().enumerate().filter_map(|(at, text)| Some((head(text.as_ref())?, at)));
        let mut heads: Vec<(u32, usize)> = heads.collect();
        heads.sort_unstable();
        let mut hashes = [0; 1 << (HASH_BITS - 6)];
        for (head, _) in &heads {
            hashes[hash(*head) / 64] |= 1 << (hash(*head) % 64);
        }
        Beginnings { heads, hashes }
    }

    /// The number of each text that occurs in `hay`, once for each place where it begins. `texts` are those it was built of.
    fn each<T: AsRef<[u8]>>(&self, texts: &[T], hay: &[u8], mut hit: impl FnMut(usize)) {
        for (at, window) in hay.windows(COMPARED).filter_map(head).enumerate() {
            if self.hashes[hash(window) / 64] >> (hash(window) % 64) & 1 == 0 {
                continue;
            }
            let first = self.heads.partition_point(|(head, _)| *head < window);
            let same = self.heads[first..].iter().take_while(|(head, _)| *head == window);
            same.filter(|(_, text)| hay[at..].starts_with(texts[*text].as_ref()))
                .for_each(|(_, text)| hit(*text));
        }
    }
}

fn grouped(anchors: &[String], from: usize, context_only: bool) -> Vec<Group> {
    let groups = anchors.chunks(GROUP).enumerate();
    groups
        .map(|(at, texts)| Group { first: from + at * GROUP, context_only, search: Search::new(texts) })
        .collect()
}

/// The vectorised search compares this many bytes before it looks closer.
const COMPARED: usize = 4;

/// Anchors are no shorter than this, where the text is not: short ones would be everywhere.
const SHORTEST: usize = 10;

/// The text from its rarest bytes on.
fn anchor(text: &str) -> &str {
    let bytes = text.as_bytes();
    let rare = |at: &usize| bytes[*at..at + COMPARED].iter().map(|byte| rarity(*byte)).sum::<u32>();
    let starts = (0..=bytes.len().saturating_sub(SHORTEST)).filter(|at| text.is_char_boundary(*at));
    let best = starts.filter(|at| at + COMPARED <= bytes.len()).min_by_key(|at| (u32::MAX - rare(at), *at));
    &text[best.unwrap_or(0)..]
}

/// How seldom a byte is in logs of training and serving, roughly.
fn rarity(byte: u8) -> u32 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b' ' | b'0'..=b'9' | b'.' | b':' | b'=' => 0,
        b'l' | b'd' | b'c' | b'm' | b'p' | b'g' | b'u' | b'_' | b'-' | b',' | b'/' | b'[' | b']' => 1,
        b'h' | b'f' | b'w' | b'b' | b'v' | b'y' | b'k' | b'"' | b'(' | b')' => 2,
        _ => 3,
    }
}

impl Search {
    fn new(texts: &[String]) -> Self {
        match packed::Config::new().builder().extend(texts).build() {
            Some(searcher) => Search::Packed(searcher),
            // Cannot fail: a few dozen short texts are far from the limits of an automaton.
            None => Search::General(AhoCorasick::new(texts).expect("the needles of formats/*.toml")),
        }
    }

    fn each(&self, hay: &[u8], mut hit: impl FnMut(usize, usize)) {
        match self {
            Search::Packed(search) => {
                search.find_iter(hay).for_each(|m| hit(m.start(), m.pattern().as_usize()))
            }
            Search::General(search) => {
                search.find_iter(hay).for_each(|m| hit(m.start(), m.pattern().as_usize()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_texts_of_every_group() {
        let needles = Needles::new((0..150).map(|n| format!("needle-{n:03}")).collect(), |at| at % 2 == 1);
        let found = |context_only| {
            let mut found = Vec::new();
            needles.find(b"x needle-149 needle-004 needle-070", context_only, &mut found);
            found.iter().map(|hit| needles.anchors[hit.1].as_str()).collect::<Vec<_>>()
        };
        assert_eq!(found(true), ["needle-149", "needle-004", "needle-070"].map(anchor));
        assert_eq!(found(false), ["needle-004", "needle-070"].map(anchor));
    }

    #[test]
    fn texts_inside_others_are_found() {
        let needles =
            Needles::new(["of memory", "out of mem", "memory", "none"].map(str::to_owned).into(), |_| false);
        assert_eq!(needles.within(b"CUDA out of memory, out of memory"), [0, 1, 2]);
        assert_eq!(needles.within(b"out"), Vec::<usize>::new());
    }

    #[test]
    fn anchors_begin_with_what_is_rare() {
        assert_eq!(anchor("one GPU BLOCK more"), "BLOCK more");
    }
}
