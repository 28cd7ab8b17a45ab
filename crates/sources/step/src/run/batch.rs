use brimful_jobs::{AttentionMask, Task};
use brimful_trace::Category;
use brimful_units::{Dtype, Shape};

use crate::device::Device;
use crate::models::{Inputs, Targets};
use crate::ops;
use crate::tensor::Tensor;

/// The arguments of one forward, as the script's dict has them. Dropping the dict frees its values in the order of their
/// keys, which is that of these fields.
pub(super) struct Batch {
    /// Token ids `[B, S]`, int64.
    input_ids: Tensor,
    /// What the model shall answer; `None` once the script has taken it out.
    targets: Option<Targets>,
    /// The decoder's token ids `[B, T]`, int64, in the place of targets.
    decoder_input_ids: Option<Tensor>,
    /// 1 where a token is not padding, `[B, S]`, int64.
    attention_mask: Option<Tensor>,
}

impl Batch {
    /// `make_batch` of `fixtures/rehearsal/step_case.py`: tensors that are made on the GPU, in the order of their keys. The
    /// sizes are those of the batch, a sample and a target.
    pub fn new(
        device: &Device,
        task: Task,
        [batch, sequence, target]: [u64; 3],
        mask: AttentionMask,
    ) -> Batch {
        let input = |op, shape: Shape| {
            let tensor = ops::new_tensor(device, op, shape, Dtype::I64);
            tensor.categorize(Category::Input);
            tensor
        };
        let tokens = || Shape::from([batch, sequence]);
        let input_ids = input("zeros", tokens());
        let targets = match task {
            Task::QuestionAnswering => {
                let start = input("zeros", [batch].into());
                Targets::Positions(start, input("zeros", [batch].into()))
            }
            Task::SequenceClassification => Targets::Labels(input("zeros", [batch].into())),
            Task::TokenClassification => Targets::Labels(input("zeros", tokens())),
            Task::Seq2Seq => Targets::Labels(input("zeros", [batch, target].into())),
            _ => Targets::Labels(input("clone", tokens())),
        };
        let attention_mask = (mask != AttentionMask::None).then(|| input("ones", tokens()));
        Batch { input_ids, targets: Some(targets), decoder_input_ids: None, attention_mask }
    }

    /// `batch.pop("labels")`.
    pub fn without_targets(self) -> Batch {
        Batch { targets: None, ..self }
    }

    /// The decoder's tokens in the place of its targets.
    pub fn of_decoder(mut self) -> Batch {
        if let Some(Targets::Labels(tokens)) = self.targets.take() {
            self.decoder_input_ids = Some(tokens);
        }
        self
    }

    /// The arguments of the call.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            input_ids: &self.input_ids,
            decoder_input_ids: self.decoder_input_ids.as_ref(),
            attention_mask: self.attention_mask.as_ref(),
            targets: self.targets.as_ref(),
            logits_to_keep: None,
        }
    }
}
