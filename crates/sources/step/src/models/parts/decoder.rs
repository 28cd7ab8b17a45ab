//! The frame of a decoder with rotary positions (`LlamaModel` and its copies): embedding, masks, blocks, norm.

use brimful_models::DecoderConfig;

use super::block::{Arguments, Block, BlockInput, Keyword, PositionEmbeddings, gradient_checkpointing_layer};
use super::cache::Cache;
use super::causal_lm::{Backbone, ModelInput};
use super::mask::{self, Mask, Sight};
use super::rotary::RotaryEmbedding;
use crate::models::{Inputs, Mode};
use crate::nn::{Builder, Embedding, Forward, Module};
use crate::tensor::Tensor;

/// How a family makes its masks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::models) enum Masks {
    /// One mask for every block, with the window that the config has.
    One,
    /// One mask per kind of block (`causal_mask_mapping`). A config with a `mask_window` has both in every forward.
    PerKind,
}

/// A keyword that a decoder passes to its blocks.
#[derive(Clone, Copy)]
pub(in crate::models) enum KeywordName {
    /// `attention_mask=`.
    AttentionMask,
    /// `position_ids=`.
    PositionIds,
    /// `position_embeddings=`.
    PositionEmbeddings,
}

/// What a family puts into the frame.
pub(in crate::models) struct Family<L, N: Forward> {
    /// How the masks are made.
    pub masks: Masks,
    /// The keywords of `decoder_layer(…)`, in the order of the call.
    pub keywords: [KeywordName; 3],
    /// Builds the table of the input tokens.
    pub embed_tokens: fn(&Builder, &str) -> Module<Embedding>,
    /// Builds block number `layer_idx`.
    pub layer: fn(&DecoderConfig, &Builder, usize) -> L,
    /// Builds the norm after the last block.
    pub norm: fn(&Builder, &str) -> Module<N>,
}

/// `LlamaModel`.
pub(in crate::models) struct Decoder<L: Block, N: Forward> {
    embed_tokens: Module<Embedding>,
    layers: Vec<Module<L>>,
    norm: Module<N>,
    rotary_emb: Module<RotaryEmbedding>,
    masks: Masks,
    keywords: [KeywordName; 3],
    windows: Vec<Option<u64>>,
    mask_window: Option<u64>,
    final_logit_softcapping: bool,
}

/// The masks of the blocks that see everything and of those that see a window.
struct MaskMapping {
    full: Mask,
    windowed: Mask,
}

/// What a forward passes to all of its blocks.
struct Positions {
    ids: Tensor,
    cos: Tensor,
    sin: Tensor,
}

impl<L: Block, N: Forward> Decoder<L, N> {
    /// The decoder of a family, in the order of `LlamaModel.__init__`.
    pub fn new(config: &DecoderConfig, builder: &Builder, family: &Family<L, N>) -> Decoder<L, N> {
        let layer = |index: usize| {
            let name = format!("layers.{index}");
            gradient_checkpointing_layer(builder, &name, |it| (family.layer)(config, it, index))
        };
        Decoder {
            embed_tokens: (family.embed_tokens)(builder, "embed_tokens"),
            layers: (0..config.num_hidden_layers as usize).map(layer).collect(),
            norm: (family.norm)(builder, "norm"),
            rotary_emb: builder.module("rotary_emb", |it| RotaryEmbedding::new(config, &it.device)),
            masks: family.masks,
            keywords: family.keywords,
            windows: config.sliding_windows.clone(),
            mask_window: config.mask_window,
            final_logit_softcapping: config.final_logit_softcapping,
        }
    }

