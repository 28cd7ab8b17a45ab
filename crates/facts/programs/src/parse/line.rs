//! The parts of a line: expressions, arguments, results.

use std::collections::HashSet;

use brimful_units::Dtype;

use super::tokens::{Token, tokens};
use crate::expression::{Builtin, Expression, Input, Operator};
use crate::instruction::{ActivationName, Keywords, Path, Slot};

/// Brackets and operators nest this deep at most: recursion needs a bound.
const DEEPEST: usize = 48;
/// How close `-a` binds: closer than `*`, and less close than `**`.
const UNARY: u8 = 7;
/// How close `not a` binds: closer than `and`, and less close than a comparison.
const NOT: u8 = 3;

/// A line that is being read.
pub(super) struct Words<'a> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// The parameters and buffers that have been declared, which look like keys of the config.
    tensors: &'a HashSet<String>,
}

impl<'a> Words<'a> {
    /// Splits the line.
    pub fn new(text: &str, tensors: &'a HashSet<String>) -> Result<Words<'a>, String> {
        Ok(Words { tokens: tokens(text)?, at: 0, depth: 0, tensors })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Whether the next token is this symbol.
    pub fn at_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol)
    }

    /// Takes the symbol if it is next.
    pub fn take(&mut self, symbol: &str) -> bool {
        let found = self.at_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    /// Takes the symbol.
    pub fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(format!("{} stands where {symbol:?} was expected", self.found()))
        }
    }

    /// What stands here, in words.
    fn found(&self) -> String {
        match self.peek() {
            None => "the end of the line".to_owned(),
            Some(Token::Name(name)) => format!("{name:?}"),
            Some(Token::Slot(slot, None)) => slot.to_string(),
            Some(Token::Slot(slot, Some(suffix))) => format!("{slot}.{suffix}"),
            Some(Token::Integer(number)) => number.to_string(),
            Some(Token::Number(number)) => number.to_string(),
            Some(Token::Text(text)) => format!("{text:?}"),
            Some(Token::Symbol(symbol)) => format!("{symbol:?}"),
        }
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<(), String> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(format!("{} stands after the end of the instruction", self.found()))
        }
    }

    /// Whether nothing follows.
    pub fn is_at_end(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// A word.
    pub fn name(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(format!("{} stands where a word was expected", self.found())),
        }
    }

    /// The key of a config that names an activation, or its own name in quotes.
    pub fn activation(&mut self) -> Result<ActivationName, String> {
        if let Some(Token::Text(name)) = self.peek() {
            let name = name.clone();
            self.at += 1;
            return Ok(ActivationName::Own(name));
        }
        self.name().map(ActivationName::Key)
    }

    /// The path of a module; the root's is empty, which is written as `""`.
    pub fn path(&mut self) -> Result<Path, String> {
        if matches!(self.peek(), Some(Token::Text(text)) if text.is_empty()) {
            self.at += 1;
            return Ok(Path(String::new()));
        }
        self.name().map(Path)
    }

    /// Whether a call of a function of torch follows.
    pub fn at_function(&self) -> bool {
        let called = matches!(self.tokens.get(self.at + 1), Some(Token::Symbol("(")));
        match self.peek() {
            Some(Token::Name(name)) if called => name.contains('.'),
            _ => false,
        }
    }

    /// Whether the next token is a name such as `%3`.
    pub fn at_slot(&self) -> bool {
        matches!(self.peek(), Some(Token::Slot(_, None)))
    }

    /// `%3`.
    pub fn slot(&mut self) -> Result<Slot, String> {
        match self.peek() {
            Some(Token::Slot(slot, None)) => {
                let slot = *slot;
                self.at += 1;
                Ok(slot)
            }
            _ => Err(format!("{} stands where a name such as %3 was expected", self.found())),
        }
    }

    /// `%3, _, %4 =`.
    pub fn results(&mut self) -> Result<Vec<Option<Slot>>, String> {
        let mut results = vec![self.result()?];
        while self.take(",") {
            results.push(self.result()?);
        }
        self.expect("=")?;
        Ok(results)
    }

    fn result(&mut self) -> Result<Option<Slot>, String> {
        if matches!(self.peek(), Some(Token::Name(name)) if name == "_") {
            self.at += 1;
            return Ok(None);
        }
        self.slot().map(Some)
    }

    /// Whether the line begins with results.
    pub fn begins_with_results(&self) -> bool {
        match self.peek() {
            Some(Token::Slot(_, None)) => true,
            Some(Token::Name(name)) => name == "_",
            _ => false,
        }
    }

    /// `(a, b, name=c)`, or with `separator` between arguments by position and by keyword.
    pub fn arguments(&mut self) -> Result<(Vec<Expression>, Keywords), String> {
        self.expect("(")?;
        let (mut positional, mut keywords) = (Vec::new(), Vec::new());
        while !self.take(")") {
            // `enter` divides the two by a semicolon.
            if self.take(";") {
                continue;
            }
            if self.begins_keyword() {
                keywords.push(self.keyword()?);
            } else {
                positional.push(self.slice_or_expression()?);
            }
            if !self.at_symbol(")") && !self.at_symbol(";") {
                self.expect(",")?;
            }
        }
        Ok((positional, keywords))
    }

    fn begins_keyword(&self) -> bool {
        let next = self.tokens.get(self.at + 1);
        matches!(self.peek(), Some(Token::Name(_))) && matches!(next, Some(Token::Symbol("=")))
    }

    /// `name=value`.
    fn keyword(&mut self) -> Result<(String, Expression), String> {
        let name = self.name()?;
        self.expect("=")?;
        Ok((name, self.slice_or_expression()?))
    }

    /// `name=value name=value` to the end of the line.
    pub fn keywords(&mut self) -> Result<Keywords, String> {
        let mut all = Vec::new();
        while !self.is_at_end() {
            all.push(self.keyword()?);
        }
        Ok(all)
    }

    /// An expression, or `a:b:c`.
    fn slice_or_expression(&mut self) -> Result<Expression, String> {
        let first = if self.at_symbol(":") { None } else { Some(self.expression()?) };
        if !self.at_symbol(":") {
            return first.ok_or_else(|| "an empty argument".to_owned());
        }
        let mut parts = [first, None, None];
        for part in &mut parts[1..] {
            if !self.take(":") {
                break;
            }
            let ends = [",", "]", ")", ":"].iter().any(|symbol| self.at_symbol(symbol));
            if !ends {
                *part = Some(self.expression()?);
            }
        }
        Ok(Expression::Slice(Box::new(parts)))
    }

    /// An expression.
    pub fn expression(&mut self) -> Result<Expression, String> {
        let value = self.binary(0)?;
        if !self.take_word("if") {
            return Ok(value);
        }
        let condition = self.binary(0)?;
        if !self.take_word("else") {
            return Err(format!("{} stands where \"else\" was expected", self.found()));
        }
        let other = self.deeper(Words::expression)?;
        Ok(Expression::Choice(Box::new([value, condition, other])))
    }

    /// Takes the word if it is next.
    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if name == word);
        self.at += usize::from(found);
        found
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth == DEEPEST {
            return Err(format!("the expression nests deeper than {DEEPEST}"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Operators that bind at least as close as `least`.
    fn binary(&mut self, least: u8) -> Result<Expression, String> {
        let mut left = self.deeper(Words::unary)?;
        while let Some((operator, precedence)) =
            self.operator().filter(|(_, precedence)| *precedence >= least)
        {
            self.at += 1;
            // All operators but `**` bind to the left.
            let next = if operator == Operator::Power { precedence } else { precedence + 1 };
            let right = self.deeper(|words| words.binary(next))?;
            left = Expression::Binary(operator, Box::new([left, right]));
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(Operator, u8)> {
        let spelling = match self.peek()? {
            Token::Symbol(symbol) => symbol,
            Token::Name(name) => name.as_str(),
            _ => return None,
        };
        Operator::ALL.iter().find(|row| row.1 == spelling).map(|row| (row.0, row.2))
    }

    fn unary(&mut self) -> Result<Expression, String> {
        if self.take("-") {
            return Ok(match self.deeper(|words| words.binary(UNARY))? {
                Expression::Integer(number) => Expression::Integer(-number),
                Expression::Number(number) => Expression::Number(-number),
                inner => Expression::Negative(Box::new(inner)),
            });
        }
        if matches!(self.peek(), Some(Token::Name(name)) if name == "not") {
            self.at += 1;
            let inner = self.deeper(|words| words.binary(NOT))?;
            return Ok(Expression::Not(Box::new(inner)));
        }
        self.atom()
    }

    fn atom(&mut self) -> Result<Expression, String> {
        let Some(token) = self.peek().cloned() else { return Err("the line ends too early".to_owned()) };
        if let Token::Symbol(symbol) = token {
            return match symbol {
                "(" => self.deeper(Words::brackets),
                "[" => self.deeper(Words::list),
                "..." => {
                    self.at += 1;
                    Ok(Expression::Ellipsis)
                }
                "-" => self.unary(),
                _ => Err(format!("{symbol:?} stands where a value was expected")),
            };
        }
        self.at += 1;
        match token {
            Token::Integer(number) => Ok(Expression::Integer(number)),
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Text(text) => Ok(Expression::Text(text)),
            Token::Slot(slot, None) => Ok(Expression::Slot(slot)),
            Token::Slot(slot, Some(suffix)) => match suffix.parse() {
                Ok(dim) => Ok(Expression::Size(slot, dim)),
                Err(_) if suffix == "dtype" => Ok(Expression::DtypeOf(Box::new(Expression::Slot(slot)))),
                Err(_) => Err(format!("{slot}.{suffix} is neither a size nor a dtype")),
            },
            Token::Name(name) => self.named(name),
            Token::Symbol(_) => Err("a symbol".to_owned()),
        }
    }

    /// A value in brackets, or a tuple.
    fn brackets(&mut self) -> Result<Expression, String> {
        let start = self.at;
        let mut items = self.items("(", ")")?;
        let has_comma = matches!(self.tokens.get(self.at - 2), Some(Token::Symbol(",")));
        match (items.len(), has_comma, items.pop()) {
            (1, false, Some(inner)) => Ok(inner),
            (_, _, Some(last)) => {
                items.push(last);
                Ok(Expression::Tuple(items))
            }
            _ if self.at == start + 2 => Ok(Expression::Tuple(items)),
            _ => Err("brackets without a value".to_owned()),
        }
    }

    /// `[a, b]` or `[a for i in n]`.
    fn list(&mut self) -> Result<Expression, String> {
        let start = self.at;
        self.expect("[")?;
        if !self.at_symbol("]") {
            let item = self.slice_or_expression()?;
            if self.take_word("for") {
                return self.comprehension(item);
            }
        }
        self.at = start;
        self.items("[", "]").map(Expression::List)
    }

    /// What follows `[a for`.
    fn comprehension(&mut self, item: Expression) -> Result<Expression, String> {
        if !self.take_word("i") || !self.take_word("in") {
            return Err("`for` is followed by `i in` and the length of the list".to_owned());
        }
        let count = self.expression()?;
        self.expect("]")?;
        Ok(Expression::Each(Box::new(item), Box::new(count)))
    }

    fn items(&mut self, open: &str, close: &str) -> Result<Vec<Expression>, String> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.take(close) {
            items.push(self.slice_or_expression()?);
            if !self.at_symbol(close) {
                self.expect(",")?;
            }
        }
        Ok(items)
    }

    /// What a word stands for.
    fn named(&mut self, name: String) -> Result<Expression, String> {
        let constant = match name.as_str() {
            "True" => Some(Expression::Flag(true)),
            "False" => Some(Expression::Flag(false)),
            // Conditions are written as JSON writes values.
            "true" => Some(Expression::Flag(true)),
            "false" => Some(Expression::Flag(false)),
            "None" | "null" => Some(Expression::None),
            "default" => Some(Expression::DefaultDtype),
            "i" => Some(Expression::LayerIndex),
            "past" => Some(Expression::Past),
            "host" => Some(Expression::Host),
            "past_key_values" => Some(Expression::Cache),
            "router_logits" => Some(Expression::RouterLogits),
            "logits_to_keep" => Some(Expression::LogitsToKeep),
            "inf" => Some(Expression::Number(f64::INFINITY)),
            "nan" => Some(Expression::Number(f64::NAN)),
            _ => None,
        };
        if let Some(constant) = constant {
            return Ok(constant);
        }
        if self.at_symbol("(") {
            let builtin = Builtin::ALL.iter().find(|row| row.1 == name).map(|row| row.0);
            let builtin = builtin.ok_or_else(|| format!("{name:?} is no function of an expression"))?;
            return self.deeper(|words| words.items("(", ")")).map(|items| Expression::Call(builtin, items));
        }
        if let Some(tensor) = self.tensor(&name) {
            return Ok(tensor);
        }
        if let Some((input, dim)) = input_size(&name) {
            return Ok(Expression::InputSize(input, dim));
        }
        if let Some((path, dim)) = tensor_size(&name) {
            return Ok(Expression::TensorSize(path, dim));
        }
        if let Some(tensor) = name.strip_suffix(".dtype").and_then(|name| self.tensor(name)) {
            return Ok(Expression::DtypeOf(Box::new(tensor)));
        }
        if let Ok(dtype) = name.parse::<Dtype>() {
            return Ok(Expression::Dtype(dtype));
        }
        if self.at_symbol("[") {
            let mut item = Expression::Item(name, Box::new(self.index()?));
            while self.at_symbol("[") {
                item = Expression::ItemOf(Box::new([item, self.index()?]));
            }
            return Ok(item);
        }
        Ok(Expression::Key(name))
    }

    /// One index in brackets.
    fn index(&mut self) -> Result<Expression, String> {
        let mut items = self.deeper(|words| words.items("[", "]"))?;
        Ok(items.pop().filter(|_| items.is_empty()).ok_or("one index was expected")?)
    }

    fn tensor(&self, name: &str) -> Option<Expression> {
        let input = Input::ALL.iter().find(|row| row.1 == name).map(|row| Expression::Input(row.0));
        input.or_else(|| self.tensors.contains(name).then(|| Expression::Tensor(Path(name.to_owned()))))
    }
}

/// The size of a dimension of a parameter or a buffer: no key of a config ends with a number.
fn tensor_size(name: &str) -> Option<(Path, usize)> {
    let (path, dim) = name.rsplit_once('.')?;
    Some((Path(path.to_owned()), dim.parse().ok()?))
}

fn input_size(name: &str) -> Option<(Input, usize)> {
    let (input, dim) = name.split_once('.')?;
    let (input, _) = *Input::ALL.iter().find(|row| row.1 == input)?;
    Some((input, dim.parse().ok()?))
}
