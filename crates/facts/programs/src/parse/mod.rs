//! Reads program files (docs/programs.md).

mod block;
mod header;
mod line;
mod tokens;

use std::collections::HashSet;

use crate::error::ProgramError;
use crate::instruction::LeafModule;
use crate::program::{Attention, Build, CacheUse, Forward, ForwardKey, MaskUse, Mode, Program};

use block::Reader;

/// The first line of every program.
const FIRST_LINE: &str = "brimful-program 1";

/// A line of the file with its number.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    fn error(self, message: impl Into<String>) -> ProgramError {
        ProgramError { line: self.number, message: message.into() }
    }
}

/// Reads a program file.
pub(crate) fn program(text: &str) -> Result<Program, ProgramError> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .map(|(at, text)| Line { number: at + 1, text: text.trim() })
        .filter(|line| !line.text.is_empty() && !line.text.starts_with('#'))
        .collect();
    let Some((first, rest)) = lines.split_first() else {
        return Err(ProgramError { line: 1, message: format!("the file is empty; expected {FIRST_LINE:?}") });
    };
    if first.text != FIRST_LINE {
        return Err(first.error(format!("the file begins with {:?}; expected {FIRST_LINE:?}", first.text)));
    }
    let sections = rest.iter().position(|line| is_head(line.text)).unwrap_or(rest.len());
    let (head, body) = rest.split_at(sections);
    let header = header::header(head, *first)?;
    sections_of(body, header, lines.last().copied().unwrap_or(*first))
}

fn is_head(text: &str) -> bool {
    text == "build" || text.starts_with("forward ")
}

fn sections_of(
    lines: &[Line<'_>],
    header: crate::program::Header,
    last: Line<'_>,
) -> Result<Program, ProgramError> {
    let tensors = declared(lines);
    let mut reader = Reader::new(lines, last, &tensors);
    let (mut builds, mut forwards) = (Vec::new(), Vec::new());
    while let Some(head) = reader.peek() {
        let heads = reader.heads(section_head)?;
        let conditions = reader.conditions()?;
        let body = reader.section()?;
        if body.is_empty() {
            return Err(head.error("the section holds no instruction; the file may be cut"));
        }
        let keys: Vec<ForwardKey> = heads.iter().copied().flatten().collect();
        match keys.len() {
            0 => builds.push(Build { conditions, body }),
            count if count == heads.len() => forwards.push(Forward { keys, conditions, body }),
            _ => return Err(head.error("`build` and `forward` do not share a section")),
        }
    }
    for (count, name) in [(builds.len(), "build"), (forwards.len(), "forward")] {
        if count == 0 {
            return Err(last.error(format!("the program has no section `{name}`; the file may be cut")));
        }
    }
    Ok(Program { header, builds, forwards })
}

/// The parameters and buffers that constructors make. Names of the config look like theirs, and calls may stand before the
/// constructor that makes what they use.
fn declared(lines: &[Line<'_>]) -> HashSet<String> {
    let mut names = HashSet::new();
    for line in lines {
        let mut words = line.text.split_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if LeafModule::ALL.iter().any(|(_, word)| *word == first) {
            names.insert(format!("{second}.weight"));
            names.insert(format!("{second}.bias"));
        } else if matches!(first, "parameter" | "buffer" | "tie") {
            names.insert(second.to_owned());
        }
    }
    names
}

/// `build`, which is `None`, or the call of a `forward`.
fn section_head(line: Line<'_>) -> Result<Option<ForwardKey>, ProgramError> {
    if line.text == "build" { Ok(None) } else { forward_key(line).map(Some) }
}

/// `forward sdpa train unmasked none`.
fn forward_key(line: Line<'_>) -> Result<ForwardKey, ProgramError> {
    let words: Vec<&str> = line.text.split_whitespace().collect();
    let key = match words.as_slice() {
        ["forward", attention, mode, mask, cache] => Attention::of(attention)
            .zip(Mode::of(mode))
            .zip(MaskUse::of(mask).zip(CacheUse::of(cache)))
            .map(|((attention, mode), (mask, cache))| ForwardKey { attention, mode, mask, cache }),
        _ => None,
    };
    key.ok_or_else(|| {
        line.error(format!(
            "{:?} is no head of a section; expected `forward sdpa|eager train|eval unmasked|masked none|made|given`",
            line.text
        ))
    })
}

#[cfg(test)]
mod tests;
