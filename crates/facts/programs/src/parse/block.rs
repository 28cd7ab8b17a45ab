//! The instructions of a section.

use std::collections::HashSet;

use super::line::Words;
use super::{Line, is_head};
use crate::error::ProgramError;
use crate::expression::Expression;
use crate::instruction::{Instruction, LayerCall, LeafModule, Path};

/// Blocks nest this deep at most: modules of modules, and recursion needs a bound.
const DEEPEST: usize = 64;

/// Reads sections line by line.
pub(super) struct Reader<'a> {
    lines: &'a [Line<'a>],
    at: usize,
    depth: usize,
    /// The line read last, for errors at the end of the file.
    last: Line<'a>,
    tensors: &'a HashSet<String>,
}

impl<'a> Reader<'a> {
    /// Reads `lines`; `head` is the line before them.
    pub fn new(lines: &'a [Line<'a>], head: Line<'a>, tensors: &'a HashSet<String>) -> Reader<'a> {
        Reader { lines, at: 0, depth: 0, last: head, tensors }
    }

    /// The next line.
    pub fn peek(&self) -> Option<Line<'a>> {
        self.lines.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Line<'a>> {
        let line = self.peek()?;
        self.at += 1;
        self.last = line;
        Some(line)
    }

    /// The heads of a section, one for each call that it describes.
    pub fn heads<T>(
        &mut self,
        read: impl Fn(Line<'a>) -> Result<T, ProgramError>,
    ) -> Result<Vec<T>, ProgramError> {
        let mut heads = Vec::new();
        while let Some(line) = self.peek().filter(|line| is_head(line.text)) {
            heads.push(read(line)?);
            self.next();
        }
        Ok(heads)
    }

    /// Lines `when CONDITION` right under the heads: for which configs the section holds. A line `do` ends them where the
    /// first instruction begins with `when` as well.
    pub fn conditions(&mut self) -> Result<Vec<Expression>, ProgramError> {
        let mut all = Vec::new();
        while let Some(line) = self.peek().filter(|line| line.text.starts_with("when ")) {
            self.next();
            all.push(self.words(line, 1, |words| words.expression())?);
        }
        if self.peek().is_some_and(|line| line.text == "do") {
            self.next();
        }
        Ok(all)
    }

    /// The instructions to the next head or the end of the file.
    pub fn section(&mut self) -> Result<Vec<Instruction>, ProgramError> {
        let (body, end) = self.block(&[])?;
        match end {
            None => Ok(body),
            Some(line) => Err(line.error(format!("{:?} ends nothing", line.text))),
        }
    }

    /// The instructions to a line that ends the block, which is taken and returned; `None` at a head or the end of the file.
    fn block(&mut self, ends: &[&str]) -> Result<(Vec<Instruction>, Option<Line<'a>>), ProgramError> {
        let mut body = Vec::new();
        while let Some(line) = self.peek().filter(|line| !is_head(line.text)) {
            self.next();
            let first = line.text.split_whitespace().next().unwrap_or("");
            if ends.contains(&line.text) || ends.contains(&first) {
                return Ok((body, Some(line)));
            }
            body.push(self.instruction(line, first)?);
        }
        Ok((body, None))
    }

    /// As [`Reader::block`], where the end must come.
    fn closed(
        &mut self,
        opened: Line<'_>,
        ends: &[&str],
    ) -> Result<(Vec<Instruction>, Line<'a>), ProgramError> {
        if self.depth == DEEPEST {
            return Err(opened.error(format!("blocks nest deeper than {DEEPEST}")));
        }
        self.depth += 1;
        let (body, end) = self.block(ends)?;
        self.depth -= 1;
        let end = end.ok_or_else(|| {
            let message = format!("the block of line {} does not end; expected `{}`", opened.number, ends[0]);
            self.last.error(message)
        })?;
        Ok((body, end))
    }

    fn instruction(&mut self, line: Line<'a>, first: &str) -> Result<Instruction, ProgramError> {
        match first {
            "enter" => self.scope(line),
            "grad" if line.text == "grad off" => {
                Ok(Instruction::NoGrad(self.closed(line, &["grad restore"])?.0))
            }
            "autocast" if line.text == "autocast off" => {
                Ok(Instruction::NoAutocast(self.closed(line, &["autocast restore"])?.0))
            }
            "each" => self.each(line),
            "when" => {
                let condition = self.words(line, 1, |words| words.expression())?;
                Ok(Instruction::When(condition, self.closed(line, &["end"])?.0))
            }
            _ => self.simple(line, first),
        }
    }

    /// Reads a line after its first `skip` words.
    fn words<T>(
        &self,
        line: Line<'_>,
        skip: usize,
        read: impl FnOnce(&mut Words<'_>) -> Result<T, String>,
    ) -> Result<T, ProgramError> {
        let mut text = line.text;
        for _ in 0..skip {
            text = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
        }
        let read = || {
            let mut words = Words::new(text, self.tensors)?;
            let value = read(&mut words)?;
            words.end()?;
            Ok(value)
        };
        read().map_err(|message: String| line.error(message))
    }

    fn scope(&mut self, line: Line<'a>) -> Result<Instruction, ProgramError> {
        let (path, class, call) = self.words(line, 1, |words| {
            let (path, class) = (words.path()?, words.name()?);
            let call = if words.at_symbol("(") { Some(words.arguments()?) } else { None };
            let call = call.map(|(positional, keywords)| LayerCall { positional, keywords });
            Ok((path, class, call))
        })?;
        let (body, end) = self.closed(line, &["leave"])?;
        let result = self
            .words(end, 1, |words| if words.is_at_end() { Ok(None) } else { words.expression().map(Some) })?;
        if call.is_some() != result.is_some() {
            return Err(
                end.error("`leave` says what the layer returns if `enter` has its arguments, and only then")
            );
        }
        Ok(Instruction::Scope { path, class, call, body: body.into(), result })
    }

    /// `each LIST i`, `kind NAME` …, `end`.
    fn each(&mut self, line: Line<'a>) -> Result<Instruction, ProgramError> {
        let list = self.words(line, 1, |words| {
            let list = words.path()?;
            if words.name()? == "i" { Ok(list) } else { Err("`each LIST i` was expected".to_owned()) }
        })?;
        let head = self.next().ok_or_else(|| self.last.error("the file ends after `each`"))?;
        let mut name = kind_name(head)?;
        let mut kinds = Vec::new();
        loop {
            let (body, end) = self.closed(line, &["end", "kind"])?;
            kinds.push((name, body));
            if end.text == "end" {
                return Ok(Instruction::Each { list, kinds });
            }
            name = kind_name(end)?;
        }
    }

    fn simple(&mut self, line: Line<'a>, first: &str) -> Result<Instruction, ProgramError> {
        if let Some((kind, _)) = LeafModule::ALL.into_iter().find(|(_, word)| *word == first) {
            return self.make_module(line, kind);
        }
        match first {
            "drop" => self.words(line, 1, |words| {
                let mut slots = Vec::new();
                while !words.is_at_end() {
                    slots.push(words.slot()?);
                }
                Ok(Instruction::Drop(slots))
            }),
            "copy" => self.words(line, 1, |words| Ok(Instruction::Copy(words.slot()?, words.expression()?))),
            "move" => self.words(line, 1, |words| Ok(Instruction::Move(words.slot()?, words.slot()?))),
            "check" => self.words(line, 1, check),
            "return" => self.words(line, 1, |words| words.keywords().map(Instruction::Return)),
            "parameter" => self.parameter(line),
            "buffer" => {
                let (path, slot) = self.words(line, 1, |words| Ok((words.path()?, words.slot()?)))?;
                Ok(Instruction::Buffer(path, slot))
            }
            "convert" => self.words(line, 1, |words| words.path().map(Instruction::Convert)),
            "registered" => self.words(line, 1, |words| words.path().map(Instruction::Registered)),
            "tie" => {
                let (path, other) = self.words(line, 1, |words| Ok((words.path()?, words.path()?)))?;
                Ok(Instruction::Tie(path, other))
            }
            "inputs" => self.words(line, 1, |words| words.path().map(Instruction::Inputs)),
            "freeze" => self.words(line, 1, |words| words.path().map(Instruction::Freeze)),
            _ => self.words(line, 0, call),
        }
    }

    fn make_module(&mut self, line: Line<'_>, kind: LeafModule) -> Result<Instruction, ProgramError> {
        let (path, sizes) = self.words(line, 1, |words| Ok((words.path()?, words.keywords()?)))?;
        Ok(Instruction::MakeModule { kind, path, sizes })
    }

    fn parameter(&mut self, line: Line<'_>) -> Result<Instruction, ProgramError> {
        let read = self.words(line, 1, |words| {
            let path = words.path()?;
            if words.at_slot() {
                return kept_parameter(words, path).map(Err);
            }
            let shape = words.expression()?;
            let dtype = if words.is_at_end() { None } else { Some(words.expression()?) };
            match shape {
                Expression::List(shape) => Ok(Ok((path, shape, dtype))),
                other => Err(format!("{other} stands where the sizes in [] were expected")),
            }
        })?;
        Ok(match read {
            Ok((path, shape, dtype)) => Instruction::Parameter { path, shape, dtype },
            Err(kept) => kept,
        })
    }
}

/// `parameter PATH %4 [sizes]` after its path.
fn kept_parameter(words: &mut Words<'_>, path: Path) -> Result<Instruction, String> {
    let slot = words.slot()?;
    let shape = match words.is_at_end() {
        true => None,
        false => match words.expression()? {
            Expression::List(shape) => Some(shape),
            other => return Err(format!("{other} stands where the sizes in [] were expected")),
        },
    };
    Ok(Instruction::KeptParameter { path, slot, shape })
}

/// `check EXPRESSION true`, or `check FUNCTION(…) true`.
fn check(words: &mut Words<'_>) -> Result<Instruction, String> {
    if words.at_function() {
        let function = words.name()?;
        let (arguments, keywords) = words.arguments()?;
        words.name()?;
        return Ok(Instruction::Decided { function, arguments, keywords });
    }
    let expression = words.expression()?;
    match words.name()?.as_str() {
        "true" => Ok(Instruction::Check(expression, true)),
        "false" => Ok(Instruction::Check(expression, false)),
        other => Err(format!("{other:?} stands where true or false was expected")),
    }
}

fn kind_name(line: Line<'_>) -> Result<String, ProgramError> {
    match line.text.strip_prefix("kind ") {
        Some(name) => Ok(name.trim().to_owned()),
        None => Err(line.error("`kind NAME` was expected after `each`")),
    }
}

/// The families of functions that are known as a whole.
const INTRINSICS: [&str; 5] = ["mask", "attention", "cache", "function", "router"];

/// `%3 = F.linear(…)`, `%3 = linear PATH(…)`, `.add_(%3, 1)`.
fn call(words: &mut Words<'_>) -> Result<Instruction, String> {
    let results = if words.begins_with_results() { words.results()? } else { Vec::new() };
    let function = words.name()?;
    let result = results.first().copied().flatten();
    if let Some((kind, _)) = LeafModule::ALL.into_iter().find(|(_, word)| *word == function) {
        let path = words.path()?;
        return Ok(Instruction::Module { result, kind, path, argument: one_argument(words)? });
    }
    if function == "activation" {
        let named = words.activation()?;
        return Ok(Instruction::Activation { result, named, argument: one_argument(words)? });
    }
    if INTRINSICS.contains(&function.as_str()) {
        let name = words.name()?;
        let (arguments, keywords) = words.arguments()?;
        return Ok(Instruction::Intrinsic { results, family: function, name, arguments, keywords });
    }
    let (arguments, keywords) = words.arguments()?;
    Ok(Instruction::Call { results, function, arguments, keywords })
}

fn one_argument(words: &mut Words<'_>) -> Result<Expression, String> {
    let (mut arguments, keywords) = words.arguments()?;
    let argument = arguments.pop().filter(|_| arguments.is_empty() && keywords.is_empty());
    argument.ok_or_else(|| "one argument was expected".to_owned())
}

impl From<&str> for Path {
    fn from(path: &str) -> Path {
        Path(path.to_owned())
    }
}
