//! A layer that gradient checkpointing may wrap (`GradientCheckpointingLayer` in transformers/modeling_layers.py).

use std::rc::Rc;
use std::sync::Arc;

use brimful_jobs::Checkpointing;
use brimful_programs::{Expression, Instruction, LayerCall, Path, Program, Slot};

use super::fault::Fault;
use super::frame::Frame;
use super::model::State;
use super::value::Value;
use crate::checkpoint::{Checkpoint, Inputs, non_reentrant, reentrant};
use crate::models::Mode;
use crate::nn::Builder;
use crate::tensor::Tensor;

/// Runs the layer, and what a technique has called before and after it.
pub(super) fn run(
    frame: &mut Frame<'_>,
    path: &Path,
    call: &LayerCall,
    body: &Arc<[Instruction]>,
    result: Option<&Expression>,
) -> Result<(), Fault> {
    let Some(units) = frame.state.device.units() else { return run_alone(frame, path, call, body, result) };
    let layer = path.at(frame.index);
    let passed = tensors_in(frame, call);
    let given = units.enter(&layer, passed.iter().map(|it| it.1.clone()).collect());
    for ((slot, _), tensor) in passed.iter().zip(&given) {
        frame.set(*slot, Value::Tensor(tensor.clone()));
    }
    run_alone(frame, path, call, body, result)?;
    let slots = result.map_or_else(|| Ok(Vec::new()), |result| tensors_of(result, path))?;
    // The caller's names still mean what was passed, unless the layer returns it or was the last to have it.
    for ((slot, passed), tensor) in passed.into_iter().zip(given).filter(|it| !slots.contains(&it.0.0)) {
        let now = frame.value(&Expression::Slot(slot));
        if now.is_ok_and(|now| now.tensor().is_some_and(|now| now.key() == tensor.key())) {
            frame.set(slot, Value::Tensor(passed));
        }
    }
    let outputs: Vec<Tensor> = slots
        .into_iter()
        .filter_map(|slot| frame.value(&Expression::Slot(slot)).ok()?.tensor().cloned())
        .collect();
    units.leave(&layer, &outputs);
    Ok(())
}

/// The names in the arguments of a call, and the tensors that they mean.
fn tensors_in(frame: &Frame<'_>, call: &LayerCall) -> Vec<(Slot, Tensor)> {
    let mut slots = Vec::new();
    let arguments = call.positional.iter().chain(call.keywords.iter().map(|it| &it.1));
    arguments.for_each(|argument| named_in(argument, &mut slots));
    slots
        .into_iter()
        .filter_map(|slot| match frame.value(&Expression::Slot(slot)) {
            Ok(Value::Tensor(tensor)) => Some((slot, tensor)),
            _ => None,
        })
        .collect()
}

/// Runs the layer, inside the checkpoint that the job asks for.
fn run_alone(
    frame: &mut Frame<'_>,
    path: &Path,
    call: &LayerCall,
    body: &Arc<[Instruction]>,
    result: Option<&Expression>,
) -> Result<(), Fault> {
    let checkpoint: Option<Checkpoint> = match frame.state.checkpointing {
        Checkpointing::None => None,
        Checkpointing::Reentrant => Some(reentrant),
        Checkpointing::NonReentrant => Some(non_reentrant),
    };
    let Some(checkpoint) = checkpoint else {
        let _module = frame.state.device.module(&frame.state.scope_of(path, frame.index));
        return frame.run(body);
    };
    let result = result.ok_or_else(|| Fault::Damaged(format!("{path} returns nothing")))?;
    let (layer, inputs) = Layer::captured(frame, path, call, body, result)?;
    if inputs.0.is_empty() {
        return Err(Fault::Damaged(format!("{path} is called without input")));
    }
    let outputs = checkpoint(inputs, Rc::new(move |inputs| layer.run(inputs)));
    for (slot, output) in tensors_of(result, path)?.into_iter().zip(outputs) {
        frame.set(slot, output.into());
    }
    Ok(())
}

/// The names in an argument.
fn named_in(argument: &Expression, slots: &mut Vec<Slot>) {
    match argument {
        Expression::Slot(slot) if !slots.contains(slot) => slots.push(*slot),
        Expression::List(parts) | Expression::Tuple(parts) => {
            parts.iter().for_each(|part| named_in(part, slots));
        }
        _ => {}
    }
}

/// Notes every layer that a forward of the program calls.
pub(super) fn note_all(builder: &Builder, program: &Program) {
    program.forwards.iter().for_each(|forward| note_in(builder, &forward.body));
}

