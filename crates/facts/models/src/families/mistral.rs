//! `MistralConfig` (models/mistral/configuration_mistral.py).

use super::{DecoderFamily, Family, block, windows};
use crate::keys::Key;
use crate::{Config, JobDefaults};

pub(crate) const FAMILY: Family = Family {
    model_type: "mistral",
    causal_lm: "MistralForCausalLM",
    keys: &[
        Key::size("vocab_size", 32000),
        Key::size("hidden_size", 4096),
        Key::size("intermediate_size", 14336),
        Key::layers("num_hidden_layers", 32),
        Key::size("num_attention_heads", 32),
        Key::size("num_key_value_heads", 8),
        Key::derived_size("head_dim").or_null(),
        Key::word("hidden_act", "silu"),
        Key::size("max_position_embeddings", 4096 * 32),
        Key::flag("tie_word_embeddings", false),
        Key::probability("attention_dropout", 0.0),
        Key::size("sliding_window", 4096).or_null(),
    ],
    read: |keys| {
        let mut config = block::read(DecoderFamily::Mistral, keys)?;
        windows::refuse(keys, config.num_hidden_layers)?;
        // Every block has the window.
        config.sliding_windows.fill(keys.optional_size("sliding_window")?);
        Ok(Config::Decoder(config))
    },
    job: JobDefaults::TRANSFORMERS,
};
