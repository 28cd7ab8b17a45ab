//! Each differentiable op against what real PyTorch recorded of it, alone and inside a checkpointed region
//! (fixtures/step/ops.jsonl; fixtures/step/record_ops.py has the same cases under the same names).

use std::collections::BTreeMap;
use std::rc::Rc;

use brimful_devices::Processor;
use brimful_jobs::{Checkpointing, CudnnRules, TorchRules as Release};
use brimful_trace::{Event, PhaseKind, Trace};
use brimful_units::Dtype::{self, Bf16, Bool, F16, F32};
use serde_json::Value;

use super::*;
use crate::autocast::autocast;
use crate::autograd::backward;
use crate::checkpoint::{Function, Inputs, non_reentrant, reentrant};
use crate::device::Device;
use crate::rules::TorchRules;
use crate::tensor::Tensor;

const RECORDED: &str = include_str!("../../../../../fixtures/step/ops.jsonl");

/// A tensor that is there before the case begins.
#[derive(Clone, Copy)]
enum Given {
    Leaf(&'static [u64], Dtype),
    Constant(&'static [u64], Dtype),
}

/// A case: its name, its tensors, and the function of the first of them.
type Case = (&'static str, &'static [Given], fn(&Tensor, &[Tensor]) -> Tensor);

const fn leaf(shape: &'static [u64]) -> Given {
    Given::Leaf(shape, F32)
}

const fn indices(shape: &'static [u64]) -> Given {
    Given::Constant(shape, INDEX)
}

const X: Given = leaf(&[4, 24, 40]);
const X_BF16: Given = Given::Leaf(&[4, 24, 40], Bf16);
const HEADS: Given = leaf(&[2, 6, 48, 32]);
const HEADS_BF16: Given = Given::Leaf(&[2, 6, 48, 32], Bf16);
const SHARED_HEADS: Given = Given::Leaf(&[2, 2, 48, 32], Bf16);
const ONE_QUERY: Given = Given::Leaf(&[2, 6, 1, 32], Bf16);
const LONG_HEAD: Given = Given::Leaf(&[2, 1, 1024, 32], Bf16);
const NARROW_HEADS: Given = Given::Leaf(&[2, 6, 48, 20], Bf16);
const TOKENS_FIRST: Given = Given::Leaf(&[2, 48, 6, 32], Bf16);
const ROWS_BF16: Given = Given::Leaf(&[96, 40], Bf16);
/// Where the rows of each group end.
const OFFSETS: Given = Given::Constant(&[4], Dtype::I32);
const SHORT_HEADS: Given = leaf(&[2, 6, 44, 32]);

/// Ops that save inputs: a region that ends with one stops before its output is made.
const SAVE_INPUTS: &[Case] = &[
    ("mul", &[X, X], |x, o| mul(add_scalar(x), &o[0])),
    ("mul_constant", &[X, Given::Constant(&[4, 24, 40], F32)], |x, o| mul(add_scalar(x), &o[0])),
    ("mul_temporaries", &[X, leaf(&[24, 40])], |x, o| mul(add_scalar(x), add_scalar(&o[0]))),
    ("mul_broadcast", &[X, leaf(&[40])], |x, o| mul(&o[0], add_scalar(x))),
    ("pow", &[X], |x, _| pow_scalar(add_scalar(x))),
    ("pow_autocast", &[X_BF16], |x, _| under_autocast(&add_scalar(x), pow_autocast)),
    ("silu", &[X], |x, _| silu(&add_scalar(x))),
    ("gelu", &[X], |x, _| gelu(&add_scalar(x))),
    ("mm", &[leaf(&[24, 40]), leaf(&[40, 56])], |x, o| mm(&add_scalar(x), &o[0])),
    ("mm_transposed", &[leaf(&[40, 24]), leaf(&[40, 56])], |x, o| mm(&t(&add_scalar(x)), &o[0])),
    ("linear", &[X, leaf(&[56, 40])], |x, o| linear(&add_scalar(x), &o[0], None)),
    ("linear_bias", &[X, leaf(&[56, 40]), leaf(&[56])], |x, o| linear(&add_scalar(x), &o[0], Some(&o[1]))),
    ("linear_autocast", &[X, leaf(&[56, 40])], |x, o| {
        under_autocast(&add_scalar(x), |x| linear(x, &o[0], None))
    }),
    ("conv1d", &[X, leaf(&[40, 56]), leaf(&[56])], |x, o| conv1d(&add_scalar(x), &o[0], &o[1])),
    ("matmul", &[HEADS, HEADS], |x, o| matmul(&add_scalar(x), transpose(&o[0], 2, 3))),
    ("matmul_expanded", &[HEADS, leaf(&[2, 1, 48, 32])], |x, o| {
        matmul(&add_scalar(x), transpose(&o[0], 2, 3))
    }),
    ("matmul_outer", &[leaf(&[2, 6, 48, 1]), leaf(&[2, 6, 48, 1])], |x, o| {
        matmul(&add_scalar(x), transpose(&o[0], 2, 3))
    }),
    ("embedding", &[leaf(&[96, 40]), indices(&[4, 24])], |x, o| embedding(x, &o[0])),
    ("embedding_temporary", &[leaf(&[96, 40]), indices(&[4, 24])], |x, o| {
        embedding(x, contiguous(slice(&o[0], 1, 16)))
    }),
    ("embedding_sorted", &[leaf(&[1000, 40]), indices(&[4, 1000])], |x, o| embedding(x, &o[0])),
    ("embedding_wide", &[leaf(&[150, 2048]), indices(&[8, 1000])], |x, o| embedding(x, &o[0])),
    ("embedding_atomic", &[leaf(&[96, 40]), indices(&[4, 1000])], |x, o| embedding(x, &o[0])),
    ("embedding_atomic_half", &[Given::Leaf(&[96, 40], Bf16), indices(&[4, 1000])], |x, o| {
        embedding(x, &o[0])
    }),
    ("index", &[leaf(&[37, 40]), indices(&[96])], |x, o| index_rows(&add_scalar(x), &o[0])),
    ("index_half_long", &[Given::Leaf(&[1000, 40], Bf16), indices(&[6000])], |x, o| {
        index_rows(&add_scalar(x), &o[0])
    }),
    ("index_numbers", &[leaf(&[96]), indices(&[96])], |x, o| index_rows(&add_scalar(x), &o[0])),
    ("index_temporary", &[leaf(&[37, 40]), indices(&[96])], |x, o| {
        // CPython drops the subscripted object before the index.
        let (x, index) = (add_scalar(x), floor_divide(&o[0]));
        let rows = index_rows(&x, &index);
        drop(x);
        rows
    }),
    ("grouped_mm", &[ROWS_BF16, Given::Leaf(&[4, 56, 40], Bf16), OFFSETS], grouped),
    ("grouped_mm_float", &[leaf(&[96, 40]), leaf(&[4, 56, 40]), OFFSETS], grouped),
    ("grouped_mm_row_major", &[ROWS_BF16, Given::Leaf(&[4, 40, 56], Bf16), OFFSETS], |x, o| {
        grouped_mm(&add_scalar(x), &o[0], &o[1])
    }),
    ("div", &[leaf(&[37, 3]), leaf(&[37, 1])], |x, o| divide(&add_scalar(x), &o[0])),
    ("div_same", &[leaf(&[37, 3])], |x, _| {
        let weights = add_scalar(x);
        let total = sum(&weights, 1, true, F32);
        let shares = divide(&weights, &total);
        drop(total);
        shares
    }),
    ("div_in_place", &[leaf(&[37, 3])], |x, _| {
        let weights = add_scalar(x);
        let total = sum(&weights, 1, true, F32);
        divide_in_place(&weights, &total)
    }),
    ("gather", &[leaf(&[37, 8]), indices(&[37, 3])], |x, o| gather(&add_scalar(x), &o[0])),
    ("clamp", &[X], |x, _| clamp(&add_scalar(x), 2)),
    ("clamp_max", &[X], |x, _| clamp(&add_scalar(x), 1)),
    ("masked_fill", &[leaf(&[37, 8]), Given::Constant(&[37, 8], Bool)], |x, o| {
        masked_fill(&add_scalar(x), &o[0])
    }),
];

/// Ops that save results, some of them inputs as well: the kernel runs before the region stops.
const SAVE_RESULTS: &[Case] = &[
    ("topk", &[leaf(&[37, 8])], |x, _| {
        let x = add_scalar(x);
        let (values, indices) = topk_last(&x, 2);
        drop(x);
        drop(indices);
        values
    }),
    ("sigmoid", &[X], |x, _| sigmoid(&add_scalar(x))),
    ("rsqrt", &[X], |x, _| rsqrt(add_scalar(x))),
    ("relu", &[X], |x, _| relu(&add_scalar(x))),
    ("tanh", &[X], |x, _| tanh(add_scalar(x))),
    ("dropout", &[X], |x, _| dropout(add_scalar(x), 0.1, true)),
    ("softmax", &[X_BF16], |x, _| softmax_in(&add_scalar(x), F32)),
    ("softmax_half_to_float", &[Given::Leaf(&[4, 24, 40], F16)], |x, _| softmax_in(&add_scalar(x), F32)),
    ("softmax_autocast", &[X_BF16], |x, _| under_autocast(&add_scalar(x), softmax_autocast)),
    ("log_softmax", &[X], |x, _| log_softmax(&add_scalar(x))),
    ("layer_norm", &[X, leaf(&[40]), leaf(&[40])], |x, o| {
        layer_norm(&add_scalar(x), Some(&o[0]), Some(&o[1]))
    }),
    ("cross_entropy", &[leaf(&[96, 80]), indices(&[96])], |x, o| cross_entropy(&add_scalar(x), &o[0])),
    ("flash", &[HEADS_BF16, HEADS_BF16, HEADS_BF16], attended),
    ("flash_transposed", &[TOKENS_FIRST, TOKENS_FIRST, TOKENS_FIRST], |x, o| {
        let heads_first = |x: &Tensor| transpose(x, 1, 2);
        scaled_dot_product_attention(&heads_first(x), &heads_first(&o[0]), &heads_first(&o[1]), SDPA)
    }),
    ("flash_grouped", &[HEADS_BF16, SHARED_HEADS, SHARED_HEADS], attended),
    ("flash_split", &[LONG_HEAD, LONG_HEAD, LONG_HEAD], attended),
    ("flash_one_query", &[ONE_QUERY, SHARED_HEADS, SHARED_HEADS], attended),
    ("flash_padded", &[NARROW_HEADS, NARROW_HEADS, NARROW_HEADS], attended),
    ("flash_dropout", &[HEADS_BF16, HEADS_BF16, HEADS_BF16], attended_with_dropout),
    ("flash_temporaries", &[HEADS_BF16, HEADS_BF16, HEADS_BF16], attended_temporaries),
    ("efficient", &[HEADS, HEADS, HEADS], attended),
    ("efficient_temporaries", &[HEADS, HEADS, HEADS], attended_temporaries),
    ("efficient_dropout", &[HEADS, HEADS, HEADS], attended_with_dropout),
    ("efficient_masked", &[HEADS, HEADS, HEADS, Given::Constant(&[2, 1, 48, 48], Bool)], attended_with_mask),
    (
        "efficient_masked_padded",
        &[SHORT_HEADS, SHORT_HEADS, SHORT_HEADS, Given::Constant(&[2, 1, 44, 44], Bool)],
        attended_with_mask,
    ),
];

/// Ops that save nothing, behind one that saves its input.
const SAVE_NOTHING: &[Case] = &[
    ("add", &[X, X], |x, o| add(silu_of_temporary(x), &o[0])),
    ("add_broadcast", &[X, leaf(&[24, 1])], |x, o| add(silu_of_temporary(x), &o[0])),
    ("add_scalar", &[X], |x, _| add_scalar(silu_of_temporary(x))),
    ("sub_scalar", &[X], |x, _| sub_scalar(silu_of_temporary(x))),
    ("mul_scalar", &[X], |x, _| mul_scalar(silu_of_temporary(x))),
    ("div_scalar", &[X], |x, _| div_scalar(silu_of_temporary(x))),
    ("neg", &[X], |x, _| neg(silu_of_temporary(x))),
    ("to", &[X], |x, _| to(silu_of_temporary(x), Bf16)),
    ("mean_last", &[X], |x, _| mean_last(silu_of_temporary(x))),
    ("view", &[X], |x, _| view(&silu_of_temporary(x), [96, 40])),
    ("reshape", &[X], |x, _| reshape(&transpose(silu_of_temporary(x), 1, 2), [160, 24])),
    ("transpose", &[X], |x, _| transpose(silu_of_temporary(x), 1, 2)),
    ("t", &[leaf(&[24, 40])], |x, _| t(&silu_of_temporary(x))),
    ("unsqueeze", &[X], |x, _| unsqueeze(silu_of_temporary(x), 2)),
    ("slice", &[X], |x, _| slice(&silu_of_temporary(x), 2, 16)),
    ("split", &[X], |x, _| {
        let parts = split(&silu_of_temporary(x), 20, 2);
        add(&parts[0], &parts[1])
    }),
    ("expand", &[leaf(&[4, 1, 40])], |x, _| expand(silu_of_temporary(x), [4, 24, 40])),
    ("cat", &[X, leaf(&[4, 24, 8])], |x, o| cat(&[&silu_of_temporary(x), &o[0]], 2)),
    ("contiguous", &[X], |x, _| contiguous(transpose(silu_of_temporary(x), 1, 2))),
    ("pad", &[X], |x, _| pad_last(&silu_of_temporary(x), 48)),
    ("sum_last", &[leaf(&[37, 3])], |x, _| sum(&silu_of_temporary(x), 1, true, F32)),
    ("sum_middle", &[leaf(&[37, 3, 40])], |x, _| sum(&silu_of_temporary(x), 1, false, F32)),
    ("add_in_place", &[leaf(&[37, 3]), leaf(&[37, 3])], |x, o| add_in_place(&silu_of_temporary(x), &o[0])),
    ("slice_by_two", &[X], |x, _| slice_by(&silu_of_temporary(x), 2, 20, 2)),
    ("sub", &[X, X], |x, o| sub(silu_of_temporary(x), &o[0])),
    ("sub_broadcast", &[X, leaf(&[24, 1])], |x, o| sub(silu_of_temporary(x), &o[0])),
    ("stack", &[X, X], |x, o| stack(&[&silu_of_temporary(x), &o[0]], 3)),
    ("stack_first", &[X, X], |x, o| stack(&[&silu_of_temporary(x), &o[0]], 0)),
    ("repeat_interleave", &[X], |x, _| repeat_interleave(&silu_of_temporary(x), 2, 2)),
];

const SDPA: AttentionOptions = AttentionOptions { dropout: 0.0, cudnn_enabled: true };

/// `F.silu(x + 1.0)`: `F.silu` is a Python function, whose argument dies when it returns.
fn silu_of_temporary(x: &Tensor) -> Tensor {
    silu(&add_scalar(x))
}

/// `F.grouped_mm(x + 1.0, weight.transpose(-2, -1), offs=offsets)`
fn grouped(x: &Tensor, others: &[Tensor]) -> Tensor {
    grouped_mm(&add_scalar(x), &transpose(&others[0], 1, 2), &others[1])
}

fn attended(q: &Tensor, others: &[Tensor]) -> Tensor {
    scaled_dot_product_attention(q, &others[0], &others[1], SDPA)
}

/// CPython drops the arguments of a call from the first to the last.
fn attended_temporaries(q: &Tensor, others: &[Tensor]) -> Tensor {
    let [q, k, v] = [add_scalar(q), add_scalar(&others[0]), add_scalar(&others[1])];
    let out = scaled_dot_product_attention(&q, &k, &v, SDPA);
    drop(q);
    drop(k);
    drop(v);
    out
}

fn attended_with_dropout(q: &Tensor, others: &[Tensor]) -> Tensor {
    scaled_dot_product_attention(q, &others[0], &others[1], AttentionOptions { dropout: 0.1, ..SDPA })
}

fn attended_with_mask(q: &Tensor, others: &[Tensor]) -> Tensor {
    masked_attention(q, &others[0], &others[1], &others[2], SDPA)
}

/// `with torch.autocast("cuda", torch.bfloat16):` around a function of a temporary.
fn under_autocast(x: &Tensor, function: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let _region = autocast(x.device(), Some(Bf16));
    function(x)
}

#[test]
fn every_op_alone_allocates_and_frees_what_pytorch_does() {
    assert_equal("plain", Checkpointing::None);
}

#[test]
fn a_region_run_again_stops_at_the_last_tensor_that_its_op_saves() {
    assert_equal("non_reentrant", Checkpointing::NonReentrant);
}

#[test]
fn every_op_in_a_reentrant_checkpoint_allocates_and_frees_what_pytorch_does() {
    assert_equal("reentrant", Checkpointing::Reentrant);
}

#[test]
fn every_recorded_case_is_run_and_every_case_is_recorded() {
    let rows = rows();
    let recorded: Vec<&str> = rows.keys().map(String::as_str).collect();
    let mut run: Vec<&str> = cases().map(|case| case.0).collect();
    run.sort_unstable();
    assert_eq!(run, recorded);
}

fn assert_equal(mode: &str, kind: Checkpointing) {
    let rows = rows();
    let properties = recorded_on();
    let mut differences = Vec::new();
    for case in cases() {
        let real = rows[case.0][mode].as_str().unwrap();
        let ours = events_of(case, kind, properties);
        if ours != real {
            differences.push(format!("{}\n  real {real}\n  ours {ours}", case.0));
        }
    }
    assert!(differences.is_empty(), "{mode}: {} differ\n{}", differences.len(), differences.join("\n"));
}

fn cases() -> impl Iterator<Item = &'static Case> {
    SAVE_INPUTS.iter().chain(SAVE_RESULTS).chain(SAVE_NOTHING)
}

/// The recorded cases by name.
fn rows() -> BTreeMap<String, Value> {
    let rows = RECORDED.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["case"].as_str().unwrap().to_owned(), row)).collect()
}

