//! The constructor's side of a model: parameters, modules and what a job's techniques attach to them.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::{Rc, Weak};

use brimful_jobs::{Checkpointing, Lora, Precision, Quantization};
use brimful_models::Config;
use brimful_trace::Category;
use brimful_units::{Dtype, Shape};
use rustc_hash::{FxHashMap, FxHashSet};

use super::dora::Base;
use super::layers::{CenteredRmsNorm, Conv1d, Dropout, Embedding, LayerNorm, Linear, RmsNorm};
use super::lora::{RequireGrad, Target, get_peft_model};
use super::quantized::{Codes, Quantized};
use super::{Activation, Forward, Module, Parameter};
use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// What a job puts around a model's modules. The families do not know it.
#[derive(Clone, Debug)]
pub(crate) struct Techniques {
    /// Which checkpoint runs around each block.
    pub checkpointing: Checkpointing,
    /// The adapters beside the Linears; `None` if every parameter is trained.
    pub lora: Option<Lora>,
    /// How the Linears hold their weights; `None` for the model's dtype.
    pub quantization: Option<Quantization>,
    /// Whether `prepare_model_for_kbit_training` casts what is not quantized to fp32.
    pub prepare_for_kbit: bool,
    /// The dtype of the parameters while a module runs, where FSDP2 converts them.
    pub param_dtype: Option<Dtype>,
}

impl Techniques {
    /// A model as its class makes it.
    pub const NONE: Techniques = Techniques {
        checkpointing: Checkpointing::None,
        lora: None,
        quantization: None,
        prepare_for_kbit: false,
        param_dtype: None,
    };
}

/// Makes parameters and modules at one place of the model's tree, in the order of the constructor. It dereferences to
/// what is the same at every place.
#[derive(Clone)]
pub(crate) struct Builder {
    plan: Rc<Plan>,
    /// The module whose constructor runs, as transformers names it; empty at the root.
    path: String,
}

/// What the whole model is built with, and what has been built.
pub(crate) struct Plan {
    /// Where the parameters go.
    pub device: Device,
    /// The dtype in which the constructor makes the parameters.
    pub dtype: Dtype,
    /// The dtype of the parameters when the model is complete.
    pub converted: Dtype,
    /// What is attached to the modules.
    pub techniques: Techniques,
    /// Name and shape of every parameter in the order of the constructor ([`Config::parameter_tensors`]). It says which
    /// biases, norms and heads there are.
    declared: Vec<(String, Shape)>,
    /// How many of the declared parameters have been built.
    built: Cell<usize>,
    /// Every parameter in the order of `named_parameters()`. A head that was tied away has dropped its own.
    registered: RefCell<Vec<Weak<Parameter>>>,
    /// The places of parameters in `named_parameters()` by their names, where the constructor has another order and says so.
    order: RefCell<FxHashMap<String, usize>>,
    /// The parameters that are not trained, by path: some of the model's class, and those of quantized layers.
    frozen: RefCell<FxHashSet<String>>,
    /// The codes that quantized weights share.
    codes: Codes,
    /// The layers that gradient checkpointing may wrap, by their names in the model.
    layers: RefCell<Vec<String>>,
    /// The Linears that get an adapter once the whole model is there.
    pub(super) targets: RefCell<Vec<Target>>,
}

impl Deref for Builder {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

/// `prepare_model_for_kbit_training` (peft/utils/other.py, 0.21): what is half-precision and not quantized becomes fp32.
fn prepare_model_for_kbit_training(parameters: &[Rc<Parameter>]) {
    for parameter in parameters {
        let tensor = parameter.tensor();
        if parameter.quantized().is_none() && matches!(tensor.dtype(), Dtype::F16 | Dtype::Bf16) {
            let converted = ops::to(&tensor, Dtype::F32);
            drop(tensor);
            parameter.set_data(converted);
        }
    }
}

/// The two modules that PEFT puts around a model.
const PEFT: &str = "base_model.model";

impl Plan {
    /// Makes a parameter by `op`, which names the allocation, in the scope of its module, and registers it.
    pub(crate) fn parameter(&self, path: String, op: &'static str, shape: impl Into<Shape>) -> Rc<Parameter> {
        self.parameter_of(path, op, shape, self.dtype)
    }

