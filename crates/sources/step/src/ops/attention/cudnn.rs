//! cuDNN's attention (aten/src/ATen/native/cudnn/MHA.cpp and aten/src/ATen/native/transformers/cuda/attention.cu).

use brimful_units::Dtype;

use super::super::iterator::result;
use super::super::{grads, saved};
use super::{Sizes, wants_gradient};
use crate::autograd::{Grads, Op};
use crate::tensor::Tensor;

/// `_scaled_dot_product_cudnn_attention`. `bias` is a mask as numbers, `[B, 1, S, keys]`.
pub(super) fn cudnn(q: &Tensor, k: &Tensor, v: &Tensor, bias: Option<Tensor>) -> Tensor {
    let node = "ScaledDotProductCudnnAttentionBackward0";
    let ran = Op::new("_scaled_dot_product_cudnn_attention", node, &[q, k, v])
        .saves_inputs(|| saved![bias.clone(), Some(k.clone()), Some(q.clone()), Some(v.clone())])
        .run(|| forward(q, k, v));
    let saves = |(out, extra): &(Tensor, Extra)| {
        let Extra { lse, seed, offset } = extra;
        saved![lse.clone(), Some(out.detach()), Some(offset.clone()), Some(seed.clone())]
    };
    let (out, _) =
        ran.saves_results(saves).backward(|call| backward(call.saved(2), call.saved(1), call.saved(3)));
    out
}

/// What the kernel returns beside its output: the log-sum-exp of each row, and the random state. They go in this order.
struct Extra {
    lse: Option<Tensor>,
    seed: Tensor,
    offset: Tensor,
}

fn forward(q: &Tensor, k: &Tensor, v: &Tensor) -> (Tensor, Extra) {
    let device = q.device().clone();
    let sizes = Sizes::of(q, k);
    // The random state comes first, with dropout and without it.
    let seed = Tensor::empty(&device, [], Dtype::I64);
    let offset = Tensor::empty(&device, [], Dtype::I64);
    // `alloc_with_matching_layout`: the output has the order of the query's dimensions.
    let out = result(&[q], q.dtype());
    // The statistics are only there for a backward. Rows are not padded, unlike those of the memory-efficient kernel.
    let lse = wants_gradient(q, k, v)
        .then(|| Tensor::empty(&device, [sizes.batch, sizes.heads, sizes.queries, 1], Dtype::F32));
    (out, Extra { lse, seed, offset })
}

/// `_scaled_dot_product_cudnn_attention_backward`: gradients in the layouts of their tensors, and cuDNN's workspace. The
/// frontend (`SDPABackwardNode` of cudnn-frontend) asks for the row sums and the queries' gradient in fp32. Gradients of
/// shared keys and values are summed by the kernel.
fn backward(q: &Tensor, k: &Tensor, v: &Tensor) -> Grads {
    let device = q.device().clone();
    let _op = device.op("_scaled_dot_product_cudnn_attention_backward");
    let sizes = Sizes::of(q, k);
    let like = |x: &Tensor| result(&[x], x.dtype());
    let (q_grad, k_grad, v_grad) = (like(q), like(k), like(v));
    let rows = sizes.batch.saturating_mul(sizes.heads).saturating_mul(sizes.queries);
    let columns = sizes.width.saturating_add(1);
    // `run_cudnn_SDP_bprop` asks the allocator for the workspace itself: it is no tensor.
    device.kernel_buffer(rows.saturating_mul(columns).saturating_mul(4));
    grads![Some(q_grad), Some(k_grad), Some(v_grad)]
}
