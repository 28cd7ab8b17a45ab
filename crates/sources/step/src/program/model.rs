//! The constructor of a recorded model, and the model that stands at the root.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use brimful_jobs::{AttentionKernel, Checkpointing, LoraTargets};
use brimful_models::RecordedConfig;
use brimful_programs::{
    Attention, CacheUse, EvaluationError, Expression, ForwardKey, LeafModule, MaskUse, Mode as RecordedMode,
    Path, Program, Value as Plain, Values,
};
use brimful_trace::Category;
use brimful_units::Dtype;
use rustc_hash::FxHashMap;

use super::fault::Fault;
use super::frame::{CacheOf, Frame};
use super::layer;
use super::value::{Items, Value};
use crate::StepError;
use crate::device::Device;
use crate::models::{Cache, CausalLm, Inputs, Mode, Outputs, RouterLogits};
use crate::nn::{Builder, Conv1d, Embedding, Linear, Module, Parameter};
use crate::ops;
use crate::tensor::Tensor;

/// A model whose class was recorded.
pub(super) struct State {
    /// Where it is.
    pub device: Device,
    /// What was recorded.
    pub program: Arc<Program>,
    /// The config.
    pub values: Values,
    /// The dtype of the parameters.
    pub dtype: Dtype,
    /// Which checkpoint runs around each layer.
    pub checkpointing: Checkpointing,
    /// The attention window of each layer in tokens, for caches.
    pub windows: Vec<Option<u64>>,
    builder: Builder,
    /// Whether the constructor has returned.
    built: Cell<bool>,
    /// The modules that `enable_input_require_grads` hooks: those that the program names, else that of the input tokens' table
    /// where its inside is recorded.
    hooked: RefCell<Vec<String>>,
    /// Heads and the embeddings whose weight becomes theirs, as (`lm_head.weight`, `model.embed_tokens.weight`).
    ties: Vec<(String, String)>,
    /// Linears and embeddings whose parameters are tied later in the constructor: they are modules only after that.
    untied: RefCell<Vec<(LeafModule, String)>>,
    modules: RefCell<FxHashMap<String, Leaf>>,
    parameters: RefCell<FxHashMap<String, Rc<Parameter>>>,
    buffers: RefCell<FxHashMap<String, Tensor>>,
    scopes: RefCell<Scopes>,
    /// What `router collect` has gathered in the call that runs; `None` outside of a call, such as in a backward.
    collected: RefCell<Option<Items>>,
}

/// The names of modules as the trace has them, by path and layer.
type Scopes = FxHashMap<(Path, Option<u64>), Rc<str>>;

/// A module whose inside is not recorded.
enum Leaf {
    Linear(Module<Linear>),
    Conv1d(Module<Conv1d>),
    Embedding(Module<Embedding>),
}

/// Builds the model on the device, as its constructor was recorded.
pub(crate) fn for_recorded(config: &RecordedConfig, builder: &Builder) -> Box<dyn CausalLm> {
    let state = Rc::new(State {
        device: builder.device.clone(),
        program: config.program.clone(),
        values: with_checkpointing(&config.values, builder.techniques.checkpointing),
        dtype: builder.dtype,
        checkpointing: builder.techniques.checkpointing,
        windows: config.windows.clone(),
        builder: builder.clone(),
        built: Cell::new(false),
        hooked: RefCell::default(),
        ties: config.ties.clone(),
        untied: RefCell::default(),
        modules: RefCell::default(),
        parameters: RefCell::default(),
        buffers: RefCell::default(),
        scopes: RefCell::default(),
        collected: RefCell::default(),
    });
    let outcome = adapted_experts(config, builder).map_or(Ok(()), Err).and_then(|()| {
        let _off = state.device.set_grad_enabled(false);
        layer::note_all(builder, &config.program);
        construct(&state)
    });
    if let Err(fault) = outcome {
        state.fail(&fault);
    }
    state.built.set(true);
    Box::new(Recorded(state))
}

/// The values of the config, and whether layers are checkpointed, which programs ask for by this name.
fn with_checkpointing(values: &Values, checkpointing: Checkpointing) -> Values {
    let mut values = values.clone();
    values.insert("checkpointing", Plain::Flag(checkpointing != Checkpointing::None));
    values
}