    pub(super) fn parameter_of(
        &self,
        path: String,
        op: &'static str,
        shape: impl Into<Shape>,
        dtype: Dtype,
    ) -> Rc<Parameter> {
        let module = path.rsplit_once('.').map_or("", |(module, _)| module);
        let _module = self.device.module(&joined(self.prefix_of(module), module).into());
        let parameter = Parameter::new(path, ops::new_tensor(&self.device, op, shape, dtype));
        self.registered.borrow_mut().push(Rc::downgrade(&parameter));
        parameter
    }

    /// Registers a tensor that is there already as a parameter.
    pub(super) fn parameter_over(&self, path: String, tensor: Tensor) -> Rc<Parameter> {
        let parameter = Parameter::new(path, tensor);
        self.registered.borrow_mut().push(Rc::downgrade(&parameter));
        parameter
    }

    /// `model.parameters()`: each once, in the order of `named_parameters()`.
    fn parameters(&self) -> Vec<Rc<Parameter>> {
        let all: Vec<Rc<Parameter>> = self.registered.borrow().iter().filter_map(Weak::upgrade).collect();
        let order = self.order.borrow();
        if order.is_empty() {
            return ordered_by_modules(&all);
        }
        let mut ordered = all;
        ordered.sort_by_key(|parameter| order.get(parameter.path()).copied().unwrap_or(usize::MAX));
        ordered
    }

    /// Says which parameter is the next in `named_parameters()`.
    pub(crate) fn register_next(&self, path: String) {
        let mut order = self.order.borrow_mut();
        let next = order.len();
        order.insert(path, next);
    }

    /// What stands before a module's name, unless it has PEFT's prefix already.
    fn prefix_of(&self, module: &str) -> &'static str {
        if module.starts_with(PEFT) { "" } else { self.prefix() }
    }

    /// PEFT wraps the model in two modules: the names of all others begin with theirs.
    fn prefix(&self) -> &'static str {
        if self.techniques.lora.is_some() { PEFT } else { "" }
    }
}

/// Parameters, which come in the order of the constructor, in that of `Module.named_parameters`: a module's own before
/// those of its children, though a constructor may make them last, as the attention of GPT-OSS does with its sinks.
fn ordered_by_modules(parameters: &[Rc<Parameter>]) -> Vec<Rc<Parameter>> {
    let mut firsts = FxHashMap::default();
    let numbered = parameters.iter().enumerate();
    let places: Vec<_> = numbered.map(|(at, parameter)| place(&mut firsts, at, parameter.path())).collect();
    let mut order: Vec<usize> = (0..parameters.len()).collect();
    order.sort_by_key(|at| &places[*at]);
    order.into_iter().map(|at| parameters[at].clone()).collect()
}

/// Where the parameter `at` stands in the tree of modules. A child's place is that of its first parameter, counted from
/// 1 on; 0 stands for the module itself.
fn place<'a>(firsts: &mut FxHashMap<&'a str, usize>, at: usize, path: &'a str) -> Vec<usize> {
    let modules = path.match_indices('.').map(|(end, _)| &path[..end]);
    modules.map(|module| *firsts.entry(module).or_insert(at + 1)).chain([0, at]).collect()
}

/// `a.b`, or the one that is not empty.
fn joined(a: &str, b: &str) -> String {
    let dot = if a.is_empty() || b.is_empty() { "" } else { "." };
    [a, dot, b].concat()
}

