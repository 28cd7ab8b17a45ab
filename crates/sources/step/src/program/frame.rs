//! The names of one call of a program, and its instructions one after the other.

use std::rc::Rc;

use brimful_programs::{
    Builtin, Expression, Input, Instruction, Keywords, LeafModule, Path, Scope, Slot, Value as Plain, Values,
};
use brimful_units::{Dtype, Shape};
use rustc_hash::FxHashMap;

use super::arguments::Arguments;
use super::fault::Fault;
use super::model::State;
use super::value::{CacheRole, Items, Value};
use super::{functions, intrinsics, layer};
use crate::autocast::autocast;
use crate::models::{Cache, Condition, Inputs, Mask, Mode, Targets};
use crate::tensor::Tensor;

/// The body of all kinds, where a section has only one.
const EVERY_KIND: &str = "*";

/// The cache of a call.
pub(super) enum CacheOf<'a> {
    /// The caller passed it.
    Given(&'a mut Cache),
    /// The model made it.
    Made(Cache),
}

impl CacheOf<'_> {
    /// The cache.
    pub fn get(&mut self) -> &mut Cache {
        match self {
            CacheOf::Given(cache) => cache,
            CacheOf::Made(cache) => cache,
        }
    }

    fn seen(&self) -> u64 {
        self.held().seen()
    }

    fn held(&self) -> &Cache {
        match self {
            CacheOf::Given(cache) => cache,
            CacheOf::Made(cache) => cache,
        }
    }
}

/// One call: of the model, or of a layer that runs again.
pub(super) struct Frame<'a> {
    /// The model.
    pub state: &'a Rc<State>,
    /// How the model runs; `None` while it is built.
    pub mode: Option<Mode>,
    /// What the caller passed; `None` where only names are used.
    pub inputs: Option<&'a Inputs<'a>>,
    /// What the caller of the model passed and a layer that runs again was handed.
    pub handed: Vec<(Input, Tensor)>,
    /// `past_key_values`.
    pub cache: Option<CacheOf<'a>>,
    /// The cache of the decoder's attention to the encoder's output.
    pub cross_cache: Option<Cache>,
    /// What each number names.
    pub names: Vec<Option<Value>>,
    /// The sizes of what names that were dropped had named.
    gone: FxHashMap<Slot, Shape>,
    /// The number of the layer.
    pub index: Option<u64>,
    /// What `return` named.
    pub returned: Vec<(String, Value)>,
    /// Names of tensors that `torch.ones` made: the only tensors whose values are known.
    ones: Vec<Slot>,
    /// Where a region that runs again stopped in `x = x[index]`: the new `x`, and the old one, which Python still names.
    not_rebound: Option<(Slot, Slot)>,
}