/// Adapters on experts, which are not simulated: PEFT puts them on parameters where `target_modules` names what used to be
/// Linears, and "all-linear" does (`_convert_peft_config_moe` in peft/utils/transformers_weight_conversion.py, 0.21).
fn adapted_experts(config: &RecordedConfig, builder: &Builder) -> Option<Fault> {
    /// Types with experts whose targets PEFT leaves as they are.
    const NOT_CONVERTED: [&str; 3] = ["gpt_oss", "granitemoe", "phimoe"];
    const USED_TO_BE_LINEARS: [&str; 7] = ["gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"];
    let lora = builder.techniques.lora.as_ref()?;
    let header = &config.program.header;
    // PEFT converts by type, also where no layer of this config has experts.
    let has_experts = header.defaults.iter().any(|(key, _)| key.contains("expert"));
    let converted = has_experts && !NOT_CONVERTED.contains(&header.model_type.as_str());
    let named = match &lora.target_modules {
        LoraTargets::AllLinear => Some("all-linear"),
        LoraTargets::Named(names) => {
            let leaf = |name: &String| name.rsplit('.').next().unwrap_or_default().to_owned();
            USED_TO_BE_LINEARS.into_iter().find(|known| names.iter().any(|name| leaf(name) == *known))
        }
        // PEFT resolves an expression against the model first, which may name experts.
        LoraTargets::Pattern(pattern) => Some(pattern.text()),
    };
    named.filter(|_| converted).map(|target| Fault::Arguments {
        function: format!("LoRA on the experts of {}", header.class),
        what: format!("the target module {target}"),
    })
}

/// Runs the constructor.
fn construct(state: &Rc<State>) -> Result<(), Fault> {
    let program = state.program.clone();
    let body = program.build(&state.values)?;
    let body = body.ok_or_else(|| Fault::Function("a constructor for this config".to_owned()))?;
    Frame::new(state, None, None).run(body)?;
    state.finish_ties()
}

impl State {
    /// `torch.get_default_dtype()`: the model's while it is built, fp32 when it is called.
    pub fn default_dtype(&self) -> Dtype {
        if self.built.get() { Dtype::F32 } else { self.dtype }
    }

    /// The dtype of the parameters: that in which they are kept, or when the model is called, that in which they are gathered.
    pub fn weights_dtype(&self) -> Dtype {
        let gathered = self.builder.techniques.param_dtype.filter(|_| self.built.get());
        gathered.unwrap_or(self.dtype)
    }

    /// Voids the run.
    pub fn fail(&self, fault: &Fault) {
        let class = self.program.header.class.clone();
        self.device.fail(match fault {
            Fault::Expression(EvaluationError::Unknown(what)) if *what == Expression::Past.to_string() => {
                StepError::Unsupported {
                    key: "infer.cache",
                    value: "static".to_owned(),
                    cure: "this model reads the number of cached positions as a size, which a static cache keeps on the GPU: \
                           write infer.cache = dynamic",
                }
            }
            fault => StepError::Program { class, message: fault.to_string() },
        });
    }

    /// The name of a module as the trace has it.
    pub fn scope_of(&self, path: &Path, index: Option<u64>) -> Rc<str> {
        let mut scopes = self.scopes.borrow_mut();
        let found = scopes.get(&(path.clone(), index)).cloned();
        found.unwrap_or_else(|| {
            let name: Rc<str> = self.builder.scope(&path.at(index)).into();
            scopes.insert((path.clone(), index), name.clone());
            name
        })
    }

    /// Makes a module whose inside is not recorded.
    pub fn make_module(&self, kind: LeafModule, path: &Path, index: Option<u64>) -> Result<(), Fault> {
        let path = path.at(index);
        if kind != LeafModule::Conv1d && self.is_tied_in_order(&path) {
            return self.make_untied(kind, path);
        }
        let weight = format!("{path}.weight");
        let is_tied = self.ties.iter().any(|tie| tie.0 == weight);
        if !is_tied && !self.builder.declares(&weight) {
            return Err(Fault::Damaged(format!("{weight} is not the next parameter of the model")));
        }
        let leaf = match kind {
            LeafModule::Linear => Leaf::Linear(self.make_linear(&path)?),
            LeafModule::Conv1d => Leaf::Conv1d(self.builder.conv1d(&path)),
            // The first table is that of the input tokens (`get_input_embeddings`).
            LeafModule::Embedding if self.parameters.borrow().is_empty() => {
                Leaf::Embedding(self.builder.token_embedding(&path))
            }
            LeafModule::Embedding => Leaf::Embedding(self.builder.embedding(&path)),
        };
        let (weight, bias) = match &leaf {
            Leaf::Linear(module) => (module.get().weight.clone(), module.get().bias.clone()),
            Leaf::Conv1d(module) => (module.get().weight.clone(), Some(module.get().bias.clone())),
            Leaf::Embedding(module) => (module.get().weight.clone(), None),
        };
        let mut parameters = self.parameters.borrow_mut();
        parameters.insert(format!("{path}.weight"), weight);
        if let Some(bias) = bias {
            parameters.insert(format!("{path}.bias"), bias);
        }
        drop(parameters);
        self.modules.borrow_mut().insert(path, leaf);
        Ok(())
    }

