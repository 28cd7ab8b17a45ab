use brimful_jobs::TorchAo as Choice;
use brimful_units::Dtype;
use rustc_hash::FxHashMap;

use super::{Optimizer, Parameters, state, with_gradients, zeros_like_state};
use crate::ops;
use crate::tensor::Tensor;

/// torchao's Adams with quantized states (torchao/optim/adam.py, 0.18). The step is compiled for each kind of parameter; what
/// its kernels pass to each other was recorded (fixtures/step/torchao.json). The compilation itself, which happens in the first
/// step, is not followed.
pub(crate) struct TorchAo {
    parameters: Parameters,
    choice: Choice,
    states: Vec<Tensor>,
    initialized: bool,
}

/// `_new_buffer` quantizes states of this many elements.
const SMALLEST_QUANTIZED: u64 = 4096;

impl TorchAo {
    /// The states are made by the first step.
    pub fn new(parameters: Parameters, choice: Choice) -> TorchAo {
        TorchAo { parameters, choice, states: Vec::new(), initialized: false }
    }

    /// Whether the states of a parameter are quantized: large ones of whole blocks are.
    fn quantizes(&self, p: &Tensor) -> bool {
        p.numel() >= SMALLEST_QUANTIZED && p.numel().is_multiple_of(self.choice.block_size)
    }

    /// `exp_avg` or `exp_avg_sq`: the numbers, a scale for each block, and a map from codes to numbers of their own.
    fn buffer(&mut self, p: &Tensor) {
        if !self.quantizes(p) {
            self.states.push(zeros_like_state(p));
            return;
        }
        let device = p.device();
        let (bytes, codes) = match self.choice.bits {
            // Two codes of 4 bits share a byte.
            4 => (p.numel() / 2, 16),
            _ => (p.numel(), 256),
        };
        self.states.push(state(ops::new_tensor(device, "zeros", [bytes], Dtype::U8)));
        let blocks = p.numel() / self.choice.block_size;
        self.states.push(state(ops::new_tensor(device, "zeros", [blocks], Dtype::F32)));
        if !self.choice.float8 {
            self.states.push(state(ops::new_tensor(device, "_to_copy", [codes], Dtype::F32)));
        }
    }

    /// What the compiled step allocates.
    fn update(&self, p: &Tensor) {
        let rounds = self.choice.bf16_stochastic_round && p.dtype() == Dtype::Bf16;
        let mut seed = rounds.then(|| ops::new_tensor(p.device(), "randint", [1], Dtype::I64));
        if !self.quantizes(p) {
            return;
        }
        let mut held: FxHashMap<&str, Tensor> = FxHashMap::default();
        for token in compiled(self.choice, p).split(' ') {
            match (token.split_at(1), token.get(1..2)) {
                (("+", name), Some(size)) => drop(held.insert(name, self.buffer_of(p, size))),
                (("-", name), _) => drop(held.remove(name)),
                _ => drop(seed.take()),
            }
        }
    }

    /// A buffer between two kernels: a scale for each block, or so many bytes for each number.
    fn buffer_of(&self, p: &Tensor, size: &str) -> Tensor {
        let (count, dtype) = match size {
            "s" => (p.numel() / self.choice.block_size, Dtype::F32),
            "1" => (p.numel(), Dtype::U8),
            "4" => (p.numel(), Dtype::F32),
            _ => (p.numel(), Dtype::I64),
        };
        ops::new_tensor(p.device(), "compiled", [count], dtype)
    }
}