fn note_in(builder: &Builder, instructions: &[Instruction]) {
    for instruction in instructions {
        match instruction {
            Instruction::Scope { path, call, body, .. } => {
                if call.is_some() {
                    builder.note_layer(&path.0);
                }
                note_in(builder, body);
            }
            Instruction::NoGrad(body) | Instruction::NoAutocast(body) | Instruction::When(_, body) => {
                note_in(builder, body);
            }
            Instruction::Each { kinds, .. } => kinds.iter().for_each(|kind| note_in(builder, &kind.1)),
            _ => {}
        }
    }
}

/// The names of the tensors that a layer returns; those of the checkpoint's outputs are the same.
fn tensors_of(result: &Expression, path: &Path) -> Result<Vec<Slot>, Fault> {
    let one = std::slice::from_ref(result);
    let items = match result {
        Expression::Tuple(items) => items.as_slice(),
        _ => one,
    };
    let slot = |item: &Expression| match item {
        Expression::Slot(slot) => Some(*slot),
        _ => None,
    };
    match items.first() {
        Some(Expression::Slot(_)) => Ok(items.iter().filter_map(slot).collect()),
        _ => Err(Fault::Damaged(format!("{path} returns {result}"))),
    }
}

/// A layer with what its arguments were when it was called: `partial(super().__call__, **kwargs)`.
struct Layer {
    state: Rc<State>,
    mode: Option<Mode>,
    index: Option<u64>,
    path: Path,
    body: Arc<[Instruction]>,
    result: Expression,
    positional: Vec<(Expression, Positional)>,
    /// The names that the keyword arguments are made of, in the order of the call: the function's dict drops its items
    /// from the first to the last.
    keywords: Vec<(Expression, Value)>,
}

/// An argument by position.
enum Positional {
    /// The tensor of this number among those that the checkpoint keeps.
    Tensor(usize),
    /// What is no tensor.
    Other(Value),
}

impl Layer {
    fn captured(
        frame: &Frame<'_>,
        path: &Path,
        call: &LayerCall,
        body: &Arc<[Instruction]>,
        result: &Expression,
    ) -> Result<(Layer, Inputs), Fault> {
        let mut inputs = Inputs(Vec::new());
        let mut positional = Vec::new();
        for expression in &call.positional {
            let value = frame.value(expression)?;
            let argument = match value.tensor() {
                Some(tensor) => {
                    inputs.0.push(tensor.clone());
                    Positional::Tensor(inputs.0.len() - 1)
                }
                None => Positional::Other(value),
            };
            positional.push((expression.clone(), argument));
        }
        let keywords = call
            .keywords
            .iter()
            .map(|(_, expression)| Ok((expression.clone(), frame.value(expression)?)))
            .collect::<Result<_, Fault>>()?;
        let layer = Layer {
            state: frame.state.clone(),
            mode: frame.mode,
            index: frame.index,
            path: path.clone(),
            body: body.clone(),
            result: result.clone(),
            positional,
            keywords,
        };
        Ok((layer, inputs))
    }

    fn run(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let mut frame = Frame::new(&self.state, self.mode, None);
        frame.index = self.index;
        for (expression, argument) in &self.positional {
            let value = match argument {
                Positional::Tensor(at) => Value::Tensor(inputs[*at].clone()),
                Positional::Other(value) => value.clone(),
            };
            name(&mut frame, expression, value);
        }
        for (expression, value) in &self.keywords {
            name(&mut frame, expression, value.clone());
        }
        let outcome = {
            let _module = self.state.device.module(&self.state.scope_of(&self.path, self.index));
            frame.run(&self.body).and_then(|()| self.results(&frame))
        };
        // A layer that cannot be run voids the simulation, and what it returns is not used.
        outcome.unwrap_or_else(|fault| {
            self.state.fail(&fault);
            vec![inputs[0].without_memory()]
        })
    }

    fn results(&self, frame: &Frame<'_>) -> Result<Vec<Tensor>, Fault> {
        let no_tensor = || Fault::Damaged(format!("{} returns no tensor", self.path));
        let slots = tensors_of(&self.result, &self.path)?;
        slots
            .into_iter()
            .map(|slot| frame.value(&Expression::Slot(slot))?.tensor().cloned().ok_or_else(no_tensor))
            .collect()
    }
}

/// Gives the names in `expression` what `value` is made of.
fn name(frame: &mut Frame<'_>, expression: &Expression, value: Value) {
    match (expression, value) {
        (Expression::Slot(slot), value) => frame.set(*slot, value),
        (Expression::Input(input), Value::Tensor(tensor)) => frame.handed.push((*input, tensor)),
        (Expression::List(parts) | Expression::Tuple(parts), Value::Items(items)) => {
            for (part, item) in parts.iter().zip(&items.0) {
                name(frame, part, item.clone());
            }
        }
        // A number or `None` is written out in the instructions.
        _ => {}
    }
}
