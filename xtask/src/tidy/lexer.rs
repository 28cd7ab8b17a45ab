//! The comments and string literals of a Rust source. The parser drops comments, so they are found here.

/// A comment or a string literal.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// The line of its beginning, counted from 1.
    pub line: usize,
    /// What it says, without slashes, stars and quotes. Line comments that follow each other are one piece.
    pub text: String,
    /// Whether it is a string literal.
    pub is_string: bool,
}

/// All pieces of a text, in its order.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut lexer = Lexer { rest: text, line: 1, found: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.found
}

struct Lexer<'t> {
    rest: &'t str,
    line: usize,
    found: Vec<Piece>,
}

impl<'t> Lexer<'t> {
    fn step(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            let text = self.take(end).trim_start_matches(['/', '!']);
            self.comment_line(text);
        } else if rest.starts_with("/*") {
            let (line, end) = (self.line, block_end(rest));
            let text = self.take(end).to_owned();
            self.found.push(Piece { line, text, is_string: false });
        } else if let Some((open, close)) = raw_string(rest) {
            let end = rest[open..].find(&close).map_or(rest.len(), |at| open + at);
            self.string(open, end, close.len());
        } else if rest.starts_with('"') {
            let end = string_end(rest);
            self.string(1, end, 1);
        } else if rest.starts_with('\'') {
            self.take(char_end(rest));
        } else {
            // Past the whole identifier, so that the r of `for"` opens no raw string.
            let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let one = rest.chars().next().map_or(1, char::len_utf8);
            self.take(name.max(one));
        }
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn string(&mut self, open: usize, end: usize, close: usize) {
        let line = self.line;
        let whole = self.take(end + close);
        let text = whole.get(open..end.min(whole.len())).unwrap_or_default().to_owned();
        self.found.push(Piece { line, text, is_string: true });
    }

    /// Joins a line comment to the one above it.
    fn comment_line(&mut self, text: &str) {
        let here = self.line;
        if let Some(last) = self.found.last_mut() {
            let follows = last.line + last.text.matches('\n').count() + 1 == here;
            if !last.is_string && follows {
                last.text.push('\n');
                last.text.push_str(text);
                return;
            }
        }
        self.found.push(Piece { line: here, text: text.to_owned(), is_string: false });
    }
}

/// The end of a block comment, which may hold others.
fn block_end(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Where the text of a raw string begins, and what ends it.
fn raw_string(text: &str) -> Option<(usize, String)> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix);
        after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = text[prefix.len()..].find('"')?;
    Some((prefix.len() + hashes + 1, format!("\"{}", "#".repeat(hashes))))
}

fn string_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// The length of a character literal; 1 for the quote of a lifetime.
fn char_end(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(1, |at| at + 4),
        Some((at, c)) if text[at + c.len_utf8()..].starts_with('\'') => at + c.len_utf8() + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String, bool)> {
        pieces(text).into_iter().map(|piece| (piece.line, piece.text, piece.is_string)).collect()
    }

    #[test]
    fn comments_that_follow_each_other_are_one() {
        let found = texts("//! a\n//! b\n\n/// c\nfn d() {} // e\n/* f /* g */ */");
        let expected = [(1, " a\n b"), (4, " c\n e"), (6, "/* f /* g */ */")];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned(), false)));
    }

    #[test]
    fn strings_hold_no_comments_and_comments_no_strings() {
        let found = texts("let a = \"b // c \\\" d\"; // \"e\"\nlet f = r#\"g \" // h\"#;");
        assert_eq!(
            found,
            [
                (1, "b // c \\\" d".to_owned(), true),
                (1, " \"e\"".to_owned(), false),
                (2, "g \" // h".to_owned(), true)
            ]
        );
    }

    #[test]
    fn lifetimes_and_characters_open_no_string() {
        let found = texts("fn a<'b>(c: &'b str) { match d { '\"' | '\\'' | '\\u{1f}' => e(\"f\") } }");
        assert_eq!(found, [(1, "f".to_owned(), true)]);
    }
}