impl<'a> Frame<'a> {
    /// A frame without names.
    pub fn new(state: &'a Rc<State>, mode: Option<Mode>, inputs: Option<&'a Inputs<'a>>) -> Frame<'a> {
        Frame {
            state,
            mode,
            inputs,
            handed: Vec::new(),
            cache: None,
            cross_cache: None,
            names: Vec::new(),
            gone: FxHashMap::default(),
            index: None,
            returned: Vec::new(),
            ones: Vec::new(),
            not_rebound: None,
        }
    }

    /// Runs the instructions in their order.
    pub fn run(&mut self, instructions: &[Instruction]) -> Result<(), Fault> {
        instructions.iter().try_for_each(|instruction| self.step(instruction))
    }

    fn step(&mut self, instruction: &Instruction) -> Result<(), Fault> {
        match instruction {
            Instruction::Call { function, arguments, .. } if function == SET_DATA => self.set_data(arguments),
            Instruction::Call { results, function, arguments, keywords } => {
                self.call(results, function, arguments, keywords)
            }
            Instruction::Module { result, kind, path, argument } => {
                let argument = self.value(argument)?;
                let output = self.module(*kind, path, &argument)?;
                drop(argument);
                if self.state.hooks(path) {
                    output.require_grad();
                }
                self.bind(&[*result], output.into())
            }
            Instruction::Activation { result, named, argument } => {
                let argument = self.value(argument)?;
                let outcome = functions::activation(&self.state.values, named, &argument)?;
                drop(argument);
                self.bind(&[*result], outcome)
            }
            Instruction::Intrinsic { results, family, name, arguments, keywords } => {
                let outcome = intrinsics::call(self, family, name, arguments, keywords)?;
                self.bind(results, outcome)
            }
            // The order is that in which Python let go of the names.
            Instruction::Drop(slots) => slots.iter().try_for_each(|slot| self.let_go(*slot)),
            Instruction::Copy(slot, expression) => {
                let value = self.value(expression)?;
                self.set(*slot, value);
                Ok(())
            }
            Instruction::Move(to, from) => {
                let value = self.take(*from)?;
                self.set(*to, value);
                Ok(())
            }
            Instruction::Scope { path, call: None, body, .. } => {
                {
                    let _module = self.state.device.module(&self.state.scope_of(path, self.index));
                    self.run(body)?;
                }
                if self.state.hooks(path) { self.require_grad(path, body) } else { Ok(()) }
            }
            Instruction::Scope { path, call: Some(call), body, result, .. } => {
                layer::run(self, path, call, body, result.as_ref())
            }
            Instruction::NoGrad(body) => {
                let _off = self.state.device.set_grad_enabled(false);
                self.run(body)
            }
            Instruction::NoAutocast(body) => {
                let _off = autocast(&self.state.device, None);
                self.run(body)
            }
            Instruction::Decided { function, arguments, keywords } => {
                let call = self.arguments(function, arguments, keywords)?;
                functions::call(self.state, &call).map(drop)
            }
            Instruction::Check(expression, expected) => self.check(expression, *expected),
            Instruction::Each { list, kinds } => self.each(list, kinds),
            Instruction::When(condition, body) => {
                if self.evaluate(condition)?.is_true() {
                    self.run(body)
                } else {
                    Ok(())
                }
            }
            Instruction::Return(results) => {
                for (name, expression) in results {
                    let value = self.value(expression)?;
                    self.returned.push((name.clone(), value));
                }
                Ok(())
            }
            making => self.make(making),
        }
    }

    /// `parameter.data = value`.
    fn set_data(&self, arguments: &[Expression]) -> Result<(), Fault> {
        let [Expression::Tensor(path), value] = arguments else {
            return Err(Fault::Damaged(format!("{SET_DATA} of what is no parameter")));
        };
        let value = self.value(value)?;
        self.state.set_data(path, self.index, &value)
    }

    fn call(
        &mut self,
        results: &[Option<Slot>],
        function: &str,
        arguments: &[Expression],
        keywords: &Keywords,
    ) -> Result<(), Fault> {
        let stopped_before = self.state.device.is_stopped();
        let outcome = {
            let call = self.arguments(function, arguments, keywords)?;
            functions::call(self.state, &call)?
        };
        if self.state.device.is_stopped() && !stopped_before {
            self.not_rebound = rebound(function, results, arguments);
        }
        if function == "torch.ones" {
            self.ones.extend(results.iter().flatten());
        }
        self.bind(results, outcome)
    }

    /// The instructions of a constructor that make what the model holds.
    fn make(&mut self, instruction: &Instruction) -> Result<(), Fault> {
        match instruction {
            Instruction::MakeModule { kind, path, .. } => self.state.make_module(*kind, path, self.index),
            Instruction::Parameter { path, dtype, .. } => {
                let dtype = dtype.as_ref().map(|dtype| self.value(dtype)).transpose()?;
                let dtype = match dtype {
                    None => self.state.dtype,
                    Some(Value::Dtype(dtype)) => dtype,
                    Some(other) => {
                        return Err(Fault::Damaged(format!("{path} has {} as its dtype", other.kind())));
                    }
                };
                self.state.make_parameter(path, self.index, dtype)
            }
            Instruction::KeptParameter { path, slot, .. } => {
                let value = self.get(*slot)?.clone();
                self.state.keep_parameter(path, self.index, value)
            }
            Instruction::Buffer(path, slot) => {
                let value = self.take(*slot)?;
                self.state.keep_buffer(path, self.index, value)
            }
            Instruction::Tie(path, other) => self.state.tie(path, other, self.index),
            Instruction::Convert(path) => self.state.convert(&path.at(self.index)),
            Instruction::Registered(path) => {
                self.state.register_next(path.at(self.index));
                Ok(())
            }
            Instruction::Inputs(path) => {
                self.state.hook(path);
                Ok(())
            }
            // The builder has what is frozen from the config.
            Instruction::Freeze(_) => Ok(()),
            other => Err(Fault::Damaged(format!("{other:?} makes nothing"))),
        }
    }

    /// The hook of `enable_input_require_grads` on a module: what it returns is the last name that it leaves.
    fn require_grad(&self, path: &Path, body: &[Instruction]) -> Result<(), Fault> {
        let bound = self.last_bound(body);
        bound.map(Tensor::require_grad).ok_or_else(|| Fault::Damaged(format!("{path} returns nothing")))
    }

    /// The tensor that the last of these calls bound, of those that ran.
    fn last_bound(&self, body: &[Instruction]) -> Option<&Tensor> {
        body.iter().rev().find_map(|instruction| match instruction {
            Instruction::Call { results, .. } => results.iter().flatten().find_map(|slot| self.named(*slot)),
            Instruction::When(condition, body) if self.evaluate(condition).is_ok_and(|it| it.is_true()) => {
                self.last_bound(body)
            }
            _ => None,
        })
    }

    /// Drops a name. Its sizes may still be asked for.
    fn let_go(&mut self, slot: Slot) -> Result<(), Fault> {
        match self.not_rebound {
            // The exception came before the assignment: the old object goes where the name goes.
            Some((_, old)) if old == slot => return Ok(()),
            Some((new, old)) if new == slot => {
                self.not_rebound = None;
                self.let_go(old)?;
            }
            _ => {}
        }
        let value = self.take(slot)?;
        if let Some(tensor) = value.tensor() {
            self.gone.insert(slot, tensor.shape().clone());
        }
        drop(value);
        Ok(())
    }

    fn check(&self, expression: &Expression, expected: bool) -> Result<(), Fault> {
        // The value of a tensor decides what it decided when it was recorded.
        if matches!(expression, Expression::Call(Builtin::Bool, _)) {
            return Ok(());
        }
        // `if attention_mask is not None: if attention_mask.size() != …`: recordings have a mask.
        if self.asks_no_mask(expression) || self.evaluate(expression)?.is_true() == expected {
            return Ok(());
        }
        Err(Fault::OtherWay { expression: expression.to_string(), expected })
    }

    /// Whether one side of a comparison is the size of a mask that is `None`.
    fn asks_no_mask(&self, expression: &Expression) -> bool {
        let Expression::Binary(_, sides) = expression else { return false };
        sides.iter().any(|side| match side {
            Expression::Size(slot, _) => matches!(self.value_of(*slot), Some(Value::Mask(Mask::None))),
            _ => false,
        })
    }

    /// Runs each layer's instructions by its kind.
    fn each(&mut self, list: &Path, kinds: &[(String, Vec<Instruction>)]) -> Result<(), Fault> {
        let state = self.state.clone();
        let damaged = |what: &str| Fault::Damaged(format!("{list} {what}"));
        let declared = state.program.header.lists.iter().find(|known| known.path == *list);
        let declared = declared.ok_or_else(|| damaged("is no list of layers"))?;
        for index in 0..declared.count(&state.values)? {
            let kind = declared.kind(&state.values, index)?;
            let kind = kind.ok_or_else(|| damaged(&format!("has no kind for layer {index}")))?;
            let name = &declared.kinds[kind].0;
            let body = kinds.iter().find(|row| row.0 == *name || row.0 == EVERY_KIND);
            let (_, body) = body.ok_or_else(|| damaged(&format!("has no body for kind {name}")))?;
            self.index = Some(index);
            self.run(body)?;
        }
        self.index = None;
        Ok(())
    }

    /// Binds the results of a call; what nobody took goes at once.
    fn bind(&mut self, results: &[Option<Slot>], outcome: Value) -> Result<(), Fault> {
        if let [only] = results {
            if let Some(slot) = only {
                self.set(*slot, outcome);
            }
            return Ok(());
        }
        if results.is_empty() {
            return Ok(());
        }
        let Value::Items(mut items) = outcome else {
            return Err(Fault::Damaged(format!("{} results of one value", results.len())));
        };
        if items.0.len() != results.len() {
            let found = items.0.len();
            return Err(Fault::Damaged(format!("{} results of {found} values", results.len())));
        }
        for (slot, value) in results.iter().zip(std::mem::take(&mut items.0)) {
            if let Some(slot) = slot {
                self.set(*slot, value);
            }
        }
        Ok(())
    }

    /// Binds a name; what it named before goes afterwards.
    pub fn set(&mut self, slot: Slot, value: Value) {
        let at = slot.0 as usize;
        if self.names.len() <= at {
            self.names.resize_with(at + 1, || None);
        }
        let before = self.names[at].replace(value);
        drop(before);
    }

    fn get(&self, slot: Slot) -> Result<&Value, Fault> {
        let found = self.names.get(slot.0 as usize).and_then(Option::as_ref);
        found.ok_or_else(|| Fault::Damaged(format!("{slot} names nothing here")))
    }

    fn take(&mut self, slot: Slot) -> Result<Value, Fault> {
        let found = self.names.get_mut(slot.0 as usize).and_then(Option::take);
        found.ok_or_else(|| Fault::Damaged(format!("{slot} names nothing here")))
    }

    fn module(&self, kind: LeafModule, path: &Path, argument: &Value) -> Result<Tensor, Fault> {
        let argument = argument
            .tensor()
            .ok_or_else(|| Fault::Damaged(format!("{path} is called with {}", argument.kind())))?;
        self.state.call_module(kind, &path.at(self.index), argument)
    }

    /// The arguments of a call.
    pub fn arguments<'b>(
        &self,
        function: &'b str,
        positional: &[Expression],
        keywords: &'b Keywords,
    ) -> Result<Arguments<'b>, Fault> {
        let positional = positional.iter().map(|it| self.value(it)).collect::<Result<_, _>>()?;
        let keywords = keywords
            .iter()
            .map(|(name, it)| Ok((name.as_str(), self.value(it)?)))
            .collect::<Result<_, Fault>>()?;
        Ok(Arguments { function, positional, keywords })
    }

    /// The object that an expression stands for.
    pub fn value(&self, expression: &Expression) -> Result<Value, Fault> {
        Ok(match expression {
            Expression::Slot(slot) => self.get(*slot)?.clone(),
            Expression::Tensor(path) => Value::Tensor(self.state.tensor(&path.at(self.index))?),
            Expression::Input(input) => self.input(*input).map_or(Value::NONE, |t| Value::Tensor(t.clone())),
            Expression::List(items) | Expression::Tuple(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?;
                Value::Items(Items(items))
            }
            Expression::Slice(parts) => {
                let part = |at: usize| match &parts[at] {
                    None | Some(Expression::None) => Ok(None),
                    Some(part) => self.integer(part).map(Some),
                };
                Value::Slice([part(0)?, part(1)?, part(2)?])
            }
            // A static cache's length is a tensor, which adds to another as a number does.
            Expression::Past => {
                let seen = self.cache.as_ref().map_or(0, CacheOf::seen);
                Value::Plain(Plain::Integer(i64::try_from(seen).unwrap_or(i64::MAX)))
            }
            Expression::Cache if self.cache.is_some() => Value::Cache(CacheRole::SelfAttention),
            Expression::Cache => Value::NONE,
            Expression::RouterLogits => Value::Items(self.state.router_logits()),
            Expression::Ellipsis => Value::Ellipsis,
            Expression::Host => Value::Host,
            Expression::Dtype(dtype) => Value::Dtype(*dtype),
            Expression::DefaultDtype => Value::Dtype(self.state.weights_dtype()),
            Expression::DtypeOf(tensor) => Value::Dtype(self.dtype_of(tensor)?),
            plain => Value::Plain(self.evaluate(plain)?),
        })
    }

    fn dtype_of(&self, expression: &Expression) -> Result<Dtype, Fault> {
        let value = self.value(expression)?;
        let tensor = value.tensor();
        tensor.map(Tensor::dtype).ok_or_else(|| Fault::Damaged(format!("{expression} is no tensor")))
    }

    fn input(&self, input: Input) -> Option<&Tensor> {
        if let Some((_, tensor)) = self.handed.iter().find(|(handed, _)| *handed == input) {
            return Some(tensor);
        }
        let inputs = self.inputs?;
        match input {
            Input::InputIds => inputs.sample.tokens(),
            Input::PixelValues => inputs.sample.images(),
            Input::InputFeatures => inputs.sample.features(),
            Input::DecoderInputIds => inputs.decoder_input_ids,
            Input::AttentionMask => inputs.attention_mask,
            Input::Labels => inputs.labels(),
            Input::StartPositions | Input::EndPositions => match inputs.targets? {
                Targets::Positions(start, _) if input == Input::StartPositions => Some(start),
                Targets::Positions(_, end) => Some(end),
                Targets::Labels(_) | Targets::Noise(_) => None,
            },
            Input::Noise => match inputs.targets? {
                Targets::Noise(noise) => Some(noise),
                Targets::Labels(_) | Targets::Positions(..) => None,
            },
            Input::Sample => inputs.sample.noisy().map(|noisy| &noisy.sample),
            Input::Timestep => inputs.sample.noisy().map(|noisy| &noisy.timestep),
            Input::EncoderHiddenStates => match &inputs.sample.noisy()?.condition {
                Condition::Text(states) => Some(states),
                Condition::Classes(_) => None,
            },
            Input::ClassLabels => match &inputs.sample.noisy()?.condition {
                Condition::Classes(labels) => Some(labels),
                Condition::Text(_) => None,
            },
        }
    }

    /// Whether an expression names a tensor that `torch.ones` made.
    pub fn holds_ones(&self, expression: &Expression) -> bool {
        matches!(expression, Expression::Slot(slot) if self.ones.contains(slot))
    }

    fn value_of(&self, slot: Slot) -> Option<&Value> {
        self.names.get(slot.0 as usize)?.as_ref()
    }

    fn named(&self, slot: Slot) -> Option<&Tensor> {
        self.value_of(slot)?.tensor()
    }
}

