//! `LlamaConfig` (models/llama/configuration_llama.py).

use super::{DecoderFamily, Family, block, windows};
use crate::keys::Key;
use crate::{Config, JobDefaults};

pub(crate) const FAMILY: Family = Family {
    model_type: "llama",
    causal_lm: "LlamaForCausalLM",
    keys: &[
        Key::size("vocab_size", 32000),
        Key::size("hidden_size", 4096),
        Key::size("intermediate_size", 11008),
        Key::layers("num_hidden_layers", 32),
        Key::size("num_attention_heads", 32),
        Key::derived_size("num_key_value_heads").or_null(),
        Key::derived_size("head_dim").or_null(),
        Key::word("hidden_act", "silu"),
        Key::size("max_position_embeddings", 2048),
        Key::flag("tie_word_embeddings", false),
        Key::flag("attention_bias", false),
        Key::flag("mlp_bias", false),
        Key::probability("attention_dropout", 0.0).or_null(),
    ],
    read: |keys| {
        // `LlamaConfig.validate_architecture` refuses this even if `head_dim` is given, so it comes before the block.
        block::refuse_uneven_heads(keys)?;
        let config = block::read(DecoderFamily::Llama, keys)?;
        windows::refuse(keys, config.num_hidden_layers)?;
        Ok(Config::Decoder(config))
    },
    job: JobDefaults::TRANSFORMERS,
};
