use crate::{DecoderFamily, RecordedConfig};

/// The numbers of an architecture, checked: no zero sizes, products within 2^63.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// Llama and the families that share its block.
    Decoder(DecoderConfig),
    /// GPT-2.
    Gpt2(Gpt2Config),
    /// A class that was recorded as a program.
    Recorded(RecordedConfig),
}

impl Config {
    /// The key and the number of positions of a learned position embedding, beyond which the real model fails; `None` for
    /// a rotary one, which goes on.
    pub fn learned_positions(&self) -> Option<(&'static str, u64)> {
        match self {
            Config::Decoder(_) => None,
            Config::Recorded(recorded) => recorded.learned_positions.map(|n| ("max_position_embeddings", n)),
            Config::Gpt2(gpt2) => Some(("n_positions", gpt2.n_positions)),
        }
    }
}

/// A feed-forward activation, by transformers' name (`ACT2FN` in transformers/activations.py).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `silu`, `swish`: one fused kernel.
    Silu,
    /// `gelu`: the exact function, one fused kernel.
    Gelu,
    /// `gelu_pytorch_tanh`: one fused kernel with the tanh approximation.
    GeluTanh,
    /// `gelu_new`: the tanh approximation written out in Python.
    GeluNew,
    /// `relu`.
    Relu,
}

/// How the rotary embedding's frequencies are made (`rope_type` of `rope_parameters`/`rope_scaling`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RopeType {
    Default,
    Linear,
    Dynamic,
    Yarn,
    LongRope,
    Llama3,
}

/// The numbers of a Llama-like decoder; names are those of `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Which reference implementation it is.
    pub family: DecoderFamily,
    /// Rows of the embedding.
    pub vocab_size: u64,
    /// Width of the residual stream.
    pub hidden_size: u64,
    /// Width of the feed-forward.
    pub intermediate_size: u64,
    /// Number of blocks.
    pub num_hidden_layers: u64,
    /// Query heads.
    pub num_attention_heads: u64,
    /// Key and value heads.
    pub num_key_value_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
    /// The feed-forward's activation.
    pub hidden_act: Activation,
    /// Longest sequence the rotary embedding is made for.
    pub max_position_embeddings: u64,
    /// Whether `lm_head` shares the embedding's weight.
    pub tie_word_embeddings: bool,
    /// Whether q, k, v have a bias (Qwen2: always).
    pub qkv_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub o_bias: bool,
    /// Whether the feed-forward's projections have a bias.
    pub mlp_bias: bool,
    /// Dropout on the attention's weights in training.
    pub attention_dropout: f64,
    /// Per block the attention window; `None` where the block sees everything.
    pub sliding_windows: Vec<Option<u64>>,
    /// The window that the model makes a mask for even if no block has it (Gemma 2).
    pub mask_window: Option<u64>,
    /// Whether the scores of the attention go through a scaled tanh (`attn_logit_softcapping`).
    pub attn_logit_softcapping: bool,
    /// Whether the logits go through a scaled tanh (`final_logit_softcapping`).
    pub final_logit_softcapping: bool,
    /// How the rotary frequencies are made.
    pub rope_type: RopeType,
}

/// The numbers of GPT-2; names are those of `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt2Config {
    /// Rows of the token embedding.
    pub vocab_size: u64,
    /// Rows of the position embedding.
    pub n_positions: u64,
    /// Width of the residual stream.
    pub n_embd: u64,
    /// Number of blocks.
    pub n_layer: u64,
    /// Heads.
    pub n_head: u64,
    /// Width of the feed-forward (4 × `n_embd` where `config.json` has none).
    pub n_inner: u64,
    /// The feed-forward's activation.
    pub activation_function: Activation,
    /// Dropout after the attention's and the feed-forward's projection.
    pub resid_pdrop: f64,
    /// Dropout after the embeddings.
    pub embd_pdrop: f64,
    /// Dropout on the attention's weights.
    pub attn_pdrop: f64,
    /// Whether scores are divided by the square root of the head's width.
    pub scale_attn_weights: bool,
    /// Whether scores are divided by the block's number too.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// Whether eager attention scores in fp32.
    pub reorder_and_upcast_attn: bool,
    /// Whether `lm_head` shares the embedding's weight.
    pub tie_word_embeddings: bool,
}