    fn make_linear(&self, path: &str) -> Result<Module<Linear>, Fault> {
        let weight = format!("{path}.weight");
        let Some((_, other)) = self.ties.iter().find(|tie| tie.0 == weight) else {
            return Ok(self.builder.linear(path));
        };
        let table = self.parameters.borrow().get(other).cloned();
        let table = table.ok_or_else(|| Fault::Function(format!("tying {weight} to {other}")))?;
        Ok(self.builder.output_layer(path, &table))
    }

    /// Whether the program says when the weight of a Linear is tied. In most programs of causal language models it does not,
    /// and the builder ties the head when it makes it.
    fn is_tied_in_order(&self, path: &str) -> bool {
        let tied = |(place, _): &(String, String)| place.strip_suffix(".weight").is_some_and(|it| it == path);
        self.is_ordered() && self.ties.iter().any(tied)
    }

    /// Whether the program writes ties where they happen.
    fn is_ordered(&self) -> bool {
        self.program.header.ordered_ties
    }

    /// Makes the parameters of a module that the constructor replaces afterwards by others.
    fn make_untied(&self, kind: LeafModule, path: String) -> Result<(), Fault> {
        let weight = format!("{path}.weight");
        let tied = self.ties.iter().find(|tie| tie.0 == weight);
        // The table may be made later than the Linear.
        let shape = tied.and_then(|tie| self.builder.declared_shape(&tie.1));
        let shape = shape.ok_or_else(|| Fault::Damaged(format!("{weight} is tied to nothing")))?;
        let rows = shape[0];
        let bias = format!("{path}.bias");
        let own = self.builder.parameter(weight.clone(), "empty", shape);
        self.parameters.borrow_mut().insert(weight, own);
        let bias_is_tied = self.ties.iter().any(|tie| tie.0 == bias);
        let own = match self.builder.declared_parameter(&bias, self.dtype) {
            Some(own) => Some(own),
            None => bias_is_tied.then(|| self.builder.parameter(bias.clone(), "empty", [rows])),
        };
        if let Some(own) = own {
            self.parameters.borrow_mut().insert(bias, own);
        }
        self.untied.borrow_mut().push((kind, path));
        Ok(())
    }

    /// `setattr(parent, name, source_param)` of `tie_weights`: the parameter that was there goes.
    pub fn tie(&self, path: &Path, other: &Path, index: Option<u64>) -> Result<(), Fault> {
        let (path, other) = (path.at(index), other.at(index));
        if !self.is_ordered() {
            return Ok(());
        }
        let mut parameters = self.parameters.borrow_mut();
        let source = parameters.get(&other).cloned();
        let source =
            source.ok_or_else(|| Fault::Damaged(format!("{path} is tied to {other}, which is nowhere")))?;
        drop(parameters.insert(path, source));
        Ok(())
    }

    /// `parameter.data = value`.
    pub fn set_data(&self, path: &Path, index: Option<u64>, value: &Value) -> Result<(), Fault> {
        let path = path.at(index);
        let tensor =
            value.tensor().ok_or_else(|| Fault::Damaged(format!("{path}.data is {}", value.kind())))?;
        let found = self.parameters.borrow().get(&path).cloned();
        let parameter = found.ok_or_else(|| Fault::Damaged(format!("the model has no parameter {path}")))?;
        parameter.set_data(tensor.detach());
        Ok(())
    }

    /// What `Module.to(dtype)` does to a parameter or a buffer: the copy is there before what it was made of goes.
    pub fn convert(&self, path: &str) -> Result<(), Fault> {
        let (from, to) = (self.tensor(path)?, self.builder.converted);
        if from.dtype() == to {
            return Ok(());
        }
        let copy = ops::to(&from, to);
        if let Some(parameter) = self.parameters.borrow().get(path).cloned() {
            drop(from);
            parameter.set_data(copy);
            return Ok(());
        }
        copy.categorize(Category::Buffer);
        drop(from);
        drop(self.buffers.borrow_mut().insert(path.to_owned(), copy));
        Ok(())
    }

    /// Says which parameter is the next in `named_parameters()`.
    pub fn register_next(&self, path: String) {
        self.builder.register_next(path);
    }

