//! The rules of transformers that are expected to differ between its versions.

use brimful_jobs::TransformersRules as Known;
use brimful_units::Dtype;

/// The rules of one version of transformers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransformersRules {
    /// The dtype of the logits in the loss (`ForCausalLMLoss` in loss/loss_utils.py).
    pub loss_dtype: Dtype,
    /// The widest head, in elements, whose grouped keys go to the kernel as they are (`use_gqa_in_sdpa` in
    /// integrations/sdpa_attention.py).
    pub gqa_widest_head: u64,
    /// The dtype of the softmax in the Llama family's eager attention (`eager_attention_forward`).
    pub eager_softmax_dtype: Dtype,
}

impl TransformersRules {
    /// The rules of a known version.
    pub const fn of(version: Known) -> TransformersRules {
        match version {
            Known::V5_23 => TransformersRules {
                loss_dtype: Dtype::F32,
                gqa_widest_head: 256,
                eager_softmax_dtype: Dtype::F32,
            },
        }
    }
}
