use brimful_units::Dtype;

use super::{Optimizer, Parameters, state, with_gradients};
use crate::ops;
use crate::tensor::Tensor;

/// bitsandbytes' `AdamW8bit` (bitsandbytes/optim/optimizer.py, 0.50): two 8-bit states with a
/// scale per block of 256, and two code maps; tensors below 4096 elements keep fp32 states.
pub(crate) struct AdamW8bit {
    parameters: Parameters,
    states: Vec<Tensor>,
    /// The code maps go to the device with the first quantized state.
    has_codes: bool,
}

/// `min_8bit_size`.
const SMALLEST_QUANTIZED: u64 = 4096;
/// Elements under one scale.
const BLOCK: u64 = 256;
/// Entries of a code map.
const CODES: u64 = 256;

impl AdamW8bit {
    /// The states are made by the first step.
    pub fn new(parameters: Parameters) -> AdamW8bit {
        AdamW8bit { parameters, states: Vec::new(), has_codes: false }
    }

    fn init(&mut self, p: &Tensor) {
        let device = p.device();
        if p.numel() < SMALLEST_QUANTIZED {
            let full = |_| state(ops::like(p, "zeros_like", Dtype::F32));
            self.states.extend((0..2).map(full));
            return;
        }
        if !std::mem::replace(&mut self.has_codes, true) {
            let code = |_| state(ops::new_tensor(device, "_to_copy", [CODES], Dtype::F32));
            self.states.extend((0..2).map(code));
        }
        let quantized = |_| state(ops::like(p, "zeros_like", Dtype::U8));
        self.states.extend((0..2).map(quantized));
        let blocks = p.numel().div_ceil(BLOCK);
        let scales = |_| state(ops::new_tensor(device, "zeros", [blocks], Dtype::F32));
        self.states.extend((0..2).map(scales));
    }
}

impl Optimizer for AdamW8bit {
    fn step(&mut self) {
        if !self.states.is_empty() {
            return;
        }
        let (parameters, _) = with_gradients(&self.parameters);
        for p in &parameters {
            self.init(p);
        }
    }
}