/// `parameter.data = value`.
const SET_DATA: &str = ".data.__set__";

/// The new and the old object of `x = x[index]`, with which transformers brings tokens back into their order. A program
/// writes it as a call and a `drop` of the old object.
fn rebound(function: &str, results: &[Option<Slot>], arguments: &[Expression]) -> Option<(Slot, Slot)> {
    match (function, results, arguments) {
        (".__getitem__", [Some(new)], [Expression::Slot(old), Expression::Slot(_)]) => Some((*new, *old)),
        _ => None,
    }
}

impl Scope for Frame<'_> {
    fn values(&self) -> &Values {
        &self.state.values
    }

    fn layer_index(&self) -> Option<u64> {
        self.index
    }

    /// Not of a static cache: its length is a tensor, and where transformers asks for the sizes of a mask (`get_mask_sizes`),
    /// which programs write as `past`, too, it answers with its whole length.
    fn past(&self) -> Option<u64> {
        match &self.cache {
            None => Some(0),
            Some(cache) => cache.held().knows_its_length().then(|| cache.seen()),
        }
    }

    fn logits_to_keep(&self) -> Option<u64> {
        Some(self.inputs?.logits_to_keep.unwrap_or(0))
    }

    fn size(&self, slot: Slot, dim: usize) -> Option<u64> {
        let shape = match self.named(slot) {
            Some(tensor) => tensor.shape(),
            None => self.gone.get(&slot)?,
        };
        (dim < shape.rank()).then(|| shape[dim])
    }

    fn input_size(&self, input: Input, dim: usize) -> Option<u64> {
        let tensor = self.input(input)?;
        (dim < tensor.rank()).then(|| tensor.dim(dim))
    }

    fn dtype(&self, tensor: &Expression) -> Option<Dtype> {
        self.dtype_of(tensor).ok()
    }

    fn default_dtype(&self) -> Option<Dtype> {
        Some(self.state.weights_dtype())
    }

    fn tensor_size(&self, path: &Path, dim: usize) -> Option<u64> {
        let tensor = self.state.tensor(&path.at(self.index)).ok()?;
        (dim < tensor.rank()).then(|| tensor.dim(dim))
    }

    fn numel(&self, slot: Slot) -> Option<u64> {
        self.named(slot).map(Tensor::numel)
    }
}