    /// Makes modules of the Linears and the embeddings whose parameters were tied.
    fn finish_ties(&self) -> Result<(), Fault> {
        for (kind, path) in self.untied.take() {
            let parameter = |name: &str| self.parameters.borrow().get(&format!("{path}.{name}")).cloned();
            let weight =
                parameter("weight").ok_or_else(|| Fault::Damaged(format!("{path} has no weight")))?;
            let leaf = match kind {
                LeafModule::Embedding => Leaf::Embedding(self.builder.embedding_over(&path, weight)),
                _ => Leaf::Linear(self.builder.linear_over(&path, weight, parameter("bias"))),
            };
            self.modules.borrow_mut().insert(path, leaf);
        }
        Ok(())
    }

    /// Makes a parameter of a module whose inside is recorded.
    pub fn make_parameter(&self, path: &Path, index: Option<u64>, dtype: Dtype) -> Result<(), Fault> {
        let path = path.at(index);
        let parameter = match self.ties.iter().find(|tie| tie.0 == path && self.is_ordered()) {
            // It is replaced afterwards by another one of the same shape.
            Some(tie) => {
                let shape = self.tensor(&tie.1)?.shape().clone();
                Some(self.builder.parameter(path.clone(), "empty", shape))
            }
            None => self.builder.declared_parameter(&path, dtype),
        };
        let parameter = parameter.ok_or_else(|| Fault::Damaged(format!("{path} is not declared here")))?;
        let mut parameters = self.parameters.borrow_mut();
        // The first table is that of the input tokens (`get_input_embeddings`), and may multiply its rows.
        let lora = self.builder.techniques.lora.as_ref();
        if parameters.is_empty() && lora.is_some_and(|lora| lora.enable_input_require_grads) {
            self.hooked.borrow_mut().extend(path.strip_suffix(".weight").map(str::to_owned));
        }
        parameters.insert(path, parameter);
        Ok(())
    }

    /// Whether the output of a module is made to want a gradient.
    pub fn hooks(&self, path: &Path) -> bool {
        self.hooked.borrow().contains(&path.0)
    }

    /// Notes a module that the program names for `enable_input_require_grads`.
    pub fn hook(&self, path: &Path) {
        let lora = self.builder.techniques.lora.as_ref();
        let mut hooked = self.hooked.borrow_mut();
        if lora.is_some_and(|lora| lora.enable_input_require_grads) && !hooked.contains(&path.0) {
            hooked.push(path.0.clone());
        }
    }

    /// Makes a parameter of what was computed: it shares the memory.
    pub fn keep_parameter(&self, path: &Path, index: Option<u64>, value: Value) -> Result<(), Fault> {
        let path = path.at(index);
        let Value::Tensor(tensor) = value else {
            return Err(Fault::Damaged(format!("the parameter {path} is {}", value.kind())));
        };
        let parameter = self.builder.declared_over(&path, tensor.detach());
        let parameter = parameter.ok_or_else(|| Fault::Damaged(format!("{path} is not declared here")))?;
        self.parameters.borrow_mut().insert(path, parameter);
        Ok(())
    }

    /// Makes the object a buffer of a module.
    pub fn keep_buffer(&self, path: &Path, index: Option<u64>, value: Value) -> Result<(), Fault> {
        let path = path.at(index);
        let Value::Tensor(tensor) = value else {
            return Err(Fault::Damaged(format!("the buffer {path} is {}", value.kind())));
        };
        tensor.categorize(Category::Buffer);
        self.buffers.borrow_mut().insert(path, tensor);
        Ok(())
    }

    /// A parameter or a buffer.
    pub fn tensor(&self, path: &str) -> Result<Tensor, Fault> {
        if let Some(parameter) = self.parameters.borrow().get(path) {
            return Ok(parameter.tensor());
        }
        let found = self.buffers.borrow().get(path).cloned();
        found.ok_or_else(|| Fault::Damaged(format!("the model has no {path}")))
    }

    /// Adds to the list of `router_logits`, if a call collects them.
    pub fn collect(&self, logits: Tensor) {
        if let Some(items) = self.collected.borrow_mut().as_mut() {
            items.0.push(logits.into());
        }
    }

    /// What was collected in this call.
    pub fn router_logits(&self) -> Items {
        self.collected.borrow().clone().unwrap_or_default()
    }