/// The GPU of the recording, which the first row names.
fn recorded_on() -> Processor {
    let head: Value = serde_json::from_str(RECORDED.lines().next().unwrap()).unwrap();
    let capability = |at: usize| u8::try_from(head["compute_capability"][at].as_u64().unwrap()).unwrap();
    Processor {
        compute_capability: (capability(0), capability(1)),
        multiprocessors: head["multiprocessors"].as_u64().unwrap(),
    }
}

/// One forward and backward of a case, as the recorder writes it.
fn events_of(case: &Case, kind: Checkpointing, properties: Processor) -> String {
    let (_, given, function) = *case;
    let device = Device::new(properties, TorchRules::of(Release::V2_15, CudnnRules::V9_26));
    let mut tensors = given.iter().map(|given| make(&device, *given));
    let x = tensors.next().unwrap();
    // The tensors outlive the case, as the recorder's do: the function only borrows them.
    let others: Rc<[Tensor]> = tensors.collect();
    let borrowed = others.clone();
    device.begin_phase(PhaseKind::Forward, "case");
    let region: Function = Rc::new(move |inputs| vec![function(&inputs[0], &borrowed)]);
    let inputs = || Inputs(vec![x.clone()]);
    let mut outputs = match kind {
        Checkpointing::None => region(&inputs().0),
        Checkpointing::Reentrant => reentrant(inputs(), region),
        Checkpointing::NonReentrant => non_reentrant(inputs(), region),
    };
    let out = outputs.remove(0);
    let ones = like(&out, "ones_like", out.dtype());
    backward(&out, ones.clone());
    drop(out);
    drop(ones);
    device.end();
    written(&device.finish().unwrap())
}

fn make(device: &Device, given: Given) -> Tensor {
    let (shape, dtype) = match given {
        Given::Leaf(shape, dtype) | Given::Constant(shape, dtype) => (shape, dtype),
    };
    let tensor = new_tensor(device, "empty", shape.iter().copied().collect::<brimful_units::Shape>(), dtype);
    if matches!(given, Given::Leaf(..)) {
        tensor.require_grad();
    }
    tensor
}

/// `+bytes` for an allocation after the phase began, `-bytes:n` for a free of the n-th of them.
fn written(trace: &Trace) -> String {
    let events = trace.events().skip_while(|event| !matches!(event, Event::Phase(_))).skip(1);
    let mut first = None;
    let words = events.filter_map(|event| match event {
        Event::Alloc(id) => {
            first.get_or_insert(id.0);
            Some(format!("+{}", trace.allocations.bytes(id).get()))
        }
        Event::Free(id) => Some(format!("-{}:{}", trace.allocations.bytes(id).get(), id.0 - first.unwrap())),
        _ => None,
    });
    words.collect::<Vec<_>>().join(" ")
}