impl Builder {
    /// A builder at the root of the model.
    pub fn new(device: &Device, config: &Config, precision: Precision, techniques: Techniques) -> Builder {
        let constructed = match config {
            Config::Recorded(config) => config.program.header.constructed,
            Config::Decoder(_) | Config::Gpt2(_) => None,
        };
        let plan = Plan {
            device: device.clone(),
            dtype: constructed.unwrap_or(precision.weights()),
            converted: precision.weights(),
            techniques,
            declared: config.parameter_tensors(),
            built: Cell::new(0),
            registered: RefCell::default(),
            order: RefCell::default(),
            frozen: RefCell::new(config.frozen_parameters().iter().cloned().collect()),
            codes: Codes::default(),
            layers: RefCell::default(),
            targets: RefCell::default(),
        };
        Builder { plan: Rc::new(plan), path: String::new() }
    }

    /// Ends the construction: makes the adapters and marks what is trained. Returns every parameter of the model.
    pub fn finish(&self) -> Vec<Rc<Parameter>> {
        if self.techniques.prepare_for_kbit {
            prepare_model_for_kbit_training(&self.parameters());
        }
        if let Some(lora) = &self.techniques.lora {
            get_peft_model(self, lora);
        }
        let all = self.parameters();
        // `_mark_only_adapters_as_trainable` (peft/tuners/lora/model.py) goes by the names, too.
        let frozen = |path: &str| match self.techniques.lora {
            Some(_) => !path.contains("lora_"),
            None => self.frozen.borrow().contains(path),
        };
        all.iter()
            .filter(|parameter| !frozen(parameter.path()))
            .for_each(|parameter| parameter.require_grad());
        all
    }

    /// The name of a child in the model.
    pub fn path_of(&self, name: &str) -> String {
        joined(&self.path, name)
    }

    /// Notes a child as a layer that gradient checkpointing may wrap. Its name may have `{i}` for the number of a layer.
    pub fn note_layer(&self, name: &str) {
        let path = self.path_of(name);
        let mut layers = self.layers.borrow_mut();
        if !layers.contains(&path) {
            layers.push(path);
        }
    }

    /// The layers that were noted.
    pub fn layers(&self) -> Vec<String> {
        self.layers.borrow().clone()
    }

    /// The place of a child.
    fn at(&self, name: &str) -> Builder {
        Builder { plan: self.plan.clone(), path: joined(&self.path, name) }
    }

    /// A module named `name` under this one, whose constructor is `build`.
    pub fn module<F: Forward>(&self, name: &str, build: impl FnOnce(&Builder) -> F) -> Module<F> {
        let child = self.at(name);
        let forward = build(&child);
        Module::new(&self.device, joined(self.prefix(), &child.path), forward)
    }

    /// Whether the next parameter of the model is this module's `name`, such as `q_norm.weight`.
    pub fn declares(&self, name: &str) -> bool {
        let next = self.declared.get(self.built.get());
        next.is_some_and(|(path, _)| *path == joined(&self.path, name))
    }

    /// The shape of a parameter of the model.
    pub fn declared_shape(&self, path: &str) -> Option<Shape> {
        self.declared.iter().find(|(declared, _)| declared == path).map(|(_, shape)| shape.clone())
    }

    /// The module's parameter `name`, with its declared shape.
    fn weight(&self, name: &str) -> Rc<Parameter> {
        // A test builds every family and compares with the declaration.
        assert!(self.declares(name), "`Config::parameter_tensors` has no {name} next in {}", self.path);
        let (path, shape) = &self.declared[self.built.get()];
        self.built.set(self.built.get() + 1);
        self.parameter(path.clone(), "empty", shape.clone())
    }

    /// The parameter of this path if it is the next one of the model, in the dtype that its module asks for.
    pub fn declared_parameter(&self, path: &str, dtype: Dtype) -> Option<Rc<Parameter>> {
        let (next, shape) = self.declared.get(self.built.get())?;
        if next != path {
            return None;
        }
        self.built.set(self.built.get() + 1);
        Some(self.parameter_of(path.to_owned(), "empty", shape.clone(), dtype))
    }

