//! `GPT2Config` (models/gpt2/configuration_gpt2.py).

use super::{Family, block};
use crate::keys::{Key, Keys};
use crate::{Config, Fault, Gpt2Config, JobDefaults};

/// `GPT2Config.attribute_map` gives four numbers the names that other families have for them.
pub(crate) const FAMILY: Family = Family {
    model_type: "gpt2",
    causal_lm: "GPT2LMHeadModel",
    keys: &[
        Key::size("vocab_size", 50257),
        Key::size("n_positions", 1024).or_named("max_position_embeddings"),
        Key::size("n_embd", 768).or_named("hidden_size"),
        Key::layers("n_layer", 12).or_named("num_hidden_layers"),
        Key::size("n_head", 12).or_named("num_attention_heads"),
        Key::derived_size("n_inner").or_null(),
        Key::word("activation_function", "gelu_new"),
        Key::probability("resid_pdrop", 0.1),
        Key::probability("embd_pdrop", 0.1),
        Key::probability("attn_pdrop", 0.1),
        Key::flag("scale_attn_weights", true),
        Key::flag("scale_attn_by_inverse_layer_idx", false),
        Key::flag("reorder_and_upcast_attn", false),
        Key::flag("tie_word_embeddings", true),
        Key::flag("add_cross_attention", false),
    ],
    read: |keys| read(keys).map(Config::Gpt2),
    job: JobDefaults::TRANSFORMERS,
};

fn read(keys: Keys) -> Result<Gpt2Config, Fault> {
    let (n_embd, n_head) = (keys.size("n_embd")?, keys.size("n_head")?);
    if !n_embd.is_multiple_of(n_head) {
        return Err(Fault::value("n_embd", n_embd, format!("it must be a multiple of `n_head` ({n_head})")));
    }
    if keys.flag("add_cross_attention")? {
        let why = "GPT-2 as the decoder of an encoder-decoder has further weights";
        return Err(Fault::Unsupported { key: "add_cross_attention".into(), value: "true".into(), why });
    }
    Ok(Gpt2Config {
        vocab_size: keys.size("vocab_size")?,
        n_positions: keys.size("n_positions")?,
        n_embd,
        n_layer: keys.size("n_layer")?,
        n_head,
        n_inner: keys.optional_size("n_inner")?.unwrap_or(4 * n_embd),
        activation_function: block::activation(keys, "activation_function")?,
        resid_pdrop: keys.probability("resid_pdrop")?,
        embd_pdrop: keys.probability("embd_pdrop")?,
        attn_pdrop: keys.probability("attn_pdrop")?,
        scale_attn_weights: keys.flag("scale_attn_weights")?,
        scale_attn_by_inverse_layer_idx: keys.flag("scale_attn_by_inverse_layer_idx")?,
        reorder_and_upcast_attn: keys.flag("reorder_and_upcast_attn")?,
        tie_word_embeddings: keys.flag("tie_word_embeddings")?,
    })
}
