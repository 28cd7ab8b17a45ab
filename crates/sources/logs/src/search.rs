//! The first pass: which of a few hundred short texts occur, and where.

use aho_corasick::{AhoCorasick, packed};

/// The vectorised search takes no more than this many texts at once.
const GROUP: usize = 64;

/// A search for many short texts.
pub(crate) struct Needles {
    groups: Vec<(usize, Search)>,
    every: AhoCorasick,
    longest: usize,
}

enum Search {
    Packed(packed::Searcher),
    /// Where the processor has no vector instructions for it.
    General(AhoCorasick),
}

impl Needles {
    /// A search for these texts, each of four bytes or more.
    pub fn new(texts: Vec<String>) -> Self {
        let groups = texts.chunks(GROUP).enumerate().map(|(at, texts)| (at * GROUP, Search::new(texts)));
        Needles {
            groups: groups.collect(),
            every: AhoCorasick::new(&texts).expect("the needles of formats/*.toml"),
            longest: texts.iter().map(String::len).max().unwrap_or(0),
        }
    }

    /// The length of the longest text.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The numbers of all texts that occur in a short piece, also of those inside others; sorted.
    pub fn within(&self, piece: &[u8]) -> Vec<usize> {
        let mut found: Vec<usize> =
            self.every.find_overlapping_iter(piece).map(|m| m.pattern().as_usize()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Appends the places in `hay` where texts begin, with the text's number, in order of place. Of texts
    /// that overlap, one is told.
    pub fn find(&self, hay: &[u8], found: &mut Vec<(usize, usize)>) {
        let from = found.len();
        for (first, search) in &self.groups {
            search.each(hay, |at, text| found.push((at, first + text)));
        }
        found[from..].sort_unstable();
    }
}

impl Search {
    fn new(texts: &[String]) -> Self {
        match packed::Config::new().builder().extend(texts).build() {
            Some(searcher) => Search::Packed(searcher),
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
        let needles = Needles::new((0..150).map(|n| format!("needle-{n:03}")).collect());
        let mut found = Vec::new();
        needles.find(b"x needle-149 needle-003 needle-070", &mut found);
        assert_eq!(found, [(2, 149), (13, 3), (24, 70)]);
    }
}