    /// As [`Builder::declared_parameter`], over a tensor that is there already.
    pub fn declared_over(&self, path: &str, tensor: Tensor) -> Option<Rc<Parameter>> {
        let (next, shape) = self.declared.get(self.built.get())?;
        if next != path || shape != tensor.shape() {
            return None;
        }
        self.built.set(self.built.get() + 1);
        Some(self.parameter_over(path.to_owned(), tensor))
    }

    /// The name of a module as the trace has it.
    pub fn scope(&self, path: &str) -> String {
        joined(self.prefix(), path)
    }

    fn optional(&self, name: &str) -> Option<Rc<Parameter>> {
        self.declares(name).then(|| self.weight(name))
    }

    /// `nn.Linear`, with a bias if one is declared.
    pub fn linear(&self, name: &str) -> Module<Linear> {
        let module =
            self.module(name, |it| Linear { weight: it.weight("weight"), bias: it.optional("bias") });
        let layer = module.get();
        self.quantize((&layer.weight, layer.bias.as_deref()), name, |dense| dense);
        let shape = layer.weight.shape();
        self.adapt(&module, name, module.get().base(), [shape[1], shape[0]]);
        module
    }

    /// `nn.Linear` over parameters that are there already.
    pub fn linear_over(
        &self,
        name: &str,
        weight: Rc<Parameter>,
        bias: Option<Rc<Parameter>>,
    ) -> Module<Linear> {
        let shape = weight.shape();
        let module = self.module(name, |_| Linear { weight, bias });
        self.adapt(&module, name, module.get().base(), [shape[1], shape[0]]);
        module
    }

    /// transformers' `Conv1D`.
    pub fn conv1d(&self, name: &str) -> Module<Conv1d> {
        let module = self.module(name, |it| Conv1d { weight: it.weight("weight"), bias: it.weight("bias") });
        let layer = module.get();
        let shape = layer.weight.shape();
        // transformers turns the weight around before it is quantized.
        self.quantize((&layer.weight, Some(&layer.bias)), name, |dense| ops::t(&dense));
        self.adapt(&module, name, module.get().base(), [shape[0], shape[1]]);
        module
    }

    /// `replace_with_bnb_linear` (transformers/integrations/bitsandbytes.py) of one module.
    fn quantize(
        &self,
        (weight, bias): (&Parameter, Option<&Parameter>),
        name: &str,
        turned: fn(Tensor) -> Tensor,
    ) {
        let path = joined(&self.path, name);
        let Some(quantization) = self.techniques.quantization.as_ref().filter(|it| it.replaces(&path)) else {
            return;
        };
        let _module = self.device.module(&joined(self.prefix(), &path).into());
        let parameters = [Some(weight), bias].into_iter().flatten();
        self.frozen.borrow_mut().extend(parameters.map(|it| it.path().to_owned()));
        weight.quantize(|dense| Quantized::new(turned(dense), quantization.form, &self.codes));
    }

    /// `lm_head`, a Linear as wide as the rows of `embedding`. Where the config ties it, no parameter of this name is
    /// declared: the constructor makes one all the same, and `tie_weights` replaces it by the embedding's.
    pub fn lm_head(&self, name: &str, embedding: &Module<Embedding>) -> Module<Linear> {
        self.output_layer(name, &embedding.get().weight)
    }

