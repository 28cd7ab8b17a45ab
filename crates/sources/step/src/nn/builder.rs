use std::cell::RefCell;
use std::rc::Rc;

use brimful_jobs::{Checkpointing, Lora, Precision};
use brimful_trace::Category;
use brimful_units::{Dtype, Shape};

use super::parameter::Registry;
use super::{Conv1d, Embedding, LayerNorm, Linear, Module, Parameter, RmsNorm};
use crate::checkpoint::Checkpoint;
use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// Makes a model's modules, parameters and buffers on the device, in the order of its constructor, and attaches what the
/// job puts around them.
pub(crate) struct Builder {
    pub device: Device,
    /// The dtype of new parameters.
    pub dtype: Dtype,
    /// The job's adapters: the model itself is frozen, and lies two modules deeper.
    lora: Option<Lora>,
    checkpointing: Checkpointing,
    registry: Registry,
    /// The Linears that get an adapter, in their order.
    targets: RefCell<Vec<Target>>,
}

/// A Linear that LoRA's `target_modules` name.
#[derive(Clone)]
pub(crate) struct Target {
    pub module: Rc<Module>,
    pub inputs: u64,
    pub outputs: u64,
}

impl Builder {
    /// A builder for a model that nothing is put around.
    pub fn new(device: &Device, precision: Precision) -> Builder {
        let dtype = match precision {
            Precision::Fp32 | Precision::AmpBf16 | Precision::AmpFp16 => Dtype::F32,
            Precision::Fp16 => Dtype::F16,
            Precision::Bf16 => Dtype::Bf16,
        };
        Builder {
            device: device.clone(),
            dtype,
            lora: None,
            checkpointing: Checkpointing::None,
            registry: Registry::default(),
            targets: RefCell::default(),
        }
    }

    /// The model is frozen and will get these adapters ([`Builder::get_peft_model`]).
    pub fn with_lora(self, lora: Option<Lora>) -> Builder {
        Builder { lora, ..self }
    }

    /// `model.gradient_checkpointing_enable()`: each block is called through a checkpoint.
    pub fn with_checkpointing(self, checkpointing: Checkpointing) -> Builder {
        Builder { checkpointing, ..self }
    }

    /// The parameters that are trained, in the order of `model.parameters()`.
    pub fn trained(&self) -> Vec<Parameter> {
        let all = self.registry.parameters().into_iter();
        all.filter(|parameter| parameter.tensor().requires_grad()).collect()
    }

    /// The path of a module from the root of what the job trains: PEFT wraps the model in two modules more.
    fn path(&self, path: &str) -> Rc<str> {
        match (&self.lora, path) {
            (None, path) => path.into(),
            (Some(_), "") => "base_model.model".into(),
            (Some(_), path) => format!("base_model.model.{path}").into(),
        }
    }

    /// A module without parameters of its own, by its path in the model.
    pub fn module(&self, path: &str) -> Module {
        Module::new(self.path(path))
    }

    /// A block of the model (`GradientCheckpointingLayer`, transformers/modeling_layers.py).
    pub fn block(&self, path: &str) -> Module {
        let module = self.module(path);
        if self.checkpointing != Checkpointing::None {
            module.wrap(Rc::new(Checkpoint(self.checkpointing)));
        }
        module
    }

    /// A parameter of a module. It wants a gradient unless adapters are trained in its place.
    fn parameter(&self, module: &Module, shape: impl Into<Shape>) -> Parameter {
        let _module = module.scope(&self.device);
        let tensor = ops::new_tensor(&self.device, "empty", shape, self.dtype);
        if self.lora.is_none() {
            tensor.require_grad();
        }
        self.added_parameter(tensor)
    }

    /// `nn.Linear(inputs, outputs, bias)`.
    pub fn linear(&self, path: &str, inputs: u64, outputs: u64, bias: bool) -> Linear {
        let module = self.target(path, inputs, outputs);
        let weight = self.parameter(&module, [outputs, inputs]);
        let bias = bias.then(|| self.parameter(&module, [outputs]));
        Linear { module, weight, bias }
    }

    /// transformers' `Conv1D`.
    pub fn conv1d(&self, path: &str, inputs: u64, outputs: u64) -> Conv1d {
        let module = self.target(path, inputs, outputs);
        let weight = self.parameter(&module, [inputs, outputs]);
        let bias = self.parameter(&module, [outputs]);
        Conv1d { module, weight, bias }
    }

    /// The module of a Linear, noted where LoRA's `target_modules` name it.
    fn target(&self, path: &str, inputs: u64, outputs: u64) -> Rc<Module> {
        let module = Rc::new(self.module(path));
        if self.lora.as_ref().is_some_and(|lora| lora.target_modules.include(&module.path())) {
            self.targets.borrow_mut().push(Target { module: module.clone(), inputs, outputs });
        }
        module
    }

    /// The Linears that get an adapter, in the order in which they were made.
    pub fn targets(&self) -> Vec<Target> {
        self.targets.take()
    }

    /// `nn.Embedding` of the input tokens. `enable_input_require_grads` is a hook on it.
    pub fn embedding(&self, path: &str, rows: u64, width: u64) -> Embedding {
        let requires = self.lora.as_ref().is_some_and(|lora| lora.enable_input_require_grads);
        Embedding { output_requires_grad: requires, ..self.position_embedding(path, rows, width) }
    }

    /// `nn.Embedding` of anything else.
    pub fn position_embedding(&self, path: &str, rows: u64, width: u64) -> Embedding {
        let module = self.module(path);
        let weight = self.parameter(&module, [rows, width]);
        Embedding { module, weight, output_requires_grad: false }
    }

    /// The Llama family's norm.
    pub fn rms_norm(&self, path: &str, width: u64) -> RmsNorm {
        let module = self.module(path);
        let weight = self.parameter(&module, [width]);
        RmsNorm { module, weight }
    }

    /// `nn.LayerNorm(width)`.
    pub fn layer_norm(&self, path: &str, width: u64) -> LayerNorm {
        let module = self.module(path);
        let weight = self.parameter(&module, [width]);
        let bias = self.parameter(&module, [width]);
        LayerNorm { module, weight, bias }
    }

    /// A parameter that a library adds to the model when it is there, and trains.
    pub fn added_parameter(&self, tensor: Tensor) -> Parameter {
        tensor.categorize(Category::Parameter);
        self.registry.register(tensor)
    }
}
