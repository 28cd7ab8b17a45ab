//! The KV cache's groups: which layers share a block, and what a block of each has (v1/core/kv_cache_planning.py and
//! v1/kv_cache_interface.py, vLLM 0.33).

use super::defaults::Start;
use crate::architecture::{Architecture, Attention, Latent, Mixer, Window};
use crate::weights::product;

/// What layers keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Keys and values of all tokens.
    Full,
    /// Keys and values of the last tokens, so many with the current one.
    Sliding(u64),
    /// Keys and values of a chunk of so many tokens.
    Chunked(u64),
    /// One latent row of each token.
    Latent,
    /// A state of fixed size.
    State {
        /// Pages that a request has.
        pages: u64,
    },
}

impl GroupKind {
    /// vLLM's name of the kind, without `Spec`.
    pub fn name(self) -> &'static str {
        match self {
            GroupKind::Full => "FullAttention",
            GroupKind::Sliding(_) => "SlidingWindow",
            GroupKind::Chunked(_) => "ChunkedLocalAttention",
            GroupKind::Latent => "MLAAttention",
            GroupKind::State { .. } => "Mamba",
        }
    }
}

/// Groups of the same kind and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// What its layers keep.
    pub kind: GroupKind,
    /// Layers in each.
    pub layers: u64,
    /// How many such groups there are.
    pub count: u64,
    /// Tokens of a block.
    pub block_size: u64,
    /// Bytes of a block in one layer.
    pub page_size: u64,
}

/// What one layer keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LayerSpec {
    kind: GroupKind,
    block_size: u64,
    page_size: u64,
}

/// The groups of a model, in the order in which their kinds first come.
pub(super) fn groups(model: &Architecture, start: &Start) -> Vec<Group> {
    let specs = with_one_page_size(layer_specs(model, start));
    let mut buckets: Vec<(LayerSpec, u64)> = Vec::new();
    for spec in specs {
        match buckets.iter_mut().find(|(known, _)| *known == spec) {
            Some((_, layers)) => *layers += 1,
            None => buckets.push((spec, 1)),
        }
    }
    let size = group_size(&buckets);
    buckets.iter().flat_map(|(spec, layers)| split(*spec, *layers, size)).collect()
}

/// The layers of a group: those of the smallest bucket, or of the largest if it is less than half as large again
/// (`_get_kv_cache_groups_uniform_page_size`).
fn group_size(buckets: &[(LayerSpec, u64)]) -> u64 {
    let least = buckets.iter().map(|bucket| bucket.1).min().unwrap_or(1).max(1);
    let most = buckets.iter().map(|bucket| bucket.1).max().unwrap_or(1);
    if 2 * most < 3 * least { most } else { least }
}

/// A bucket as groups of at most `size` layers, dealt out in turn: the first groups have one layer more than the last.
fn split(spec: LayerSpec, layers: u64, size: u64) -> impl Iterator<Item = Group> {
    let count = layers.div_ceil(size);
    let (each, more) = (layers / count, layers % count);
    let LayerSpec { kind, block_size, page_size } = spec;
    let group = move |layers, count| Group { kind, layers, count, block_size, page_size };
    [group(each + 1, more), group(each, count - more)]
        .into_iter()
        .filter(|group| group.count > 0 && group.layers > 0)
}

/// Specs with the largest page of them all: attention has larger blocks where that divides, and is padded otherwise
/// (`unify_kv_cache_spec_page_size`).
fn with_one_page_size(specs: Vec<LayerSpec>) -> Vec<LayerSpec> {
    let largest = specs.iter().map(|spec| spec.page_size).max().unwrap_or(0);
    let unified = |spec: LayerSpec| match spec.kind {
        GroupKind::State { .. } => LayerSpec { page_size: largest, ..spec },
        _ if spec.page_size > 0 && largest.is_multiple_of(spec.page_size) => {
            let block_size = spec.block_size * (largest / spec.page_size);
            LayerSpec { page_size: largest, block_size, ..spec }
        }
        _ => LayerSpec { page_size: largest, ..spec },
    };
    specs.into_iter().map(unified).collect()
}

/// The spec of each layer that keeps something.
fn layer_specs(model: &Architecture, start: &Start) -> Vec<LayerSpec> {
    let sizes = Sizes::of(model, start);
    let mixers = model.layers.iter().flat_map(|layer| &layer.mixers);
    mixers.map(|mixer| sizes.spec(mixer, model, start)).collect()
}

