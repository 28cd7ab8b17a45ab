//! Texts of which one occurs in every match of a regular expression. A pattern whose texts are all absent is not compiled.

/// What every match of a pattern holds, in upper or lower case; `None` if the pattern can match without any fixed text.
pub(crate) type Required = Option<Texts>;

/// Texts in lower case that occur together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Texts {
    One(Vec<u8>),
    All(Vec<Texts>),
    Any(Vec<Texts>),
}

impl Texts {
    /// Whether a text has them.
    pub fn occur(&self, text: &[u8]) -> bool {
        self.occur_in_lower(&text.to_ascii_lowercase())
    }

    fn occur_in_lower(&self, lower: &[u8]) -> bool {
        match self {
            Texts::One(text) => memchr::memmem::find(lower, text).is_some(),
            Texts::All(texts) => texts.iter().all(|texts| texts.occur_in_lower(lower)),
            Texts::Any(texts) => texts.iter().any(|texts| texts.occur_in_lower(lower)),
        }
    }
}

/// Reads the required texts from the source of a pattern.
///
/// Every doubt is decided for fewer and shorter texts: what an unknown escape stands for is not looked at, and a part that may
/// be absent requires nothing. Upper and lower case are taken for equal, so that the flag `i` needs no care.
pub(crate) fn required(source: &str) -> Required {
    let mut reader = Reader { source: source.as_bytes(), at: 0, unreadable: false };
    let texts = reader.alternatives();
    texts.filter(|_| !reader.unreadable && reader.at == source.len())
}

struct Reader<'a> {
    source: &'a [u8],
    at: usize,
    /// The pattern has a part whose meaning is not known here.
    unreadable: bool,
}

/// What one part of a pattern requires.
enum Part {
    Byte(u8),
    Any(Required),
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    /// Alternatives up to the end of the group. All of them must require a text for one to be required.
    fn alternatives(&mut self) -> Required {
        let mut branches = vec![self.sequence()];
        while self.peek() == Some(b'|') {
            self.at += 1;
            branches.push(self.sequence());
        }
        let mut branches: Vec<Texts> = branches.into_iter().collect::<Option<_>>()?;
        if branches.len() == 1 { branches.pop() } else { Some(Texts::Any(branches)) }
    }

    /// Parts up to the next alternative: all that they require.
    fn sequence(&mut self) -> Required {
        let (mut all, mut run): (Vec<Texts>, Vec<u8>) = (Vec::new(), Vec::new());
        while let Some(byte) = self.peek().filter(|byte| !matches!(byte, b'|' | b')')) {
            let part = self.part(byte);
            let repeats = self.quantifier();
            let there = !matches!(repeats, Repeats::Perhaps);
            if let (Part::Byte(byte), true) = (&part, there) {
                run.push(byte.to_ascii_lowercase());
            }
            // After a byte that is there once the text goes on.
            if matches!((&part, &repeats), (Part::Byte(_), Repeats::Once)) {
                continue;
            }
            all.extend(one(&mut run));
            if let (Part::Any(texts), true) = (part, there) {
                all.extend(texts);
            }
        }
        all.extend(one(&mut run));
        if all.len() < 2 { all.pop() } else { Some(Texts::All(all)) }
    }

    fn part(&mut self, first: u8) -> Part {
        self.at += 1;
        match first {
            b'(' => Part::Any(self.group()),
            b'[' => {
                self.class();
                Part::Any(None)
            }
            b'\\' => self.escape(),
            b'.' | b'^' | b'$' => Part::Any(None),
            // A quantifier counts characters: what is repeated of another one than ASCII's is more than its last byte.
            _ if !first.is_ascii() => Part::Any(None),
            _ => Part::Byte(first),
        }
    }

    /// A group after its `(`.
    fn group(&mut self) -> Required {
        if self.peek() == Some(b'?') {
            let rest = &self.source[self.at..];
            let name = rest.starts_with(b"?<") || rest.starts_with(b"?P<");
            let ends: &[u8] = if name { b">" } else { b":)" };
            let end = rest.iter().position(|byte| ends.contains(byte)).unwrap_or(rest.len());
            // The flag `x` gives white space and `#` another meaning.
            self.unreadable |= !name && rest[..end].contains(&b'x');
            self.at += end;
            if self.peek() == Some(b')') {
                self.at += 1;
                return None;
            }
            self.at = (self.at + 1).min(self.source.len());
        }
        let texts = self.alternatives();
        self.unreadable |= self.peek() != Some(b')');
        self.at = (self.at + 1).min(self.source.len());
        texts
    }

