//! Every op as the last of a checkpointed region, against what PyTorch did (`fixtures/step/ops.jsonl`, recorded by
//! `fixtures/rehearsal/record_ops.py`): the second run ends at the last tensor that the op saves.

use std::rc::Rc;

use brimful_trace::Event;
use brimful_units::Dtype;

use super::*;
use crate::autograd::backward;
use crate::checkpoint::{Function, non_reentrant};
use crate::device::Device;
use crate::tensor::Tensor;

const ROWS: u64 = 24;
const WIDTH: u64 = 40;

/// A small program: tensors that are there before, and a function of the first of them.
struct Program {
    tensors: Vec<Tensor>,
    function: fn(&[Tensor]) -> Tensor,
}

/// A tensor that wants a gradient, in bf16.
fn numbers(device: &Device, shape: &[u64]) -> Tensor {
    typed(device, shape, Dtype::Bf16)
}

fn typed(device: &Device, shape: &[u64], dtype: Dtype) -> Tensor {
    let tensor = Tensor::empty(device, brimful_units::Shape::from_iter(shape.iter().copied()), dtype);
    tensor.require_grad();
    tensor
}

/// The shapes of the tensors, and the function of them; `None` for an op that is not known.
fn program(name: &str) -> Option<(&'static [&'static [u64]], fn(&[Tensor]) -> Tensor)> {
    const X: &[u64] = &[ROWS, WIDTH];
    const HEADS: &[u64] = &[2, 4, 32, 16];
    const ATTENTION: &[&[u64]] = &[HEADS, HEADS, HEADS];
    Some(match name {
        "add" => (&[X, X], |t| add(&t[0], &t[1])),
        "mul" => (&[X, X], |t| mul(&t[0], &t[1])),
        "mul_scalar" => (&[X], |t| mul_scalar(&t[0])),
        "div_scalar" => (&[X], |t| div_scalar(&t[0])),
        "neg" => (&[X], |t| neg(&t[0])),
        "pow" => (&[X], |t| pow_scalar(&t[0])),
        "rsqrt" => (&[X], |t| rsqrt(&t[0])),
        "silu" => (&[X], |t| silu(&t[0])),
        "gelu" => (&[X], |t| gelu(&t[0])),
        "relu" => (&[X], |t| relu(&t[0])),
        "tanh" => (&[X], |t| tanh(&t[0])),
        "to_float" => (&[X], |t| to(&t[0], Dtype::F32)),
        "mm" => (&[X, &[WIDTH, 56]], |t| mm(&t[0], &t[1])),
        "addmm" => (&[X, &[WIDTH, 56], &[56]], |t| addmm(&t[2], &t[0], &t[1])),
        "bmm" => (&[&[2, ROWS, WIDTH], &[2, WIDTH, 56]], |t| bmm(&t[0], &t[1])),
        "softmax" => (&[X], |t| softmax_in(&t[0], Dtype::F32)),
        "log_softmax" => (&[X], |t| log_softmax(&t[0])),
        "dropout" => (&[X], |t| dropout(&t[0], 0.1, true)),
        "embedding" => (&[&[50, WIDTH], &[ROWS]], |t| embedding(&t[0], &t[1])),
        "layer_norm" => (&[X, &[WIDTH], &[WIDTH]], |t| layer_norm(&t[0], &t[1], &t[2])),
        "cross_entropy" => (&[&[ROWS, 50], &[ROWS]], |t| cross_entropy(&t[0], &t[1])),
        "mean" => (&[X], |t| mean_last(t[0].clone())),
        "cat" => (&[X, X], |t| cat(&[&t[0], &t[1]], 1)),
        "contiguous" => (&[X], |t| contiguous(transpose(&t[0], 0, 1))),
        "slice" => (&[X], |t| slice(&t[0], 1, 8)),
        "flash_attention" | "efficient_attention" => {
            (ATTENTION, |t| scaled_dot_product_attention(&t[0], &t[1], &t[2], 0.0))
        }
        _ => return None,
    })
}

fn made(device: &Device, name: &str) -> Option<Program> {
    let (shapes, function) = program(name)?;
    let tensor = |(at, shape): (usize, &&[u64])| match name {
        "embedding" | "cross_entropy" if at == 1 => Tensor::empty(device, [shape[0]], Dtype::I64),
        "efficient_attention" | "cross_entropy" => typed(device, shape, Dtype::F32),
        _ => numbers(device, shape),
    };
    Some(Program { tensors: shapes.iter().enumerate().map(tensor).collect(), function })
}

/// Forward and backward through a checkpoint, as signed sizes.
fn changes(name: &str) -> Option<String> {
    let device = Device::for_tests();
    let Program { tensors, function } = made(&device, name)?;
    let before = tensors.len();
    let (input, all) = (tensors[0].clone(), tensors.clone());
    let region: Function = Rc::new(move |input, _| {
        let inputs: Vec<Tensor> = std::iter::once(input).chain(&all[1..]).cloned().collect();
        function(&inputs)
    });
    let out = non_reentrant(input, None, region);
    let ones = like(&out, "ones_like", out.dtype());
    backward(&out, ones.clone());
    drop(ones);
    drop(out);
    device.end();
    let trace = device.finish().unwrap();
    let bytes = |id| trace.allocations.bytes(id).get() as i64;
    let signed = trace.events().filter_map(|event| match event {
        Event::Alloc(id) => Some(bytes(id)),
        Event::Free(id) => Some(-bytes(id)),
        _ => None,
    });
    Some(signed.skip(before).map(|change| format!("{change:+}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_region_that_ends_with_an_op_runs_again_up_to_the_last_tensor_that_the_op_saves() {
    let recorded = include_str!("../../../../../fixtures/step/ops.jsonl");
    let mut differences = Vec::new();
    for line in recorded.lines() {
        let field = |key: &str| {
            let rest = line.split(&format!("\"{key}\": \"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let (op, real) = (field("op"), field("events"));
        let ours = changes(&op).unwrap_or_else(|| panic!("{op} is recorded, and has no program here"));
        if ours != real {
            differences.push(format!("{op}\n  real {real}\n  ours {ours}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