    fn mask_mapping(
        &self,
        inputs: &Inputs<'_>,
        mode: &Mode,
        embeds: &Tensor,
        position_ids: &Tensor,
        cache: Option<&Cache>,
    ) -> MaskMapping {
        let cache_window = self.windows.iter().copied().flatten().next();
        let window = cache_window.or(self.mask_window);
        let make = |sight: Sight| mask::causal_mask(inputs, mode, embeds, Some(position_ids), cache, sight);
        // The mask with a window asks the cache's first windowed layer, and its first layer where none has a window.
        let windowed = Sight { window, cache_window };
        // The full mask asks the cache's first full layer how many keys there are, and its first layer where all of them
        // have a window (`find_full_attention_layer` in masking_utils.py).
        let sees_all = self.windows.iter().any(Option::is_none);
        let full = Sight { window: None, cache_window: cache_window.filter(|_| !sees_all) };
        match (self.masks, window) {
            (_, None) => MaskMapping { full: make(full), windowed: Mask::None },
            (Masks::One, Some(_)) => MaskMapping { full: Mask::None, windowed: make(windowed) },
            // The mapping's items are evaluated in this order.
            (Masks::PerKind, Some(_)) => MaskMapping { full: make(full), windowed: make(windowed) },
        }
    }

    /// The arguments of block number `index`, made anew for each call, as Python makes its dict.
    fn arguments(&self, index: usize, masks: &MaskMapping, positions: &Positions, mode: Mode) -> Arguments {
        let windowed = self.windows.get(index).copied().flatten().is_some();
        let mask = if windowed { &masks.windowed } else { &masks.full };
        let keyword = |name: &KeywordName| match name {
            KeywordName::AttentionMask => Keyword::AttentionMask(mask.clone()),
            KeywordName::PositionIds => Keyword::PositionIds(positions.ids.clone()),
            KeywordName::PositionEmbeddings => Keyword::PositionEmbeddings(PositionEmbeddings {
                sin: positions.sin.clone(),
                cos: positions.cos.clone(),
            }),
        };
        Arguments { positional: Mask::None, keywords: self.keywords.iter().map(keyword).collect(), mode }
    }
}

impl<L: Block, N> Forward for Decoder<L, N>
where
    N: for<'a> Forward<Input<'a> = &'a Tensor, Output = Tensor>,
{
    type Input<'a> = ModelInput<'a>;
    type Output = Tensor;

    /// `LlamaModel.forward`.
    fn forward(&self, input: ModelInput<'_>) -> Tensor {
        let ModelInput { inputs, mode, mut cache } = input;
        let embeds = self.embed_tokens.call(inputs.sample.tensor());
        let position_ids = mask::position_ids(&embeds);
        let masks = self.mask_mapping(inputs, mode, &embeds, &position_ids, cache.as_deref());
        let (cos, sin) = self.rotary_emb.call((&embeds, &position_ids));
        let positions = Positions { ids: position_ids, cos, sin };
        let mut hidden = embeds.clone();
        for (index, block) in self.layers.iter().enumerate() {
            let arguments = self.arguments(index, &masks, &positions, *mode);
            let cache = cache.as_deref_mut();
            hidden = block.call(BlockInput { hidden: &hidden, arguments: &arguments, cache });
        }
        // `hidden_states` is bound to the normed states: what the last block returned goes first.
        let normed = self.norm.call(&hidden);
        drop(hidden);
        let Positions { ids, cos, sin } = positions;
        // The function returns, and its locals go in the order in which they were bound first.
        match self.masks {
            Masks::One => {
                drop((ids, embeds));
                drop(masks);
            }
            // `mask_kwargs` holds both to the end, the embeddings first.
            Masks::PerKind => {
                drop(masks);
                drop((embeds, ids));
            }
        }
        // `position_embeddings` is a tuple, which drops its last item first.
        drop((sin, cos));
        normed
    }
}

impl<L: Block, N> Backbone for Decoder<L, N>
where
    N: for<'a> Forward<Input<'a> = &'a Tensor, Output = Tensor>,
{
    fn token_embedding(&self) -> &Module<Embedding> {
        &self.embed_tokens
    }

    fn windows(&self) -> Vec<Option<u64>> {
        self.windows.clone()
    }

    fn final_logit_softcapping(&self) -> bool {
        self.final_logit_softcapping
    }
}
