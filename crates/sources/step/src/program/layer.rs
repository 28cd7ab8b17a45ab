//! A layer that gradient checkpointing may wrap (`GradientCheckpointingLayer` in transformers/modeling_layers.py).

use std::rc::Rc;
use std::sync::Arc;

use brimful_jobs::Checkpointing;
use brimful_programs::{Expression, Instruction, LayerCall, Path, Slot};

use super::fault::Fault;
use super::frame::Frame;
use super::model::State;
use super::value::Value;
use crate::checkpoint::{Checkpoint, non_reentrant, reentrant};
use crate::models::Mode;
use crate::tensor::Tensor;

/// Runs the layer, inside the checkpoint that the job asks for.
pub(super) fn run(
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
    let layer = Layer::captured(frame, path, call, body, result)?;
    let mut positional = call.positional.iter();
    let input = positional.next().ok_or_else(|| Fault::Damaged(format!("{path} is called without input")))?;
    let input = tensor_of(frame, input, path)?;
    let other = second_tensor(frame, positional.as_slice(), path)?;
    let outputs = checkpoint(input, other, Rc::new(move |input, other| layer.run(input, other)));
    for (slot, output) in tensors_of(result, path)?.into_iter().zip(outputs) {
        frame.set(slot, output.into());
    }
    Ok(())
}

/// The tensor among the further arguments. Most layers have one at most, such as the mask.
fn second_tensor(frame: &Frame<'_>, arguments: &[Expression], path: &Path) -> Result<Option<Tensor>, Fault> {
    let mut found = None;
    for argument in arguments {
        let Some(tensor) = frame.value(argument)?.tensor().cloned() else { continue };
        if found.replace(tensor).is_some() {
            let what = "three tensors by position".to_owned();
            return Err(Fault::Arguments { function: format!("gradient checkpointing of {path}"), what });
        }
    }
    Ok(found)
}

fn tensor_of(frame: &Frame<'_>, expression: &Expression, path: &Path) -> Result<Tensor, Fault> {
    let value = frame.value(expression)?;
    value.tensor().cloned().ok_or_else(|| Fault::Damaged(format!("{path} is called with {}", value.kind())))
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
    positional: Vec<Expression>,
    /// The names that the keyword arguments are made of, in the order of the call: the function's dict drops its items
    /// from the first to the last.
    keywords: Vec<(Expression, Value)>,
}

impl Layer {
    fn captured(
        frame: &Frame<'_>,
        path: &Path,
        call: &LayerCall,
        body: &Arc<[Instruction]>,
        result: &Expression,
    ) -> Result<Layer, Fault> {
        let keywords = call
            .keywords
            .iter()
            .map(|(_, expression)| Ok((expression.clone(), frame.value(expression)?)))
            .collect::<Result<_, Fault>>()?;
        Ok(Layer {
            state: frame.state.clone(),
            mode: frame.mode,
            index: frame.index,
            path: path.clone(),
            body: body.clone(),
            result: result.clone(),
            positional: call.positional.clone(),
            keywords,
        })
    }

    fn run(&self, input: &Tensor, other: Option<&Tensor>) -> Vec<Tensor> {
        let mut frame = Frame::new(&self.state, self.mode, None);
        frame.index = self.index;
        // What is not the input and not the other tensor is `None` or a number, which the instructions write out.
        let tensors = self.positional.iter().filter(|expression| matches!(expression, Expression::Slot(_)));
        for (expression, tensor) in tensors.zip([Some(input), other]) {
            let value = tensor.map_or(Value::NONE, |tensor| Value::Tensor(tensor.clone()));
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
            vec![input.without_memory()]
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
        (Expression::List(parts) | Expression::Tuple(parts), Value::Items(items)) => {
            for (part, item) in parts.iter().zip(&items.0) {
                name(frame, part, item.clone());
            }
        }
        // A number or `None` is written out in the instructions.
        _ => {}
    }
}
