//! A model as a list of layers: what mixes tokens in each, and what feeds forward.

mod attention;
mod families;
mod feed;
mod latent;
mod state;

use brimful_units::Dtype;

pub(crate) use attention::{Attention, Normed, Window};
pub use families::known_model_types;
pub(crate) use feed::{Experts, Feed, Mlp};
pub(crate) use latent::Latent;
pub(crate) use state::{DeltaNet, Mamba, ShortConvolution};

use crate::weights::{Loader, product};

/// A model's layers and sizes, as vLLM builds them.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// The `model_type` of the config.
    pub model_type: String,
    /// The dtype of weights and computation.
    pub dtype: Dtype,
    /// Rows of the embedding.
    pub vocab_size: u64,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// The longest context that the model is made for.
    pub max_position_embeddings: u64,
    /// Whether the output layer is the embedding.
    pub(crate) tied: bool,
    /// The tables of rotary embeddings, as rows and columns: one for all layers that have the same.
    pub(crate) rotary: Vec<(u64, u64)>,
    /// The layers in their order.
    pub(crate) layers: Vec<Layer>,
}

/// A layer of a model.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// What mixes tokens; several stand side by side, and a layer of a pattern may have none.
    pub(crate) mixers: Vec<Mixer>,
    /// What feeds forward; `None` in a layer that only mixes.
    pub(crate) feed: Option<Feed>,
    /// Norms over the hidden size.
    pub(crate) norms: u64,
}

/// What mixes tokens.
#[derive(Clone, Debug)]
pub(crate) enum Mixer {
    Attention(Attention),
    Latent(Latent),
    Mamba(Mamba),
    DeltaNet(DeltaNet),
    ShortConvolution(ShortConvolution),
}

impl Mixer {
    /// Whether queries and keys are rotated by their positions.
    fn is_rotated(&self) -> bool {
        matches!(self, Mixer::Attention(_) | Mixer::Latent(_))
    }
}

/// The vocabulary is padded to this (DEFAULT_VOCAB_PADDING_SIZE in layers/vocab_parallel_embedding.py, 0.33).
const VOCABULARY_UNIT: u64 = 64;

impl Architecture {
    /// Rows of the embedding with its padding.
    pub(crate) fn padded_vocabulary(&self) -> u64 {
        self.vocab_size.next_multiple_of(VOCABULARY_UNIT)
    }

    /// Registers every tensor of a rank.
    pub(crate) fn load(&self, loader: &mut Loader<'_>) {
        let embedding = product([loader.share(self.padded_vocabulary()), self.hidden_size]);
        loader.plain(embedding);
        let mut tables = Some(&self.rotary);
        for (at, layer) in self.layers.iter().enumerate() {
            loader.prefix = format!("model.layers.{at}");
            layer.mix(self.hidden_size, loader);
            // The first attention builds the table behind its projections, and all others find it in a cache.
            if layer.mixers.iter().any(Mixer::is_rotated) {
                tables
                    .take()
                    .into_iter()
                    .flatten()
                    .for_each(|(rows, columns)| loader.rotary(*rows, *columns));
            }
            layer.feed(self.hidden_size, loader);
        }
        loader.plain(self.hidden_size);
        if !self.tied {
            loader.plain(embedding);
        }
    }

    /// The attention layers, with those that keep one latent row left out.
    pub(crate) fn attentions(&self) -> impl Iterator<Item = &Attention> {
        self.mixers().filter_map(|mixer| match mixer {
            Mixer::Attention(attention) => Some(attention),
            _ => None,
        })
    }

    /// Every mixer, layer by layer.
    fn mixers(&self) -> impl Iterator<Item = &Mixer> {
        self.layers.iter().flat_map(|layer| &layer.mixers)
    }

    /// The layers that keep one latent row of each token.
    pub(crate) fn latents(&self) -> impl Iterator<Item = &Latent> {
        self.mixers().filter_map(|mixer| match mixer {
            Mixer::Latent(latent) => Some(latent),
            _ => None,
        })
    }