/// The buffers between the kernels of the compiled step in the order in which they come (`+`) and go (`-`), as inductor of torch
/// 2.15 fuses it: a size (`s`: the scales; 1, 4, 8: bytes for each number) and a letter. At `!` the seed of the rounding goes.
/// Blocks that lie across rows are reduced by kernels of their own.
fn compiled(choice: Choice, p: &Tensor) -> &'static str {
    let whole = p.dim(p.shape().rank() - 1).is_multiple_of(choice.block_size);
    match (choice.decoupled, choice.float8, choice.bits, whole) {
        (true, false, 8, true) => "!",
        (true, false, 8, false) => "+sa +sb +4c +4d ! -4c -4d -sa -sb",
        (true, false, _, true) => "+sa +sb +4c +4d +8e +8f ! -4c -8e -sa -4d -8f -sb",
        (true, false, _, false) => "+sa +sb +4c +4d +8e +8f ! -sa -sb -4c -8e -4d -8f",
        (true, true, _, true) => "+4a +4b ! +1c -1c +1d -4a +1e -1e +1f -4b -1d -1f",
        (true, true, _, false) => "+sg +sh +4a +4b ! -sg -sh +1c -1c +1d -4a +1e -1e +1f -4b -1d -1f",
        (false, false, 8, true) => "+4a +4b ! -4a -4b",
        (false, false, 8, false) => "+4a +4b ! +sc -4a -4b -sc",
        (false, false, _, _) => "+4a +4b ! +1c -4a +1d -4b -1c -1d",
        (false, true, _, _) => "+sg +sh +4a +4b ! +1c -1c +1d -4a +1e -1e +1f -4b -1d -sg -1f -sh",
    }
}

impl Optimizer for TorchAo {
    fn step(&mut self) {
        let (parameters, _) = with_gradients(&self.parameters);
        let first = !std::mem::replace(&mut self.initialized, true);
        for p in &parameters {
            if first {
                self.buffer(p);
                self.buffer(p);
            }
            self.update(p);
        }
    }
}

#[cfg(test)]
mod tests {
    use brimful_trace::Event;
    use serde_json::Value;

    use super::*;
    use crate::device::Device;
    use crate::nn::Parameter;

    /// The changes of memory in each of two steps, in bytes.
    fn steps(row: &Value) -> [Vec<i128>; 2] {
        let name = row["name"].as_str().unwrap();
        let float8 = name.ends_with("Fp8");
        let bits = if name.ends_with("4bit") { 4 } else { 8 };
        let choice = Choice {
            decoupled: name.starts_with("AdamW"),
            bits,
            float8,
            block_size: if bits == 4 { 128 } else { 256 },
            bf16_stochastic_round: row["bf16_stochastic_round"].as_bool().unwrap(),
        };
        let dtype = if row["dtype"] == "bf16" { Dtype::Bf16 } else { Dtype::F32 };
        let shape: Vec<u64> =
            row["shape"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap()).collect();
        let device = Device::for_tests();
        let parameter = Parameter::new("weight".to_owned(), Tensor::empty(&device, &shape[..], dtype));
        parameter.tensor().set_grad(Some(ops::zeros_like(&parameter.tensor())));
        let mut optimizer = TorchAo::new(vec![parameter.clone()], choice);
        optimizer.step();
        let mark = || drop(ops::new_tensor(&device, "mark", [3], Dtype::U8));
        mark();
        optimizer.step();
        mark();
        let trace = device.finish().unwrap();
        let all: Vec<i128> = trace
            .events()
            .filter_map(|event| match event {
                Event::Alloc(id) => Some(i128::from(trace.allocations.get(id).bytes.get())),
                Event::Free(id) => Some(-i128::from(trace.allocations.get(id).bytes.get())),
                _ => None,
            })
            .collect();
        let marks: Vec<usize> = (0..all.len()).filter(|at| all[*at] == 3).collect();
        // The weight and its gradient come first; a mark is an allocation and a free.
        [all[2..marks[0]].to_vec(), all[marks[0] + 2..marks[1]].to_vec()]
    }

    #[test]
    fn states_and_the_compiled_step_are_those_that_were_recorded() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/step/torchao.json");
        let recorded: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let list = |value: &Value| -> Vec<i128> {
            value.as_array().unwrap().iter().map(|change| i128::from(change.as_i64().unwrap())).collect()
        };
        let rows = recorded["rows"].as_array().unwrap();
        assert!(rows.len() >= 60);
        for row in rows {
            let [first, second] = steps(row);
            assert_eq!(first[..list(&row["states"]).len()], list(&row["states"]), "states: {row}");
            assert_eq!(second, list(&row["step"]), "step: {row}");
        }
    }
}
