//! A block of a model as the model calls it (`GradientCheckpointingLayer` in transformers/modeling_layers.py).

use brimful_jobs::Checkpointing;
use smallvec::SmallVec;

use super::cache::Cache;
use super::mask::Mask;
use crate::checkpoint::{Checkpoint, Inputs, non_reentrant, reentrant};
use crate::device::Device;
use crate::models::Mode;
use crate::nn::{Builder, Forward, Inner, Module, Wrapper};
use crate::tensor::Tensor;

/// A block: hidden states in, hidden states of the same shape out.
pub(crate) trait Block: for<'a> Forward<Input<'a> = BlockInput<'a>, Output = Tensor> {}

impl<F> Block for F where F: for<'a> Forward<Input<'a> = BlockInput<'a>, Output = Tensor> {}

/// The arguments of a block's call.
pub(crate) struct BlockInput<'a> {
    /// `[B, S, width]`.
    pub hidden: &'a Tensor,
    /// What the model passes beside the hidden states.
    pub arguments: &'a Arguments,
    /// `past_key_values`. A checkpointed block gets none, as transformers turns the cache off for it.
    pub cache: Option<&'a mut Cache>,
}

/// What every block of one forward is given beside the hidden states.
#[derive(Clone)]
pub(crate) struct Arguments {
    /// The mask where it is passed by position: a checkpoint saves positional tensors itself.
    pub positional: Mask,
    /// Keyword arguments in the order of the reference implementation's call. A checkpoint keeps them in a dict, which
    /// drops its items from the first to the last: the order decides which of them is freed first.
    pub keywords: SmallVec<[Keyword; 3]>,
    /// How the model runs.
    pub mode: Mode,
}

/// A keyword argument of a block's call.
#[derive(Clone)]
pub(crate) enum Keyword {
    /// `attention_mask=`.
    AttentionMask(Mask),
    /// `position_ids=`, `[1, S]`. No block reads them, but a checkpoint keeps them.
    PositionIds(#[expect(dead_code, reason = "held for its drop")] Tensor),
    /// `position_embeddings=(cos, sin)`, each `[1, S, D]`.
    PositionEmbeddings(PositionEmbeddings),
}

/// A tuple of CPython drops its last item first: the fields stand in this order.
#[derive(Clone)]
pub(crate) struct PositionEmbeddings {
    /// `[1, S, D]`.
    pub sin: Tensor,
    /// `[1, S, D]`.
    pub cos: Tensor,
}

impl Arguments {
    /// The mask, passed by position or by keyword.
    pub fn mask(&self) -> &Mask {
        let by_keyword = self.keywords.iter().find_map(|keyword| match keyword {
            Keyword::AttentionMask(mask) => Some(mask),
            _ => None,
        });
        by_keyword.unwrap_or(&self.positional)
    }

    /// The rotary embedding's `cos` and `sin`; `None` if the model passes none, as GPT-2.
    pub fn position_embeddings(&self) -> Option<&PositionEmbeddings> {
        self.keywords.iter().find_map(|keyword| match keyword {
            Keyword::PositionEmbeddings(embeddings) => Some(embeddings),
            _ => None,
        })
    }
}

/// A block named `name`, inside the checkpoint that the job asks for.
pub(crate) fn gradient_checkpointing_layer<B: Block>(
    builder: &Builder,
    name: &str,
    build: impl FnOnce(&Builder) -> B,
) -> Module<B> {
    let block = builder.module(name, build);
    builder.note_layer(name);
    match builder.techniques.checkpointing {
        Checkpointing::None => {}
        Checkpointing::Reentrant => block.wrap(GradientCheckpointing(reentrant)),
        Checkpointing::NonReentrant => block.wrap(GradientCheckpointing(non_reentrant)),
    }
    block.wrap(Unit { device: builder.device.clone(), layer: builder.path_of(name) });
    block
}

/// Where a technique has something called around layers: outside of the checkpoint, which runs the layer's `forward`.
struct Unit {
    device: Device,
    /// The layer's name in the model.
    layer: String,
}

impl<B: Block> Wrapper<B> for Unit {
    fn call(&self, input: BlockInput<'_>, block: Inner<B>) -> Tensor {
        let Some(units) = self.device.units() else { return block.call(input) };
        let BlockInput { hidden, arguments, cache } = input;
        // Masks and position embeddings are in the dtype of the hidden states, and no gradient goes to them.
        let given = units.enter(&self.layer, vec![hidden.clone()]);
        let output = block.call(BlockInput { hidden: &given[0], arguments, cache });
        units.leave(&self.layer, std::slice::from_ref(&output));
        output
    }
}

/// `GradientCheckpointingLayer.__call__`: the call goes through this checkpoint.
struct GradientCheckpointing(Checkpoint);

impl<B: Block> Wrapper<B> for GradientCheckpointing {
    fn call(&self, input: BlockInput<'_>, block: Inner<B>) -> Tensor {
        let Arguments { positional, keywords, mode } = input.arguments.clone();
        let (mask, as_mask) = positional.into_parts();
        let inputs = Inputs([input.hidden.clone()].into_iter().chain(mask).collect());
        // Keywords become a part of the function (`partial(super().__call__, **kwargs)`): it keeps them, and drops them
        // in their order when it goes itself. Positional tensors are the checkpoint's.
        let function = move |inputs: &[Tensor]| {
            let positional = as_mask(inputs.get(1).cloned());
            let arguments = Arguments { positional, keywords: keywords.clone(), mode };
            vec![block.call(BlockInput { hidden: &inputs[0], arguments: &arguments, cache: None })]
        };
        let mut outputs = (self.0)(inputs, std::rc::Rc::new(function));
        // A block returns one tensor.
        outputs.swap_remove(0)
    }
}
