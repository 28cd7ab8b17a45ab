//! `Qwen3Config` (models/qwen3/configuration_qwen3.py).

use super::{DecoderFamily, Family, block, windows};
use crate::keys::Key;
use crate::{Config, JobDefaults};

pub(crate) const FAMILY: Family = Family {
    model_type: "qwen3",
    causal_lm: "Qwen3ForCausalLM",
    keys: &[
        Key::size("vocab_size", 151_936),
        Key::size("hidden_size", 4096),
        Key::size("intermediate_size", 22016),
        Key::layers("num_hidden_layers", 32),
        Key::size("num_attention_heads", 32),
        Key::size("num_key_value_heads", 32).or_null(),
        Key::size("head_dim", 128),
        Key::word("hidden_act", "silu"),
        Key::size("max_position_embeddings", 32768),
        Key::flag("tie_word_embeddings", false),
        Key::flag("attention_bias", false),
        Key::probability("attention_dropout", 0.0),
        Key::size("sliding_window", 4096).or_null(),
        Key::flag("use_sliding_window", false),
        Key::count("max_window_layers", 28),
    ],
    read: |keys| {
        let mut config = block::read(DecoderFamily::Qwen3, keys)?;
        config.sliding_windows = windows::by_layer(keys, config.num_hidden_layers)?;
        Ok(Config::Decoder(config))
    },
    job: JobDefaults::TRANSFORMERS,
};
