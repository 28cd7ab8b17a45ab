//! The parameters that a program's constructor makes.

use std::collections::BTreeMap;

use crate::error::EvaluationError;
use crate::evaluate::{ConfigScope, Scope};
use crate::expression::Expression;
use crate::instruction::{Instruction, Keywords, LeafModule, Path, Slot};
use crate::program::Program;
use crate::values::Values;

/// A parameter by its name in `named_parameters()` and its sizes.
pub type DeclaredParameter = (String, Vec<u64>);

impl Program {
    /// The parameters of the model in the order of the constructor. One that another takes the place of is left out.
    ///
    /// # Errors
    /// A size that has no value, or is negative.
    pub fn parameters(&self, values: &Values) -> Result<Vec<DeclaredParameter>, EvaluationError> {
        let Walk { mut parameters, ties, .. } = self.walked(values)?;
        parameters.retain(|(path, _)| !ties.iter().any(|(tied, _)| tied == path));
        Ok(parameters)
    }

    /// Which parameters become another one, as (the one, the other).
    ///
    /// # Errors
    /// As [`Program::parameters`].
    pub fn ties(&self, values: &Values) -> Result<Vec<(String, String)>, EvaluationError> {
        Ok(self.walked(values)?.ties)
    }
}

impl Program {
    /// The paths of the modules that are Linears (or `Conv1D`s), in the order of the constructor.
    ///
    /// # Errors
    /// As [`Program::parameters`].
    pub fn linears(&self, values: &Values) -> Result<Vec<String>, EvaluationError> {
        Ok(self.walked(values)?.linears)
    }

    /// The parameters that the class does not train, by path.
    ///
    /// # Errors
    /// As [`Program::parameters`].
    pub fn frozen(&self, values: &Values) -> Result<Vec<String>, EvaluationError> {
        Ok(self.walked(values)?.frozen)
    }

    /// The rows of the first table with a row for each of `max_position_embeddings`, and how many of them stand before the
    /// first position: those up to the row of padding, where it has one. `None` where the class has no such table.
    ///
    /// # Errors
    /// As [`Program::parameters`].
    pub fn position_table(&self, values: &Values) -> Result<Option<[u64; 2]>, EvaluationError> {
        Ok(self.walked(values)?.positions)
    }

    fn walked<'a>(&'a self, values: &'a Values) -> Result<Walk<'a>, EvaluationError> {
        let mut walk = Walk {
            program: self,
            values,
            parameters: Vec::new(),
            ties: Vec::new(),
            linears: Vec::new(),
            frozen: Vec::new(),
            positions: None,
            computed: BTreeMap::new(),
        };
        let build = self.build(values)?;
        walk.block(build.ok_or_else(|| self.uncovered_by_constructors(values))?, None)?;
        Ok(walk)
    }
}

struct Walk<'a> {
    program: &'a Program,
    values: &'a Values,
    parameters: Vec<DeclaredParameter>,
    ties: Vec<(String, String)>,
    linears: Vec<String>,
    frozen: Vec<String>,
    positions: Option<[u64; 2]>,
    /// The sizes of what the constructor computes, where they are known.
    computed: BTreeMap<Slot, Vec<u64>>,
}

