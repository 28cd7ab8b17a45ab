//! A layer that gradient checkpointing may wrap (`GradientCheckpointingLayer` in transformers/modeling_layers.py).

use std::rc::Rc;
use std::sync::Arc;

use brimful_jobs::Checkpointing;
use brimful_programs::{Expression, Instruction, LayerCall, Path};

use super::fault::Fault;
use super::frame::Frame;
use super::model::State;
use super::value::{Items, Value};
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
    let output = checkpoint(input, other, Rc::new(move |input, other| layer.run(input, other)));
    bind_result(frame, result, output, path)
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

/// The output of a checkpointed layer takes the names that the layer's own run would have bound.
fn bind_result(frame: &mut Frame<'_>, result: &Expression, output: Tensor, path: &Path) -> Result<(), Fault> {
    match result {
        Expression::Slot(slot) => {
            frame.set(*slot, output.into());
            Ok(())
        }
        Expression::Tuple(items) => match items.as_slice() {
            [Expression::Slot(slot), rest @ ..]
                if !rest.iter().any(|it| matches!(it, Expression::Slot(_))) =>
            {
                frame.set(*slot, output.into());
                Ok(())
            }
            _ => Err(Fault::Arguments {
                function: format!("gradient checkpointing of {path}"),
                what: format!("the result {result}"),
            }),
        },
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

    fn run(&self, input: &Tensor, other: Option<&Tensor>) -> Tensor {
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
            frame.run(&self.body).and_then(|()| frame.value(&self.result))
        };
        // A layer that cannot be run voids the simulation, and what it returns is not used.
        let output = outcome.and_then(|value| {
            let first = match &value {
                Value::Items(Items(items)) => items.first().and_then(Value::tensor),
                other => other.tensor(),
            };
            first.cloned().ok_or_else(|| Fault::Damaged(format!("{} returns no tensor", self.path)))
        });
        output.unwrap_or_else(|fault| {
            self.state.fail(&fault);
            input.without_memory()
        })
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
