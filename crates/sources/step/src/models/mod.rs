//! The model families, in the vocabulary and order of their reference implementations
//! (transformers 5.23, src/transformers/models).

mod attention;
mod block;
mod cache;
mod causal_lm;
mod decoder;
mod gpt2;
mod llama;
mod loss;
mod mask;
mod mistral;
mod qwen2;
mod qwen3;
mod rotary;

use brimful_jobs::{AttentionKernel, AttentionMask};
use brimful_models::{Config, DecoderFamily};

use crate::nn::Builder;
use crate::tensor::Tensor;

pub(crate) use cache::Cache;

/// What a forward is given.
pub(crate) struct Inputs<'a> {
    pub input_ids: &'a Tensor,
    pub attention_mask: Option<&'a Tensor>,
    pub labels: Option<&'a Tensor>,
    /// Positions that get logits; `None` for all.
    pub logits_to_keep: Option<u64>,
}

/// What a forward gives back (`CausalLMOutputWithPast`); it lets go in this order.
pub(crate) struct Outputs {
    pub loss: Option<Tensor>,
    #[expect(dead_code, reason = "held for its drop")]
    pub logits: Tensor,
    /// A cache that the model made by itself; it goes after the logits.
    #[expect(dead_code, reason = "held for its drop")]
    pub cache: Option<Cache>,
}

/// How a model runs; the same for every forward.
#[derive(Clone, Debug)]
pub(crate) struct Mode {
    pub attention: AttentionKernel,
    pub attention_mask: AttentionMask,
    pub training: bool,
    pub use_cache: bool,
}

/// A causal language model.
pub(crate) trait CausalLm {
    fn forward(&self, inputs: &Inputs<'_>, mode: &Mode, cache: Option<&mut Cache>) -> Outputs;

    /// The attention window of each block, for the cache; `None` where a block sees everything.
    fn windows(&self) -> Vec<Option<u64>>;
}

/// Builds the model on the device.
pub(crate) fn build(config: &Config, builder: &Builder) -> Box<dyn CausalLm> {
    let config = match config {
        Config::Gpt2(config) => return Box::new(gpt2::for_causal_lm(config, builder)),
        Config::Decoder(config) => config,
    };
    let variation = match config.family {
        DecoderFamily::Llama => llama::VARIATION,
        DecoderFamily::Mistral => mistral::VARIATION,
        DecoderFamily::Qwen2 => qwen2::VARIATION,
        DecoderFamily::Qwen3 => qwen3::VARIATION,
    };
    Box::new(decoder::for_causal_lm(config, builder, &variation))
}

#[cfg(test)]
mod tests {
    use brimful_jobs::Precision;
    use brimful_models::ConfigFile;
    use brimful_trace::{Category, Event};

    use super::*;
    use crate::device::{Device, Properties};

    /// Module and shape of every parameter that is there when the model is built, in the order of its constructor.
    fn built(config: &Config) -> Vec<(String, String)> {
        let device = Device::new(Properties { compute_capability: (8, 0), multiprocessors: 108 });
        let _model = build(config, &Builder::new(&device, Precision::Bf16));
        device.end();
        let trace = device.finish().unwrap();
        let freed: Vec<_> =
            trace.events().filter_map(|e| if let Event::Free(id) = e { Some(id) } else { None }).collect();
        let parameters = trace
            .allocations
            .ids()
            .filter(|id| trace.allocations.category(*id) == Category::Parameter && !freed.contains(id));
        let row = |id| {
            let module = trace.contexts.get(trace.allocations.get(id).context).module;
            (trace.contexts.str(module).to_owned(), trace.tensor(id).unwrap().shape.to_string())
        };
        parameters.map(row).collect()
    }

    #[test]
    fn a_model_is_built_of_the_parameters_that_its_config_says() {
        let sizes =
            r#""num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 99"#;
        for (model_type, more) in [
            ("llama", ""),
            ("llama", r#", "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true"#),
            ("mistral", r#", "num_key_value_heads": 2"#),
            ("qwen2", r#", "num_key_value_heads": 1"#),
            ("qwen3", r#", "head_dim": 24, "num_key_value_heads": 4, "tie_word_embeddings": true"#),
            ("gpt2", ""),
            ("gpt2", r#", "tie_word_embeddings": false"#),
        ] {
            let text = format!(r#"{{"model_type": "{model_type}", {sizes}{more}}}"#);
            let config = ConfigFile::from_json(&text).unwrap_or_else(|e| panic!("{text}: {e}")).config;
            let said = config
                .parameter_tensors()
                .into_iter()
                .map(|(name, shape)| (name.rsplit_once('.').unwrap().0.to_owned(), shape.to_string()));
            assert_eq!(built(&config), said.collect::<Vec<_>>(), "{text}");
        }
    }
}