    /// Whether a layer keeps something of each token.
    pub(crate) fn has_rows(&self) -> bool {
        self.mixers().any(|mixer| matches!(mixer, Mixer::Attention(_) | Mixer::Latent(_)))
    }

    /// Whether a layer is a gated delta net.
    pub(crate) fn has_delta_net(&self) -> bool {
        self.mixers().any(|mixer| matches!(mixer, Mixer::DeltaNet(_)))
    }

    /// Heads of layers other than plain attention, which ranks divide among themselves.
    pub(crate) fn other_heads(&self) -> impl Iterator<Item = u64> {
        self.mixers().filter_map(|mixer| match mixer {
            Mixer::Attention(_) => None,
            Mixer::Latent(latent) => Some(latent.heads),
            Mixer::Mamba(mamba) => Some(mamba.heads),
            Mixer::DeltaNet(net) => Some(net.key_heads),
            Mixer::ShortConvolution(convolution) => Some(convolution.width),
        })
    }

    /// Whether a layer keeps a state beside, or in place of, keys and values.
    pub(crate) fn has_state(&self) -> bool {
        let mut mixers = self.mixers();
        mixers.any(|mixer| matches!(mixer, Mixer::Mamba(_) | Mixer::DeltaNet(_) | Mixer::ShortConvolution(_)))
    }

    /// The experts of the first layer that has some; `None` in a dense model.
    pub(crate) fn experts(&self) -> Option<&Experts> {
        self.layers.iter().find_map(|layer| match &layer.feed {
            Some(Feed::Experts(experts)) => Some(experts),
            _ => None,
        })
    }

    /// What a token takes in the fullest layer of the profile run, in bytes: four rows of the hidden size, and what the layer
    /// makes of it.
    pub(crate) fn bytes_of_token(&self, ranks: u64) -> u64 {
        let widest = self.layers.iter().map(|layer| layer.width_of_token(ranks)).max().unwrap_or(0);
        product([widest.saturating_add(4 * self.hidden_size), self.dtype.size()])
    }
}

impl Layer {
    /// The weights of what mixes tokens.
    fn mix(&self, hidden: u64, loader: &mut Loader<'_>) {
        for mixer in &self.mixers {
            match mixer {
                Mixer::Attention(attention) => attention.load(hidden, loader),
                Mixer::Latent(latent) => latent.load(hidden, loader),
                Mixer::Mamba(mamba) => mamba.load(hidden, loader),
                Mixer::DeltaNet(net) => net.load(hidden, loader),
                Mixer::ShortConvolution(convolution) => convolution.load(hidden, loader),
            }
        }
    }

    /// The weights of what feeds forward, and the norms.
    fn feed(&self, hidden: u64, loader: &mut Loader<'_>) {
        match &self.feed {
            Some(Feed::Mlp(mlp)) => mlp.load("mlp", hidden, loader),
            Some(Feed::Experts(experts)) => experts.load(hidden, loader),
            None => {}
        }
        for _ in 0..self.norms {
            loader.plain(hidden);
        }
    }

    /// Elements that a token has at once in the fuller half of the layer, beside the hidden rows.
    fn width_of_token(&self, ranks: u64) -> u64 {
        let mixed = self.mixers.iter().map(|mixer| match mixer {
            Mixer::Mamba(mamba) => mamba.width_of_token(ranks),
            Mixer::DeltaNet(net) => net.width_of_token(ranks),
            Mixer::Attention(attention) => attention.width_of_token(ranks),
            Mixer::Latent(latent) => latent.width_of_token(ranks),
            Mixer::ShortConvolution(convolution) => convolution.width_of_token(ranks),
        });
        let fed = match &self.feed {
            Some(Feed::Mlp(mlp)) => mlp.width_of_token(ranks),
            Some(Feed::Experts(experts)) => experts.width_of_token(ranks),
            None => 0,
        };
        mixed.max().unwrap_or(0).max(fed)
    }
}