/// The sizes that all layers of a start share.
struct Sizes {
    /// Tokens of a block of attention.
    block_size: u64,
    /// Bytes of a state's page with its padding; `None` for the state alone.
    state_page: Option<u64>,
}

impl Sizes {
    /// `_align_hybrid_block_size` in platforms/interface.py, 0.33: a block of attention is at least as large as a state.
    fn of(model: &Architecture, start: &Start) -> Sizes {
        let usual = start.usual_block_size();
        let row = model.layers.iter().flat_map(|layer| &layer.mixers).find_map(|mixer| row(mixer, start));
        let state = states(model, start).max().filter(|bytes| *bytes > 0);
        let (Some(row), Some(state)) = (row, state) else {
            return Sizes { block_size: usual, state_page: None };
        };
        let latent = model.latents().next().is_some();
        let unit = if latent { usual.max(128) } else { usual };
        // Gated delta nets hand out their states at multiples of 64 tokens (`get_prefill_checkpoint_alignment`).
        let unit = if start.prefix_caching && model.has_delta_net() {
            least_common_multiple(unit, 64)
        } else {
            unit
        };
        let needed = product([unit, state.div_ceil(product([unit, row]).max(1))]);
        let block_size = usual.max(needed);
        Sizes { block_size, state_page: Some(product([block_size, row])) }
    }

    fn spec(&self, mixer: &Mixer, model: &Architecture, start: &Start) -> LayerSpec {
        if let Some(row) = row(mixer, start) {
            let kind = match mixer {
                Mixer::Attention(Attention { window: Window::Sliding(size), .. }) => {
                    GroupKind::Sliding(*size)
                }
                Mixer::Attention(Attention { window: Window::Chunked(size), .. }) => {
                    GroupKind::Chunked(*size)
                }
                Mixer::Attention(_) => GroupKind::Full,
                _ => GroupKind::Latent,
            };
            return LayerSpec {
                kind,
                block_size: self.block_size,
                page_size: product([self.block_size, row]),
            };
        }
        let bytes = state(mixer, model, start).unwrap_or(0);
        let page_size = self.state_page.map_or(bytes, |page| page.max(bytes));
        // With prefix caching a state is kept at block boundaries; without it there is one block for the whole request.
        let block_size = if start.prefix_caching { self.block_size } else { start.max_model_len };
        LayerSpec { kind: GroupKind::State { pages: pages(mixer, start) }, block_size, page_size }
    }
}

/// Pages of a state that a request has: one, or with prefix caching (`mamba_cache_mode` "align") two, and one more where the layer
/// exports states within a prompt (`MambaSpec.max_memory_usage_bytes`).
fn pages(mixer: &Mixer, start: &Start) -> u64 {
    match mixer {
        _ if !start.prefix_caching => 1,
        Mixer::ShortConvolution(_) => 2,
        _ => 3,
    }
}

/// Bytes of a token in one layer; `None` for a layer with a state.
fn row(mixer: &Mixer, start: &Start) -> Option<u64> {
    match mixer {
        Mixer::Attention(attention) => {
            let heads = attention.kv_heads_on_rank(start.ranks);
            Some(product([2, heads, attention.head_dim, start.kv_element]))
        }
        Mixer::Latent(latent) => Some(product([Latent::row(latent), start.kv_element])),
        _ => None,
    }
}

/// Bytes of a state; `None` for attention.
fn state(mixer: &Mixer, model: &Architecture, start: &Start) -> Option<u64> {
    match mixer {
        Mixer::Mamba(mamba) => Some(mamba.bytes(start.ranks, model.dtype)),
        Mixer::DeltaNet(net) => Some(net.bytes(start.ranks, model.dtype)),
        Mixer::ShortConvolution(convolution) => Some(convolution.bytes(start.ranks, model.dtype)),
        Mixer::Attention(_) | Mixer::Latent(_) => None,
    }
}

fn states<'a>(model: &'a Architecture, start: &'a Start) -> impl Iterator<Item = u64> + 'a {
    let mixers = model.layers.iter().flat_map(|layer| &layer.mixers);
    mixers.filter_map(move |mixer| state(mixer, model, start))
}

fn least_common_multiple(one: u64, other: u64) -> u64 {
    let (mut a, mut b) = (one, other);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    product([one / a.max(1), other])
}