    /// Calls a module whose inside is not recorded.
    pub fn call_module(&self, kind: LeafModule, path: &str, argument: &Tensor) -> Result<Tensor, Fault> {
        // The module is cloned out of the table: its wrappers may call others.
        let modules = self.modules.borrow();
        match (kind, modules.get(path)) {
            (LeafModule::Linear, Some(Leaf::Linear(module))) => {
                let shape = module.get().weight.shape();
                if argument.rank() == 0 || argument.last(0) != shape[1] {
                    let function = format!("the Linear {path} of {shape}");
                    return Err(Fault::Arguments {
                        function,
                        what: format!("a tensor of {}", argument.shape()),
                    });
                }
                Ok(module.call(argument))
            }
            (LeafModule::Conv1d, Some(Leaf::Conv1d(module))) => Ok(module.call(argument)),
            (LeafModule::Embedding, Some(Leaf::Embedding(module))) => Ok(module.call(argument)),
            _ => Err(Fault::Damaged(format!("the model has no module {path}"))),
        }
    }
}

/// The model at the root.
struct Recorded(Rc<State>);

impl CausalLm for Recorded {
    fn call(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs {
        let outcome = self.run(inputs, mode, cache);
        outcome.unwrap_or_else(|fault| {
            // The run is void: nobody looks at what the call returns.
            self.0.fail(&fault);
            Outputs {
                loss: None,
                aux_loss: None,
                logits: inputs.sample.tensor().without_memory(),
                end_logits: None,
                others: Vec::new(),
                cache: None,
                cross_cache: None,
                encoder_last_hidden_state: None,
                router_logits: RouterLogits::default(),
            }
        })
    }

    fn windows(&self) -> Vec<Option<u64>> {
        self.0.windows.clone()
    }
}

impl Recorded {
    fn run(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Result<Outputs, Fault> {
        let State { program, device, .. } = &*self.0;
        let key = ForwardKey {
            attention: match mode.attention {
                AttentionKernel::Eager => Attention::Eager,
                AttentionKernel::Sdpa | AttentionKernel::Flash => Attention::Sdpa,
            },
            mode: if mode.training { RecordedMode::Train } else { RecordedMode::Eval },
            mask: if inputs.attention_mask.is_some() { MaskUse::Masked } else { MaskUse::Unmasked },
            cache: match (&cache, mode.use_cache) {
                (Some(_), _) => CacheUse::Given,
                (None, true) => CacheUse::Made,
                (None, false) => CacheUse::None,
            },
        };
        let program = program.clone();
        let body = program.forward(key, &self.0.values)?.ok_or_else(|| Fault::Function(described(key)))?;
        let mut frame = Frame::new(&self.0, Some(*mode), Some(inputs));
        frame.cache = cache.map(CacheOf::Given);
        *self.0.collected.borrow_mut() = Some(Items::default());
        let outcome = {
            let _module = device.module(&self.0.scope_of(&Path(String::new()), None));
            frame.run(body)
        };
        // A layer that runs again in the backward finds no collector (`capture_outputs` in output_capturing.py).
        drop(self.0.collected.take());
        outcome?;
        let (mut loss, mut aux_loss) = (None, None);
        let (mut logits, mut end_logits, mut encoder_last_hidden_state) = (None, None, None);
        let (mut others, mut router_logits) = (Vec::new(), RouterLogits::default());
        for (name, value) in std::mem::take(&mut frame.returned) {
            match (name.as_str(), value) {
                ("loss", Value::Tensor(tensor)) => loss = Some(tensor),
                ("aux_loss", Value::Tensor(tensor)) => aux_loss = Some(tensor),
                ("logits" | "start_logits" | "logits_per_image" | "sample", Value::Tensor(tensor)) => {
                    logits = Some(tensor)
                }
                ("encoder_last_hidden_state", Value::Tensor(tensor)) => {
                    encoder_last_hidden_state = Some(tensor)
                }
                ("end_logits", Value::Tensor(tensor)) => end_logits = Some(tensor),
                (_, Value::Tensor(tensor)) => others.push(tensor),
                ("router_logits", Value::Items(items)) => {
                    router_logits.0 = items.0.iter().filter_map(Value::tensor).cloned().collect();
                }
                _ => {}
            }
        }
        let cache = match frame.cache.take() {
            Some(CacheOf::Made(cache)) => Some(cache),
            _ => None,
        };
        let logits = logits.ok_or_else(|| Fault::Damaged("the call returns no logits".to_owned()))?;
        let cross_cache = frame.cross_cache.take();
        Ok(Outputs {
            loss,
            aux_loss,
            logits,
            end_logits,
            others,
            cache,
            cross_cache,
            encoder_last_hidden_state,
            router_logits,
        })
    }
}

/// A call in words.
fn described(key: ForwardKey) -> String {
    let ForwardKey { attention, mode, mask, cache } = key;
    format!(
        "a call with attention {}, in {} mode, {}, cache {}",
        attention.word(),
        mode.word(),
        mask.word(),
        cache.word()
    )
}
