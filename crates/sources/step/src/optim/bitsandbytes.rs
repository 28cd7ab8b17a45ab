use brimful_jobs::{BitsAndBytes as Choice, TrainingLoop, Update};
use brimful_units::{Dtype, Shape};

use super::{Optimizer, Parameters, state};
use crate::StepError;
use crate::nn::Parameter;
use crate::ops;
use crate::tensor::Tensor;

/// bitsandbytes' optimizers (bitsandbytes/optim/optimizer.py, 0.50.2): one or two states for each parameter, in fp32 or in 8
/// bits with a scale for each block of 256 and with code maps for the whole optimizer.
pub(crate) struct BitsAndBytes {
    parameters: Parameters,
    choice: Choice,
    /// `Trainer.create_optimizer` registers 32 bits for the weights of every `nn.Embedding`.
    full_embeddings: bool,
    states: Vec<Tensor>,
    initialized: bool,
    /// The code maps go to the device with the first quantized state.
    has_codes: bool,
}

/// Elements under one scale.
const BLOCK: u64 = 256;
/// Entries of a code map.
const CODES: u64 = 256;
/// `get_state_buffer` pages states of as many elements as this.
const SMALLEST_PAGED: u64 = 100_000;

impl BitsAndBytes {
    /// The states are made by the first step.
    pub fn new(parameters: Parameters, choice: Choice, recipe: TrainingLoop) -> BitsAndBytes {
        let full_embeddings = recipe == TrainingLoop::Trainer;
        BitsAndBytes {
            parameters,
            choice,
            full_embeddings,
            states: Vec::new(),
            initialized: false,
            has_codes: false,
        }
    }

    fn init(&mut self, parameter: &Parameter) {
        let p = &parameter.tensor();
        let quantized = self.quantizes(parameter);
        let dtype = if quantized { Dtype::U8 } else { Dtype::F32 };
        // `AdEMAMix.init_state` makes the scales before the states, the base classes after them.
        let scales_first = self.choice.update == Update::AdEMAMix;
        if quantized {
            self.codes(p);
        }
        if quantized && scales_first {
            self.scales(p);
        }
        for copies in self.copies() {
            self.buffer(p, *copies, dtype);
        }
        if quantized && !scales_first {
            self.scales(p);
        }
        if self.choice.max_unorm {
            self.states.push(state(ops::new_tensor(p.device(), "zeros", [1], Dtype::F32)));
        }
    }

    fn quantizes(&self, parameter: &Parameter) -> bool {
        let full = self.full_embeddings && parameter.is_of_embedding();
        self.choice.eight_bit && !full && parameter.tensor().numel() >= self.choice.min_8bit_size
    }

    /// The library has no kernel for some pairs of an optimizer and a parameter (`str2optimizer32bit` and
    /// `str2optimizer8bit_blockwise` in bitsandbytes/backends/cuda/ops.py), and raises ValueError.
    fn refuse_gradient(&self, parameter: &Parameter) {
        let (quantized, p) = (self.quantizes(parameter), parameter.tensor());
        let cure = match self.choice.update {
            Update::Lamb | Update::Lars if quantized => {
                "bitsandbytes has no 8-bit kernel of it for parameters of min_8bit_size elements and more, and raises \
                 ValueError (\"Unsupported optimizer name\"); write optim_bits = 32 or bitsandbytes.AdamW8bit"
            }
            Update::Sgd | Update::RmsProp | Update::Adagrad | Update::Lars
                if !quantized && p.dtype() == Dtype::Bf16 =>
            {
                "bitsandbytes has no kernel of it for bf16 gradients with fp32 states, which small parameters have with 8 \
                 bits, too, and raises ValueError (\"Gradient+optimizer bit data type combination not supported\"); \
                 bitsandbytes.AdamW8bit and bitsandbytes.Lion8bit have one, and so have all with precision = amp-bf16"
            }
            _ => return,
        };
        let value = format!("bitsandbytes.{}", self.choice.class().name);
        p.device().fail(StepError::Unsupported { key: "train.optimizer", value, cure });
    }

    /// How many averages each state holds: AdEMAMix keeps the fast and the slow one in the first.
    fn copies(&self) -> &'static [u64] {
        match self.choice.update {
            Update::Adam | Update::AdamW | Update::Lamb => &[1, 1],
            Update::AdEMAMix => &[2, 1],
            Update::Lion | Update::Lars | Update::Adagrad | Update::RmsProp | Update::Sgd => &[1],
        }
    }

    fn codes(&mut self, p: &Tensor) {
        if !std::mem::replace(&mut self.has_codes, true) {
            let code = |_: &u64| state(ops::new_tensor(p.device(), "_to_copy", [CODES], Dtype::F32));
            self.states.extend(self.copies().iter().map(code));
        }
    }

    fn scales(&mut self, p: &Tensor) {
        let blocks = p.numel().div_ceil(BLOCK);
        let shape =
            |copies: &u64| if *copies == 1 { Shape::from([blocks]) } else { Shape::from([*copies, blocks]) };
        let scales = |copies: &u64| state(ops::new_tensor(p.device(), "zeros", shape(copies), Dtype::F32));
        self.states.extend(self.copies().iter().map(scales));
    }

    /// `get_state_buffer`: managed memory is none of PyTorch's.
    fn buffer(&mut self, p: &Tensor, copies: u64, dtype: Dtype) {
        if self.choice.paged && p.numel() >= SMALLEST_PAGED {
            return;
        }
        self.states.push(state(match copies {
            1 => ops::like(p, "zeros_like", dtype),
            copies => ops::new_tensor(p.device(), "zeros", [copies, p.numel()], dtype),
        }));
    }
}

impl Optimizer for BitsAndBytes {
    fn step(&mut self) {
        let first = !std::mem::replace(&mut self.initialized, true);
        let parameters: Parameters =
            self.parameters.iter().filter(|parameter| parameter.grad().is_some()).cloned().collect();
        for parameter in &parameters {
            if first {
                self.init(parameter);
                self.refuse_gradient(parameter);
            }
            // `optimizer_update_32bit` (bitsandbytes/functional.py) measures the weights: `torch.norm(p.data.float())`.
            if self.choice.max_unorm && !self.quantizes(parameter) {
                let full = ops::to(parameter.tensor(), Dtype::F32);
                let norm = ops::reduced_to_scalar(&full, "linalg_vector_norm", Dtype::F32);
                drop(full);
                drop(norm);
            }
        }
    }
}
