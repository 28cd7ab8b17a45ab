//! Which functions a Rust source defines for C: names after `extern "C" fn`, and the names that it hands to its own macros
//! that write such functions. Names in strings, comments and expressions are none of them.

use std::collections::HashSet;

/// Adds the names of the functions that a source defines for C.
pub fn functions(source: &str, names: &mut HashSet<String>) {
    let tokens = tokens(source);
    let mut macros = HashSet::new();
    for at in 0..tokens.len() {
        match &tokens[at..] {
            ["extern", "\"", "fn", "$", ..] => {}
            ["extern", "\"", "fn", name, ..] => {
                names.insert((*name).to_owned());
            }
            ["macro_rules", "!", name, "{", body @ ..] if writes_functions(body) => {
                macros.insert(*name);
            }
            [name, "!", "(", arguments @ ..] if macros.contains(name) => entries(arguments, names),
            _ => {}
        }
    }
}

/// Whether a macro's body, which begins here, defines a function whose name it is given.
fn writes_functions(body: &[&str]) -> bool {
    within(body).windows(4).any(|tokens| tokens == ["extern", "\"", "fn", "$"])
}

/// The tokens up to the bracket that closes the one before them.
fn within<'t, 's>(tokens: &'t [&'s str]) -> &'t [&'s str] {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return &tokens[..at],
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    tokens
}

/// The names with which the entries of a macro's arguments begin: at the beginning, and behind a comma or a semicolon outside
/// of brackets. A list in brackets before the first entry is what the entries share; a colon ends it.
fn entries(arguments: &[&str], names: &mut HashSet<String>) {
    let (mut depth, mut begins, mut is_first) = (0, true, true);
    for token in within(arguments) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            name if begins && depth == 0 && is_name(name) => {
                names.insert(name.to_owned());
                is_first = false;
            }
            _ => {}
        }
        begins = depth == 0 && (matches!(*token, "," | ";") || (is_first && *token == ":"));
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, and every other character for itself. A string or a character literal is a quotation mark; comments are left out.
fn tokens(source: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            tokens.push("\"");
            string_length(rest)
        } else if first == '\'' {
            character_length(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(&rest[..length]);
            length
        } else {
            if !first.is_whitespace() {
                tokens.push(&rest[..first.len_utf8()]);
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// The quote of a lifetime alone, and a character literal as a whole.
fn character_length(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => text[3..].find('\'').map_or(text.len(), |at| at + 4),
        (Some(one), Some('\'')) => one.len_utf8() + 2,
        _ => 1,
    }
}
