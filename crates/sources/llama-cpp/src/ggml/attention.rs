//! Which kernel the CUDA backend takes for flash attention, and the memory that it wants behind the result;
//! ggml/src/ggml-cuda/fattn.cu and fattn-common.cuh, v0.5.0.

use brimful_gguf::GgmlType;

use super::graph::Graph;
use super::tensor::Tensor;

/// A kernel of flash attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Vector,
    /// The kernels that read K and V as 16-bit floats: tensor cores and tiles.
    Wide,
}

/// Compute capability × 10 from which a Turing tensor core is there, and of Ada Lovelace.
const TURING: u32 = 750;
const ADA_LOVELACE: u32 = 890;
const VOLTA: u32 = 700;

/// Query, key, value and mask of an attention.
struct Parts<'a> {
    q: &'a Tensor,
    k: &'a Tensor,
    v: &'a Tensor,
    mask: Option<&'a Tensor>,
}

fn parts<'a>(graph: &'a Graph, node: &Tensor) -> Option<Parts<'a>> {
    let source = |index| node.src.get(index).map(|id| graph.get(id));
    Some(Parts { q: source(0)?, k: source(1)?, v: source(2)?, mask: source(3) })
}

/// Can a CUDA GPU of this compute capability run the attention?
pub(super) fn supported(graph: &Graph, node: &Tensor, capability: u32) -> bool {
    parts(graph, node).is_some_and(|parts| kernel(&parts, capability).is_some())
}

/// Bytes of the result with the 16-bit copies of K and V behind it.
pub(super) fn alloc_bytes(graph: &Graph, node: &Tensor, capability: u32) -> u64 {
    let own = node.bytes();
    let Some(parts) = parts(graph, node) else { return own };
    let (k16, v16) = match kernel(&parts, capability) {
        Some(Kernel::Wide) => (true, true),
        Some(Kernel::Vector) => {
            // The vector kernel reads these pairs as they are; others are copied first.
            let fallback = !vector_reads(parts.q.ne[0], parts.k.ty, parts.v.ty);
            (parts.k.ty == GgmlType::F32 || fallback, parts.v.ty == GgmlType::F32 || fallback)
        }
        None => (false, false),
    };
    let copy = |end: u64, tensor: &Tensor| {
        end.checked_next_multiple_of(128).unwrap_or(end).saturating_add(tensor.elements().saturating_mul(2))
    };
    let k_copied = k16 && parts.k.ty != GgmlType::F16;
    let end = if k_copied { copy(own, parts.k) } else { own };
    // V of a latent attention is a view of K, and so is its copy.
    let k_id = node.src.get(1);
    let same = parts.v.view.is_some_and(|(of, offset)| {
        Some(of) == k_id || parts.k.view.is_some_and(|(root, before)| (root, before) == (of, offset))
    });
    if v16 && parts.v.ty != GgmlType::F16 && !same { copy(end, parts.v) } else { end }
}

fn vector_reads(head: u64, k: GgmlType, v: GgmlType) -> bool {
    let same = [GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0, GgmlType(2)];
    matches!(head, 64 | 128 | 256) && k == v && same.contains(&k)
}

/// Do queries that share a K head count as one batch for the kernels?
fn grouped(parts: &Parts<'_>, ratio: u64) -> bool {
    let aligned = |tensor: &Tensor| {
        tensor.ty.is_quantized() || tensor.nb.iter().skip(1).all(|stride| stride.is_multiple_of(16))
    };
    ratio >= 2
        && parts.mask.is_some()
        && parts.k.ne[1].is_multiple_of(256)
        && [Some(parts.q), Some(parts.k), Some(parts.v), parts.mask].into_iter().flatten().all(aligned)
}

/// The types of K and V that the kernels know (`ggml_cuda_fattn_kv_type_supported`).
fn known(ty: GgmlType) -> bool {
    // F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, BF16
    matches!(ty.0, 0 | 1 | 2 | 3 | 6 | 7 | 8 | 30)
}

fn kernel(parts: &Parts<'_>, capability: u32) -> Option<Kernel> {
    let Parts { q, k, v, .. } = parts;
    let ratio = q.ne[2].checked_div(k.ne[2])?;
    let grouped = grouped(parts, ratio);
    let fits = match k.ne[0] {
        40 | 64 | 72 | 80 | 96 | 112 | 128 | 256 => v.ne[0] == k.ne[0],
        192 => v.ne[0] == 128 && grouped && ratio.is_multiple_of(8),
        320 => v.ne[0] == 256 && grouped && ratio.is_multiple_of(32),
        512 => v.ne[0] == 512 && grouped,
        576 => v.ne[0] == 512 && grouped,
        _ => false,
    };
    if !fits || !known(k.ty) || !known(v.ty) {
        return None;
    }
    let vector =
        q.ne[0] <= 256 && q.ne[0].is_multiple_of(64) && q.ne[0] != 192 && k.ne[1].is_multiple_of(256);
    let cores = capability >= TURING && q.ne[0] != 40 && q.ne[0] != 72;
    let few = if cores {
        vector_with_cores(parts, grouped, ratio, capability)
    } else {
        few_without(parts, grouped, capability)
    };
    Some(if vector && few { Kernel::Vector } else { Kernel::Wide })
}

/// Are there so few queries that the vector kernel is faster than tensor cores?
fn vector_with_cores(parts: &Parts<'_>, grouped: bool, ratio: u64, capability: u32) -> bool {
    let Parts { q, k, v, .. } = parts;
    let one = q.ne[1] == 1;
    let quantized = k.ty.is_quantized() || v.ty.is_quantized();
    let newer = capability >= ADA_LOVELACE;
    let fast = if quantized {
        if newer { q.ne[1] <= 2 } else { one }
    } else {
        newer && one && q.ne[3] == 1 && !(ratio > 4 && (q.ne[0] >= 256 || k.ne[1] >= 8192))
    };
    fast || (!grouped && one)
}

/// The same for GPUs without Turing's tensor cores.
fn few_without(parts: &Parts<'_>, grouped: bool, capability: u32) -> bool {
    let Parts { q, k, v, .. } = parts;
    if capability == VOLTA {
        return q.ne[1] <= 2;
    }
    if k.ty.is_quantized() || v.ty.is_quantized() { q.ne[1] <= 2 } else { q.ne[1] == 1 && !grouped }
}
