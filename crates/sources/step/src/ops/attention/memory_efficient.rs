//! Memory-efficient attention (aten/src/ATen/native/transformers/cuda/attention.cu).

use brimful_units::Dtype;
use smallvec::SmallVec;

use super::super::{grads, mul, new_tensor, reduce_last, reshape, saved, slice, transpose};
use super::{Sizes, wants_gradient};
use crate::StepError;
use crate::autograd::{Grads, Op};
use crate::device::Device;
use crate::tensor::Tensor;

/// `_efficient_attention_forward`.
pub(super) fn memory_efficient(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    dropout: f64,
    bias: Option<Tensor>,
) -> Tensor {
    refuse_unaligned(q.device(), q);
    refuse_unaligned(q.device(), v);
    let node = "ScaledDotProductEfficientAttentionBackward0";
    let wants_bias = bias.as_ref().is_some_and(Tensor::requires_grad);
    let edges: SmallVec<[&Tensor; 4]> = [q, k, v].into_iter().chain(&bias).collect();
    let ran = Op::new("_efficient_attention_forward", node, &edges)
        .saves_inputs(|| saved![bias.clone(), Some(k.clone()), Some(q.clone()), Some(v.clone())])
        .run(|| forward(q, k, v, dropout));
    let saves = |(out, extra): &(Tensor, Extra)| {
        saved![Some(extra.lse.clone()), Some(out.detach()), extra.offset.clone(), extra.seed.clone()]
    };
    let (out, _) = ran.saves_results(saves).backward(move |call| {
        let [q, k, v, out] = [2, 1, 3, 5].map(|at| call.saved(at));
        let bias = call.saved[0].as_ref().filter(|_| wants_bias);
        backward([q, k, v, out, call.grad()], bias, dropout > 0.0)
    });
    out
}

/// The widest head, in elements, whose output the kernels keep in registers.
const WIDEST_IN_REGISTERS: u64 = 128;

/// What the kernel returns beside its output: the log-sum-exp of each row, and the random state. They go in this order.
struct Extra {
    lse: Tensor,
    seed: Option<Tensor>,
    offset: Option<Tensor>,
}

fn forward(q: &Tensor, k: &Tensor, v: &Tensor, dropout: f64) -> (Tensor, Extra) {
    let device = q.device().clone();
    let sizes = Sizes::of(q, k);
    // Without dropout the random state is made first; with dropout it stays on the host.
    let random = (dropout == 0.0).then(|| {
        let seed = Tensor::empty(&device, [], Dtype::I64);
        (seed, Tensor::empty(&device, [], Dtype::I64))
    });
    let (seed, offset) = random.unzip();
    // Values may be narrower than keys.
    let values = Sizes { width: v.last(0), ..sizes };
    let out = values.output(&device, sizes.heads, sizes.queries, q.dtype());
    // Rows are padded to whole warps of 32, and only kept for a backward.
    let lse_rows = if wants_gradient(q, k, v) { sizes.queries.next_multiple_of(32) } else { 0 };
    let lse = Tensor::empty(&device, [sizes.batch, sizes.heads, lse_rows], Dtype::F32);
    if q.dtype() != Dtype::F32 && sizes.width.max(values.width) > WIDEST_IN_REGISTERS {
        // `kNeedsOutputAccumulatorBuffer` (mem_eff_attention/kernel_forward.h): an output that is too wide for the
        // registers is summed up in fp32.
        drop(values.output(&device, sizes.heads, sizes.queries, Dtype::F32));
    }
    (out, Extra { lse, seed, offset })
}

/// Heads whose width is not aligned go to PyTorch's math path, which is not simulated
/// (`check_head_dim_size_mem_efficient`, aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
fn refuse_unaligned(device: &Device, q: &Tensor) {
    let half = q.dtype() != Dtype::F32;
    let (major, _) = device.properties().compute_capability;
    let alignment = match (major, half) {
        (8.., true) | (7, true) => 8,
        (8.., false) => 4,
        _ => 1,
    };
    if !q.last(0).is_multiple_of(alignment) {
        device.fail(StepError::Unsupported {
            key: "model.head_dim",
            value: q.last(0).to_string(),
            cure: "PyTorch takes its math path for heads of this width here: a multiple of 8 is simulated, or \
                   attention = \"eager\"",
        });
    }
}

