//! Which backend can run an op, and what it allocates for the result; ggml/src/ggml-cuda/ggml-cuda.cu, v0.5.0.

use brimful_gguf::GgmlType;

use super::attention;
use super::graph::Graph;
use super::tensor::{Id, Op, Tensor};

/// Alignment of tensors on a CUDA GPU.
pub(crate) const CUDA_ALIGNMENT: u64 = 128;
/// Alignment of tensors in host memory (`TENSOR_ALIGNMENT`).
pub(crate) const HOST_ALIGNMENT: u64 = 32;
/// Rows of quantised tensors are padded to this on a CUDA GPU (`MATRIX_ROW_PADDING`).
const ROW_PADDING: u64 = 512;
/// Batches from this size on are computed on a GPU even if the weight lies in host memory.
const OFFLOAD_BATCH: u64 = 32;

/// Bytes that a CUDA GPU allocates for a tensor of this type, row and size.
pub(crate) fn cuda_bytes(ty: GgmlType, row: u64, bytes: u64) -> u64 {
    let rest = row % ROW_PADDING;
    if !ty.is_quantized() || rest == 0 {
        return bytes;
    }
    bytes.saturating_add(ty.row_bytes(ROW_PADDING - rest).unwrap_or(0))
}

/// Bytes that a GPU of this compute capability allocates for a tensor of the graph.
pub(super) fn cuda_alloc(graph: &Graph, id: Id, capability: u32) -> u64 {
    let tensor = graph.get(id);
    let bytes = match tensor.op {
        Op::FlashAttention => attention::alloc_bytes(graph, tensor, capability),
        _ => tensor.bytes(),
    };
    cuda_bytes(tensor.ty, tensor.ne[0], bytes)
}

/// Types whose matrices the CUDA backend multiplies.
pub(crate) fn cuda_multiplies(ty: GgmlType) -> bool {
    let known = matches!(ty.0, 0..=3 | 6..=8 | 10..=23 | 29 | 30 | 39..=42);
    known && ty.0 != 9
}

/// Types whose rows the CUDA backend gathers.
fn cuda_gathers(ty: GgmlType, row: u64) -> bool {
    match ty.0 {
        0..=3 | 6..=8 | 10..=14 | 16..=19 | 21..=23 | 26 | 29 | 30 | 41 | 42 => true,
        20 | 39 => row.is_multiple_of(256),
        _ => false,
    }
}

/// Can the CUDA backend number `gpu` run this op?
pub(super) fn cuda_runs(graph: &Graph, tensor: &Tensor, gpu: usize, gpus: usize, capability: u32) -> bool {
    // A source in the memory of another GPU has to be copied first.
    let elsewhere = |id: &Id| graph.get(*id).home.is_some_and(|home| home < gpus && home != gpu);
    if tensor.src.as_slice().iter().any(elsewhere) {
        return false;
    }
    let source = |index| tensor.src.get(index).map(|id| graph.get(id));
    let Some(first) = source(0) else { return true };
    match tensor.op {
        Op::Unary(_) => first.contiguous(),
        Op::Glu => first.contiguous_from(1),
        Op::MulMat | Op::MulMatId => multiplies(first, source(1)),
        Op::GetRows => cuda_gathers(first.ty, first.ne[0]),
        // Rows of F32 are written as F32, F16, BF16, Q4_0 to Q8_0 and IQ4_NL.
        Op::SetRows => {
            matches!(tensor.ty.0, 0 | 1 | 2 | 3 | 6 | 7 | 8 | 20 | 30) && first.ty == GgmlType::F32
        }
        Op::Repeat => matches!(first.ty, GgmlType::F32 | GgmlType::F16),
        Op::Norm | Op::RmsNorm | Op::SumRows => first.contiguous_rows(),
        Op::Add | Op::Mul | Op::Div => {
            let float = |tensor: &Tensor| matches!(tensor.ty, GgmlType::F32 | GgmlType::F16);
            float(first) && source(1).is_none_or(float)
        }
        Op::SsmScan => scans(first, source(3), source(4)),
        Op::SsmConv => first.ne[1].is_multiple_of(128),
        Op::Rope => first.contiguous_from(2),
        Op::FlashAttention => attention::supported(graph, tensor, capability),
        _ => true,
    }
}

fn multiplies(a: &Tensor, b: Option<&Tensor>) -> bool {
    let dense = |tensor: &Tensor| tensor.ty.block().is_some_and(|(_, size)| tensor.nb[0] == size);
    let Some(b) = b else { return false };
    let half = b.ty == GgmlType::F16 && a.ty != GgmlType::F16;
    dense(a) && dense(b) && !half && cuda_multiplies(a.ty)
}

/// The kernels of Mamba-2 know states of 128 and 256, those of Mamba-1 states of 16.
fn scans(states: &Tensor, a: Option<&Tensor>, b: Option<&Tensor>) -> bool {
    if a.is_some_and(|a| a.ne[0] == 1) {
        return matches!(states.ne[0], 128 | 256) && states.ne[1].is_multiple_of(16);
    }
    states.ne[0] == 16
        && states.ne[1] == 1
        && states.ne[2].is_multiple_of(128)
        && b.is_some_and(|b| b.ne[1] == 1)
}

/// Is the batch large enough to copy a weight from host memory to a GPU for this op?
pub(super) fn offloads(tensor: &Tensor) -> bool {
    let batch = match tensor.op {
        Op::GetRows => 0,
        Op::MulMat => tensor.ne[1],
        Op::MulMatId | Op::Rope => tensor.ne[2],
        _ => tensor.rows(),
    };
    batch >= OFFLOAD_BATCH
}
