//! `Gemma2Config` (models/gemma2/configuration_gemma2.py).

use super::{DecoderFamily, Family, block, windows};
use crate::keys::{Key, Keys};
use crate::{AttentionKernel, Config, DecoderConfig, Fault, JobDefaults};

pub(crate) const FAMILY: Family = Family {
    model_type: "gemma2",
    causal_lm: "Gemma2ForCausalLM",
    keys: &[
        Key::size("vocab_size", 256_000),
        Key::size("hidden_size", 2304),
        Key::size("intermediate_size", 9216),
        Key::layers("num_hidden_layers", 26),
        Key::size("num_attention_heads", 8),
        Key::size("num_key_value_heads", 4),
        Key::size("head_dim", 256),
        // Published files have `hidden_act`, too, which no class of the family reads.
        Key::word("hidden_activation", "gelu_pytorch_tanh"),
        Key::size("max_position_embeddings", 8192),
        Key::flag("tie_word_embeddings", true),
        Key::flag("attention_bias", false),
        Key::probability("attention_dropout", 0.0).or_null(),
        Key::size("sliding_window", 4096).or_null(),
        Key::float("attn_logit_softcapping", 50.0).or_null(),
        Key::float("final_logit_softcapping", 30.0).or_null(),
    ],
    read: |keys| read(keys).map(Config::Decoder),
    job: JobDefaults {
        attention: AttentionKernel::Eager,
        attention_why: "Gemma 2 has no sdpa in transformers, because sdpa has no softcapping",
        sdpa: false,
        ..JobDefaults::TRANSFORMERS
    },
};

fn read(keys: Keys) -> Result<DecoderConfig, Fault> {
    // `Gemma2Config.validate_architecture` refuses this although `head_dim` does not follow from it.
    block::refuse_uneven_heads(keys)?;
    let mut config = block::read(DecoderFamily::Gemma2, keys)?;
    // `Gemma2Model.forward` makes the mask of the window for every model, and transformers refuses one without a window.
    let window = keys.optional_size("sliding_window")?.ok_or_else(|| {
        Fault::value("sliding_window", "null", "Gemma 2 makes a mask with a window in every forward")
    })?;
    config.sliding_windows = windows::alternating(keys, config.num_hidden_layers, window)?;
    config.mask_window = Some(window);
    Ok(config)
}
