//! The block that Llama shares with its relatives: its numbers from the keys of a family.

use crate::families::{DecoderFamily, rope};
use crate::keys::Keys;
use crate::{Activation, DecoderConfig, Fault};

/// The numbers of a decoder of this family. A switch whose key the family does not declare is off, and every block sees
/// everything; the family changes what its classes do otherwise.
pub(crate) fn read(family: DecoderFamily, keys: Keys) -> Result<DecoderConfig, Fault> {
    let hidden_size = keys.size("hidden_size")?;
    let num_attention_heads = keys.size("num_attention_heads")?;
    let num_hidden_layers = keys.size("num_hidden_layers")?;
    let attention_bias = keys.flag("attention_bias")?;
    Ok(DecoderConfig {
        family,
        vocab_size: keys.size("vocab_size")?,
        hidden_size,
        intermediate_size: keys.size("intermediate_size")?,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads: key_value_heads(keys, num_attention_heads)?,
        head_dim: head_dim(keys, hidden_size, num_attention_heads)?,
        hidden_act: activation(keys, keys.declared(["hidden_act", "hidden_activation"]))?,
        max_position_embeddings: keys.size("max_position_embeddings")?,
        tie_word_embeddings: keys.flag("tie_word_embeddings")?,
        qkv_bias: attention_bias,
        o_bias: attention_bias,
        mlp_bias: keys.flag("mlp_bias")?,
        attention_dropout: keys.probability("attention_dropout")?,
        sliding_windows: vec![None; num_hidden_layers as usize],
        mask_window: None,
        attn_logit_softcapping: keys.optional_float("attn_logit_softcapping")?.is_some(),
        final_logit_softcapping: keys.optional_float("final_logit_softcapping")?.is_some(),
        rope_type: rope::rope_type(keys)?,
    })
}

/// Refuses a hidden size that is not a multiple of the heads, as `validate_architecture` of some families does.
pub(crate) fn refuse_uneven_heads(keys: Keys) -> Result<(), Fault> {
    let (width, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    if !width.is_multiple_of(heads) {
        let expected = format!("it must be a multiple of `num_attention_heads` ({heads})");
        return Err(Fault::value("hidden_size", width, expected));
    }
    Ok(())
}

/// Key-value heads; without a number there are as many as query heads.
fn key_value_heads(keys: Keys, heads: u64) -> Result<u64, Fault> {
    let key = "num_key_value_heads";
    let found = keys.optional_size(key)?.unwrap_or(heads);
    if !heads.is_multiple_of(found) {
        let expected = format!("`num_attention_heads` ({heads}) must be a multiple of it");
        return Err(Fault::value(key, found, expected));
    }
    Ok(found)
}

/// The width of a head; without a number it is the hidden size over the heads.
fn head_dim(keys: Keys, hidden_size: u64, heads: u64) -> Result<u64, Fault> {
    let found = keys.optional_size("head_dim")?.unwrap_or(hidden_size / heads);
    if found == 0 {
        let expected = format!("`hidden_size` ({hidden_size}) gives each of them less than one column");
        return Err(Fault::value("num_attention_heads", heads, expected));
    }
    if !found.is_multiple_of(2) {
        return Err(Fault::value("head_dim", found, "rotary embeddings need an even width of a head"));
    }
    Ok(found)
}

/// The class of an activation, by transformers' name.
pub(crate) fn activation(keys: Keys, key: &str) -> Result<Activation, Fault> {
    Ok(match keys.word(key)? {
        "silu" | "swish" => Activation::Silu,
        "gelu" => Activation::Gelu,
        "gelu_pytorch_tanh" => Activation::GeluTanh,
        "gelu_new" => Activation::GeluNew,
        "relu" => Activation::Relu,
        other => {
            let expected = "simulated are silu, swish, gelu, gelu_pytorch_tanh, gelu_new and relu";
            return Err(Fault::value(key, format!("{other:?}"), expected));
        }
    })
}
