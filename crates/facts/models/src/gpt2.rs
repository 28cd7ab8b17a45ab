//! `GPT2Config` of transformers 5.23 (models/gpt2/configuration_gpt2.py).

use crate::decoder::{activation, layers};
use crate::keys::Keys;
use crate::{Fault, Gpt2Config};

/// `GPT2Config.attribute_map`: the names other families use for the same numbers.
pub(crate) const ALIASES: [(&str, &str); 4] = [
    ("hidden_size", "n_embd"),
    ("max_position_embeddings", "n_positions"),
    ("num_attention_heads", "n_head"),
    ("num_hidden_layers", "n_layer"),
];

/// The numbers of a GPT-2 from the keys of its `config.json`.
pub(crate) fn parse(keys: Keys) -> Result<Gpt2Config, Fault> {
    let n_embd = keys.size("n_embd", 768)?;
    let n_head = keys.size("n_head", 12)?;
    if !n_embd.is_multiple_of(n_head) {
        return Err(Fault::value("n_embd", n_embd, format!("it must be a multiple of `n_head` ({n_head})")));
    }
    if keys.flag("add_cross_attention", false)? {
        let why = "GPT-2 as the decoder of an encoder-decoder has further weights";
        return Err(Fault::Unsupported { key: "add_cross_attention".into(), value: "true".into(), why });
    }
    Ok(Gpt2Config {
        vocab_size: keys.size("vocab_size", 50257)?,
        n_positions: keys.size("n_positions", 1024)?,
        n_embd,
        n_layer: layers(keys, "n_layer", 12)?,
        n_head,
        n_inner: keys.optional_size("n_inner")?.unwrap_or(4 * n_embd),
        activation_function: activation(keys, "activation_function", "gelu_new")?,
        resid_pdrop: keys.probability("resid_pdrop", 0.1)?,
        embd_pdrop: keys.probability("embd_pdrop", 0.1)?,
        attn_pdrop: keys.probability("attn_pdrop", 0.1)?,
        scale_attn_weights: keys.flag("scale_attn_weights", true)?,
        scale_attn_by_inverse_layer_idx: keys.flag("scale_attn_by_inverse_layer_idx", false)?,
        reorder_and_upcast_attn: keys.flag("reorder_and_upcast_attn", false)?,
        tie_word_embeddings: keys.flag("tie_word_embeddings", true)?,
    })
}