/// `_efficient_attention_backward`. `bias` is there where it wants a gradient.
fn backward([q, k, v, out, grad]: [&Tensor; 5], bias: Option<&Tensor>, dropout: bool) -> Grads {
    let device = q.device().clone();
    let _op = device.op("_efficient_attention_backward");
    let sizes = Sizes::of(q, k);
    let values = Sizes { width: v.last(0), ..sizes };
    let q_grad = sizes.output(&device, sizes.heads, sizes.queries, q.dtype());
    let k_grad = sizes.output(&device, sizes.kv_heads, sizes.keys, q.dtype());
    let v_grad = values.output(&device, sizes.kv_heads, sizes.keys, q.dtype());
    let expanded = (sizes.heads != sizes.kv_heads).then(|| {
        let k = sizes.output(&device, sizes.heads, sizes.keys, q.dtype());
        (k, values.output(&device, sizes.heads, sizes.keys, q.dtype()))
    });
    let bias_grad = bias.map(|bias| bias_gradient(&device, bias));
    let delta = if q.dtype() == Dtype::F32 {
        row_sums(out, grad, &sizes)
    } else {
        Tensor::empty(&device, [sizes.batch, sizes.heads, sizes.queries], Dtype::F32)
    };
    let workspace = gradient_accumulators(&device, &sizes, values.width, q.dtype(), dropout);
    drop(delta);
    drop(workspace);
    if let Some((k, v)) = expanded {
        drop(v);
        drop(k);
    }
    grads![Some(q_grad), Some(k_grad), Some(v_grad), bias_grad]
}

/// The gradient of a bias `[B, heads, S, keys]`, whose rows the kernel wants to be multiples of 16 wide.
fn bias_gradient(device: &Device, bias: &Tensor) -> Tensor {
    let keys = bias.last(0);
    let rows = bias.shape().with_last(1, &[keys.next_multiple_of(16)]);
    slice(&Tensor::empty(device, rows, bias.dtype()), 3, keys)
}

/// `(grad * out).sum(-1).transpose(-2, -1).contiguous()` in the kernel's order; the
/// half-precision kernels sum by themselves.
fn row_sums(out: &Tensor, grad: &Tensor, sizes: &Sizes) -> Tensor {
    let product = mul(transpose(grad, 1, 2), transpose(out, 1, 2));
    let sums = reduce_last(&product);
    let shape = [sizes.batch, sizes.heads, sizes.queries];
    if sizes.heads == 1 || sizes.queries == 1 {
        drop(product);
        return reshape(&sums, shape);
    }
    let delta = new_tensor(sums.device(), "clone", shape, Dtype::F32);
    drop(sums);
    drop(product);
    delta
}

/// The tile of a backward kernel, in rows and columns, and whether it sums the gradients of keys and values in fp32.
struct Tile {
    rows: u64,
    columns: u64,
    accumulates: bool,
}

impl Tile {
    /// The first kernel of the head's width and the dtype that the GPU's shared memory holds (`dispatch_cutlassB` in
    /// mem_eff_attention/kernels/cutlassB.h). Read off torch 2.15 on compute capabilities 7.5, 8.0, 8.9 and 9.0.
    fn of(device: &Device, width: u64, half: bool, dropout: bool) -> Tile {
        let capability = device.properties().compute_capability;
        let roomy = matches!(capability, (8, 0) | (9, _) | (10, _));
        // A kernel without dropout is there for heads of up to 96 elements.
        let narrow = width <= 96 && !dropout;
        let (rows, columns) = match (width, half) {
            (0..=64, _) => (64, 64),
            (65..=WIDEST_IN_REGISTERS, true) if roomy => (128, 128),
            (65..=WIDEST_IN_REGISTERS, true) if capability.0 >= 8 && !narrow => (64, 64),
            (_, false) if !roomy => (64, 64),
            _ => (128, 64),
        };
        // `kNeedsAccumGradK`: an output that is wider than the tile does not stay in the registers, but for the two kernels
        // that are made for it.
        let in_registers = width <= columns || (rows == 128 && width <= WIDEST_IN_REGISTERS);
        Tile { rows, columns, accumulates: half && !in_registers }
    }
}

/// The kernels accumulate the queries' gradient in fp32 tiles with a lock in front of each
/// (`GradQTempStorage` in mem_eff_attention/kernel_backward.h), and some of them the gradients of half-precision keys and
/// values in fp32, too (`kNeedsAccumGradK`).
fn gradient_accumulators(
    device: &Device,
    sizes: &Sizes,
    value_width: u64,
    dtype: Dtype,
    dropout: bool,
) -> Tensor {
    const LOCK: u64 = 16;
    let Tile { rows, columns, accumulates } =
        Tile::of(device, sizes.width.max(value_width), dtype != Dtype::F32, dropout);
    let tile = rows * columns * 4 + LOCK;
    let tiles = sizes.queries.div_ceil(rows).saturating_mul(sizes.width.div_ceil(columns));
    let queries = device.mul(tiles, tile);
    let others = if accumulates {
        let keys = sizes.keys.div_ceil(columns).saturating_mul(columns);
        let rounded = |width: u64| width.div_ceil(rows).saturating_mul(rows);
        // The keys' gradient and the values', 4 bytes an element.
        device.mul(device.mul(keys, rounded(sizes.width).saturating_add(rounded(value_width))), 4)
    } else {
        0
    };
    let bytes = device.mul(device.mul(sizes.batch, sizes.heads), queries.saturating_add(others));
    Tensor::empty(device, [bytes], Dtype::U8)
}
