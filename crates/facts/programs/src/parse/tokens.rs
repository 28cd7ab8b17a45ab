//! The tokens of a line.

use crate::instruction::Slot;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A word, a key, a path or a function's name.
    Name(String),
    /// `%3`, with what follows its dot.
    Slot(Slot, Option<String>),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// `"text"`.
    Text(String),
    /// An operator or a bracket.
    Symbol(&'static str),
}

/// Every symbol, longer ones first.
const SYMBOLS: [&str; 22] = [
    "...", "//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "<", ">", "=", "(", ")", "[", "]",
    ",", ":", ";",
];

/// Splits a line into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut rest = text.trim_start();
    let mut all = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, length) = token(rest, first)?;
        all.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(all)
}

/// The first token of a text that is not empty, and its length in bytes.
fn token(text: &str, first: char) -> Result<(Token, usize), String> {
    let second = text.chars().nth(1).unwrap_or(' ');
    if first == '%' && second.is_ascii_digit() {
        return slot(text);
    }
    if first == '"' {
        return quoted(text);
    }
    if first.is_ascii_digit() {
        return number(text);
    }
    // `...` is a symbol, `.view` a method.
    if is_name_start(first) || (first == '.' && is_name_start(second)) {
        let length =
            length_of(text, |c| is_name_start(c) || c.is_ascii_digit() || matches!(c, '.' | '{' | '}'));
        return Ok((Token::Name(text[..length].to_owned()), length));
    }
    let symbol = SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol));
    symbol
        .map(|symbol| (Token::Symbol(symbol), symbol.len()))
        .ok_or_else(|| format!("{first:?} is no part of a program"))
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// How many bytes at the start of a text satisfy the condition. All of them are ASCII.
fn length_of(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !belongs(c)).unwrap_or(text.len())
}

fn slot(text: &str) -> Result<(Token, usize), String> {
    let digits = length_of(&text[1..], |c| c.is_ascii_digit());
    let number = &text[1..1 + digits];
    let slot = number.parse().map(Slot).map_err(|_| format!("%{number} is no name; numbers end at 2^32"))?;
    let after = &text[1 + digits..];
    let suffix = after.strip_prefix('.').map(|after| length_of(after, |c| c.is_ascii_alphanumeric()));
    match suffix {
        Some(length) if length > 0 => {
            let suffix = after[1..1 + length].to_owned();
            Ok((Token::Slot(slot, Some(suffix)), 2 + digits + length))
        }
        _ => Ok((Token::Slot(slot, None), 1 + digits)),
    }
}

/// A text in JSON's quotes.
fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
    match stream.next() {
        Some(Ok(inner)) => Ok((Token::Text(inner), stream.byte_offset())),
        _ => Err(format!("{text:?} begins a text that does not end")),
    }
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let mut length = length_of(text, |c| c.is_ascii_digit());
    let mut whole = true;
    if text[length..].starts_with('.') && !text[length..].starts_with("..") {
        whole = false;
        length += 1 + length_of(&text[length + 1..], |c| c.is_ascii_digit());
    }
    if text[length..].starts_with(['e', 'E']) {
        whole = false;
        let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
        length += 1 + sign;
        length += length_of(&text[length..], |c| c.is_ascii_digit());
    }
    let digits = &text[..length];
    let token =
        if whole { digits.parse().map(Token::Integer).ok() } else { digits.parse().map(Token::Number).ok() };
    token.map(|token| (token, length)).ok_or_else(|| format!("{digits} is no number within 64 bits"))
}