    /// As [`Builder::lm_head`], by the parameter that holds the rows.
    pub fn output_layer(&self, name: &str, table: &Rc<Parameter>) -> Module<Linear> {
        let shape = table.tensor().shape().clone();
        let (rows, width) = (shape[0], shape[1]);
        let declared = self.at(name).declares("weight");
        let module = self.module(name, |it| {
            if declared {
                return Linear { weight: it.weight("weight"), bias: it.optional("bias") };
            }
            // The head was the only holder of the constructor's parameter.
            let untied = it.parameter(joined(&it.path, "weight"), "empty", shape);
            let bias = it.optional("bias");
            drop(untied);
            if let Some(bias) = &bias {
                // `_adjust_bias` pads the bias to the table's rows, by none (transformers/modeling_utils.py, 5.23).
                let shape = bias.tensor().shape().clone();
                bias.set_data(ops::new_tensor(&it.device, "constant_pad_nd", shape, it.dtype));
            }
            Linear { weight: table.clone(), bias }
        });
        if declared {
            let layer = module.get();
            self.quantize((&layer.weight, layer.bias.as_deref()), name, |dense| dense);
        }
        self.adapt(&module, name, module.get().base(), [width, rows]);
        module
    }

    /// Notes a Linear that LoRA's `target_modules` name.
    fn adapt<F>(&self, module: &Module<F>, name: &str, base: Base, [inputs, outputs]: [u64; 2])
    where
        F: for<'a> Forward<Input<'a> = &'a Tensor, Output = Tensor>,
    {
        let Some(lora) = &self.techniques.lora else { return };
        let path = joined(&self.path, name);
        if let Some(rank) = lora.rank_of(&path) {
            let path = joined(self.prefix(), &path);
            self.targets.borrow_mut().push(Target::new(module, path, base, [inputs, rank, outputs]));
        }
    }

    /// `nn.Embedding`.
    pub fn embedding(&self, name: &str) -> Module<Embedding> {
        self.module(name, |it| Embedding {
            weight: it.weight("weight").held_by_embedding(),
            embed_scale: None,
        })
    }

    /// `nn.Embedding` over a parameter that is there already.
    pub fn embedding_over(&self, name: &str, weight: Rc<Parameter>) -> Module<Embedding> {
        self.module(name, |_| Embedding { weight: weight.held_by_embedding(), embed_scale: None })
    }

    /// The table of the input tokens (`get_input_embeddings`). `enable_input_require_grads` is a hook on it.
    pub fn token_embedding(&self, name: &str) -> Module<Embedding> {
        self.input_embedding(self.embedding(name))
    }

    /// The table of the input tokens, whose rows are multiplied by a number in a buffer.
    pub fn scaled_token_embedding(&self, name: &str) -> Module<Embedding> {
        self.input_embedding(self.module(name, |it| {
            let weight = it.weight("weight");
            // `torch.tensor(embed_scale)` has the default dtype, which is the model's while it is built.
            let embed_scale = ops::new_tensor(&it.device, "_to_copy", [], it.dtype);
            embed_scale.categorize(Category::Buffer);
            Embedding { weight: weight.held_by_embedding(), embed_scale: Some(embed_scale) }
        }))
    }

    fn input_embedding(&self, module: Module<Embedding>) -> Module<Embedding> {
        if self.techniques.lora.as_ref().is_some_and(|lora| lora.enable_input_require_grads) {
            module.wrap(RequireGrad);
        }
        module
    }

    /// The root-mean-square norm of the Llama family.
    pub fn rms_norm(&self, name: &str) -> Module<RmsNorm> {
        self.module(name, |it| RmsNorm { weight: it.weight("weight") })
    }

    /// The root-mean-square norm of Gemma 2.
    pub fn centered_rms_norm(&self, name: &str) -> Module<CenteredRmsNorm> {
        self.module(name, |it| CenteredRmsNorm { weight: it.weight("weight") })
    }

    /// `nn.LayerNorm`.
    pub fn layer_norm(&self, name: &str) -> Module<LayerNorm> {
        self.module(name, |it| LayerNorm { weight: it.weight("weight"), bias: it.weight("bias") })
    }

    /// `nn.Dropout(p)`.
    pub fn dropout(&self, name: &str, p: f64) -> Module<Dropout> {
        self.module(name, |_| Dropout { p })
    }

    /// `ACT2FN[kind]`.
    pub fn activation(&self, name: &str, kind: brimful_models::Activation) -> Module<Activation> {
        self.module(name, |_| Activation { kind })
    }
}