impl Walk<'_> {
    fn block(&mut self, body: &[Instruction], index: Option<u64>) -> Result<(), EvaluationError> {
        body.iter().try_for_each(|instruction| self.instruction(instruction, index))
    }

    fn instruction(&mut self, instruction: &Instruction, index: Option<u64>) -> Result<(), EvaluationError> {
        let scope = ConfigScope { values: self.values, index };
        match instruction {
            Instruction::MakeModule { kind, path, sizes } => self.module(*kind, path, sizes, index)?,
            Instruction::Call { results, function, arguments, keywords } => {
                if let [Some(slot)] = results[..] {
                    // A name that is bound again names something else.
                    match self.sizes_of(&scope, function, arguments, keywords) {
                        Some(sizes) => self.computed.insert(slot, sizes),
                        None => self.computed.remove(&slot),
                    };
                }
            }
            // A parameter of something that was computed has the sizes of that.
            Instruction::KeptParameter { path, slot, shape: None } => {
                let unknown = || EvaluationError::Unknown(format!("the sizes of {path}"));
                let shape = self.computed.get(slot).cloned().ok_or_else(unknown)?;
                self.parameters.push((path.at(index), shape));
            }
            Instruction::Parameter { path, shape, .. }
            | Instruction::KeptParameter { path, shape: Some(shape), .. } => {
                let shape = shape.iter().map(|size| size_of(&scope, size)).collect::<Result<_, _>>()?;
                self.parameters.push((path.at(index), shape));
            }
            Instruction::Tie(path, other) => self.ties.push((path.at(index), other.at(index))),
            Instruction::Freeze(path) => self.frozen.push(path.at(index)),
            Instruction::When(condition, body) if scope.evaluate(condition)?.is_true() => {
                self.block(body, index)?;
            }
            Instruction::NoGrad(body) | Instruction::NoAutocast(body) => self.block(body, index)?,
            Instruction::Scope { body, .. } => self.block(body, index)?,
            Instruction::Each { list, kinds } => self.each(list, kinds)?,
            _ => {}
        }
        Ok(())
    }

    /// The sizes of what a function makes; `None` for a function whose rule is not known here.
    fn sizes_of(
        &self,
        scope: &ConfigScope<'_>,
        function: &str,
        arguments: &[Expression],
        keywords: &Keywords,
    ) -> Option<Vec<u64>> {
        let first = || match arguments.first() {
            Some(Expression::Slot(slot)) => self.computed.get(slot).cloned(),
            _ => None,
        };
        match function {
            "torch.tensor" if !matches!(arguments.first(), Some(Expression::List(_))) => Some(Vec::new()),
            "torch.normal" => {
                let (_, size) = keywords.iter().find(|(name, _)| name == "size")?;
                let (Expression::Tuple(sizes) | Expression::List(sizes)) = size else { return None };
                sizes.iter().map(|size| size_of(scope, size).ok()).collect()
            }
            "torch.ones" | "torch.zeros" | "torch.empty" | "torch.randn" => {
                let sizes = match arguments {
                    [Expression::Tuple(sizes) | Expression::List(sizes)] => sizes,
                    sizes => sizes,
                };
                sizes.iter().map(|size| size_of(scope, size).ok()).collect()
            }
            "torch.exp" | "torch.expm1" | "torch.log" => first(),
            // The other operand is a number.
            ".mul" | ".div" | ".add" if !matches!(arguments.get(1), Some(Expression::Slot(_))) => first(),
            ".unsqueeze" => {
                let mut sizes = first()?;
                let at = arguments.get(1).and_then(|dim| size_of(scope, dim).ok())?;
                let at = usize::try_from(at).ok().filter(|at| *at <= sizes.len())?;
                sizes.insert(at, 1);
                Some(sizes)
            }
            _ => None,
        }
    }

    fn each(&mut self, list: &Path, kinds: &[(String, Vec<Instruction>)]) -> Result<(), EvaluationError> {
        let program = self.program;
        let unknown = || EvaluationError::Unknown(format!("the list of layers {list}"));
        let list = program.header.lists.iter().find(|known| known.path == *list).ok_or_else(unknown)?;
        for index in 0..list.count(self.values)? {
            let kind = list.kind(self.values, index)?.ok_or_else(unknown)?;
            let name = &list.kinds[kind].0;
            let (_, body) = kinds.iter().find(|row| row.0 == *name || row.0 == "*").ok_or_else(unknown)?;
            self.block(body, Some(index))?;
        }
        Ok(())
    }

    fn module(
        &mut self,
        kind: LeafModule,
        path: &Path,
        sizes: &Keywords,
        index: Option<u64>,
    ) -> Result<(), EvaluationError> {
        let scope = ConfigScope { values: self.values, index };
        let find = |name: &str| sizes.iter().find(|row| row.0 == name).map(|row| &row.1);
        let unknown = |name: &str| EvaluationError::Unknown(format!("{name} of {path}"));
        let size = |name: &str| size_of(&scope, find(name).ok_or_else(|| unknown(name))?);
        let (shape, width) = match kind {
            LeafModule::Linear => (vec![size("out")?, size("in")?], size("out")?),
            LeafModule::Conv1d => (vec![size("in")?, size("out")?], size("out")?),
            LeafModule::Embedding => (vec![size("rows")?, size("width")?], 0),
        };
        if kind == LeafModule::Embedding && self.positions.is_none() && of_positions(find("rows")) {
            let before = find("padding").map_or(Ok(0), |padding| rows_before(&scope, padding))?;
            self.positions = Some([shape[0], before]);
        }
        let path = path.at(index);
        let bias = match kind {
            LeafModule::Embedding => false,
            // transformers' Conv1D always has a bias.
            LeafModule::Conv1d => true,
            LeafModule::Linear => find("bias").is_some_and(|bias| is_true(&scope, bias)),
        };
        self.parameters.push((format!("{path}.weight"), shape));
        if kind != LeafModule::Embedding {
            self.linears.push(path.clone());
        }
        if bias {
            self.parameters.push((format!("{path}.bias"), vec![width]));
        }
        Ok(())
    }
}

/// Whether a table has a row for each of `max_position_embeddings`, which may be a key of the texts' own config.
fn of_positions(rows: Option<&Expression>) -> bool {
    matches!(rows, Some(Expression::Key(key)) if key.trim_start_matches("text_config.") == "max_position_embeddings")
}

/// The rows up to that of padding; 0 for a table without one.
fn rows_before(scope: &ConfigScope<'_>, padding: &Expression) -> Result<u64, EvaluationError> {
    match padding {
        // `padding=none`, a word as a key is.
        Expression::Key(none) if none == "none" => Ok(0),
        padding => Ok(size_of(scope, padding)?.saturating_add(1)),
    }
}

/// A key that the config lacks is false.
fn is_true(scope: &ConfigScope<'_>, expression: &Expression) -> bool {
    scope.evaluate(expression).is_ok_and(|value| value.is_true())
}

fn size_of(scope: &ConfigScope<'_>, expression: &Expression) -> Result<u64, EvaluationError> {
    let size = scope.integer(expression)?;
    u64::try_from(size).map_err(|_| EvaluationError::Kind {
        what: expression.to_string(),
        found: size.to_string(),
        expected: "a size of at least 0",
    })
}
