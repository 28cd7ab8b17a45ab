//! Where a key stands in the text of a job, for error messages. This runs only after an error.

use toml::de::{DeTable, DeValue};

use crate::Format;

/// The line of the key, counted from 1; `None` if it is not found.
pub(crate) fn line_of(text: &str, format: Format, key: &str) -> Option<usize> {
    let names: Vec<&str> = key.split('.').collect();
    let offset = match format {
        Format::Toml => toml_offset(text, &names)?,
        Format::Json => json_offset(text, &names)?,
        Format::Yaml => return yaml_line(text, &names),
    };
    Some(1 + text.as_bytes().get(..offset)?.iter().filter(|byte| **byte == b'\n').count())
}

fn toml_offset(text: &str, names: &[&str]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut offset = None;
    for name in names {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { break };
        offset = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    offset
}

/// Walks the tokens of a JSON text that is known to be valid, with the names of the tables it is in.
fn json_offset(text: &str, names: &[&str]) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut matched, mut at) = (0usize, 0usize, 0usize);
    let mut best = None;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = end_of_text(bytes, at);
                let is_key = text[end..].trim_start().starts_with(':');
                if is_key && depth == matched + 1 && names.get(matched) == text.get(at + 1..end - 1).as_ref()
                {
                    best = Some(at);
                    matched += 1;
                }
                if matched == names.len() {
                    return best;
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    best
}

/// The position after the closing quote of the text that begins at `at`.
fn end_of_text(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Follows the names down the indentation; stops at the table that is written in one line.
fn yaml_line(text: &str, names: &[&str]) -> Option<usize> {
    let mut best = None;
    let (mut next, mut parent) = (0, None);
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if bare.is_empty() || bare.starts_with('#') || parent.is_some_and(|parent| indent <= parent) {
            if parent.is_some_and(|parent| indent <= parent) && !bare.is_empty() && !bare.starts_with('#') {
                break;
            }
            continue;
        }
        let key = bare.split(':').next().unwrap_or_default().trim_matches(['"', '\'', ' ']);
        if names.get(next) == Some(&key) && (parent.is_some() || indent == 0) {
            (best, parent, next) = (Some(number + 1), Some(indent), next + 1);
        }
        if next == names.len() {
            break;
        }
    }
    best
}