    /// A class after its `[`.
    fn class(&mut self) {
        let mut depth = 1;
        if self.peek() == Some(b'^') {
            self.at += 1;
        }
        // A bracket that comes first closes nothing.
        if self.peek() == Some(b']') {
            self.at += 1;
        }
        while depth > 0 {
            match self.peek() {
                Some(b'[') => depth += 1,
                Some(b']') => depth -= 1,
                Some(b'\\') => self.at += 1,
                Some(_) => {}
                None => {
                    self.unreadable = true;
                    return;
                }
            }
            self.at += 1;
        }
    }

    /// An escape after its backslash.
    fn escape(&mut self) -> Part {
        let Some(byte) = self.peek() else {
            self.unreadable = true;
            return Part::Any(None);
        };
        self.at += 1;
        match byte {
            b'b' | b'B' | b'd' | b'D' | b's' | b'S' | b'w' | b'W' | b'A' | b'z' | b'n' | b'r' | b't' => {
                Part::Any(None)
            }
            _ if byte.is_ascii_punctuation() => Part::Byte(byte),
            _ => {
                self.unreadable = true;
                Part::Any(None)
            }
        }
    }

    fn quantifier(&mut self) -> Repeats {
        let repeats = match self.peek() {
            Some(b'?' | b'*') => Repeats::Perhaps,
            Some(b'+') => Repeats::AtLeastOnce,
            Some(b'{') => {
                let rest = &self.source[self.at..];
                self.at += rest.iter().position(|byte| *byte == b'}').unwrap_or(rest.len() - 1);
                Repeats::Perhaps
            }
            _ => return Repeats::Once,
        };
        self.at += 1;
        if self.peek() == Some(b'?') {
            self.at += 1;
        }
        repeats
    }
}

enum Repeats {
    Once,
    AtLeastOnce,
    /// Zero times, too; counts in braces are not read and are taken for this.
    Perhaps,
}

/// The text read so far, if there is one.
fn one(run: &mut Vec<u8>) -> Option<Texts> {
    Some(std::mem::take(run)).filter(|run| !run.is_empty()).map(Texts::One)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts with `&` between those that occur together and `|` between alternatives.
    fn shown(texts: &Texts) -> String {
        let each = |texts: &[Texts], glue| texts.iter().map(shown).collect::<Vec<_>>().join(glue);
        match texts {
            Texts::One(text) => String::from_utf8(text.clone()).unwrap(),
            Texts::All(texts) => each(texts, " & "),
            Texts::Any(texts) => format!("({})", each(texts, " | ")),
        }
    }

    #[test]
    fn every_part_that_must_be_there_is_required() {
        for (source, texts) in [
            (r"out\s+of\s+memory", "out & of & memory"),
            (r"colou?r", "colo & r"),
            (r"ab{2}", "a"),
            (r"\(x+y", "(x & y"),
            (r"[a-z\]]KiB\b", "kib"),
            (r"[]x]one[[:alpha:]]", "one"),
            (r"(?i)Shard|(?P<n>load)er", "(shard | load & er)"),
            (r"(?:NvMap|Tegra)\d", "(nvmap | tegra)"),
            (r"(?:one|two)?three", "three"),
            (r"(?:one|tw\w*)+", "(one | tw)"),
        ] {
            assert_eq!(shown(&required(source).unwrap()), texts, "{source}");
        }
    }

    #[test]
    fn what_may_be_absent_or_is_not_understood_requires_nothing() {
        for source in [r"\d+", r"one|\d", r"(?:one)?", r"(?:one)*\d", r"(?x) a b", r"\x41bc", "one)", "é"] {
            assert_eq!(required(source), None, "{source}");
        }
    }

    #[test]
    fn texts_are_found_in_upper_and_lower_case() {
        let texts = required("(?:shard|part)s of").unwrap();
        assert!(texts.occur(b"Loading SHARDS of"));
        assert!(!texts.occur(b"Loading SHARDS"));
        assert!(!texts.occur(b"of files"));
    }
}
