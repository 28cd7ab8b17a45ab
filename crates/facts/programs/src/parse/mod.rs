//! Reads program files (docs/programs.md).

mod block;
mod header;
mod line;
mod tokens;

use std::collections::HashSet;

use crate::error::ProgramError;
use crate::program::{Attention, CacheUse, Forward, ForwardKey, MaskUse, Mode, Program};

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
    let Some((build_head, rest)) = lines.split_first().filter(|(head, _)| head.text == "build") else {
        return Err(last.error("the program has no section `build` before its first `forward`"));
    };
    let mut tensors = HashSet::new();
    let mut reader = Reader::new(rest, *build_head, &mut tensors);
    let build = reader.section()?;
    let mut forwards = Vec::new();
    while let Some(head) = reader.peek() {
        let keys = reader.heads(forward_key)?;
        let condition = reader.condition()?;
        let body = reader.section()?;
        if body.is_empty() {
            return Err(head.error("the section holds no instruction; the file may be cut"));
        }
        forwards.push(Forward { keys, condition, body });
    }
    if forwards.is_empty() {
        return Err(last.error("the program has no section `forward`; the file may be cut"));
    }
    Ok(Program { header, build, forwards })
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
