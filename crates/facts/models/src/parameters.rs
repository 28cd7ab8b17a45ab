//! The parameters of every family, by name and shape. This is the one declaration: what counts parameters reads it, and so
//! do the constructors in `brimful-step`, which take from it the shapes and whether a bias, a norm or a head is there.

use brimful_units::Shape;

use crate::{Config, DecoderConfig, DecoderFamily, Fault, Gpt2Config};

/// The most parameters a model may have: 2^50, a thousand times the largest known.
const MOST_PARAMETERS: u128 = 1 << 50;

impl Config {
    /// Rows of the token embedding.
    pub fn vocab_size(&self) -> u64 {
        match self {
            Config::Decoder(c) => c.vocab_size,
            Config::Gpt2(c) => c.vocab_size,
            Config::Recorded(c) => c.number("vocab_size").unwrap_or(0),
        }
    }

    /// Number of blocks.
    pub fn layers(&self) -> u64 {
        match self {
            Config::Decoder(c) => c.num_hidden_layers,
            Config::Gpt2(c) => c.n_layer,
            Config::Recorded(c) => c.layers(),
        }
    }

    /// The longest sequence the model has positions for.
    pub fn max_positions(&self) -> u64 {
        match self {
            Config::Decoder(c) => c.max_position_embeddings,
            Config::Gpt2(c) => c.n_positions,
            Config::Recorded(c) => {
                let rotary = || c.number("max_position_embeddings");
                c.learned_positions.or_else(rotary).unwrap_or(u64::MAX)
            }
        }
    }

    /// Whether a parameter is the weight of a Linear (GPT-2: of a `Conv1D`), which an adapter can be put on.
    pub fn is_linear(&self, name: &str, shape: &Shape) -> bool {
        let table = |name: &str| {
            ["embed_tokens.weight", "wte.weight", "wpe.weight"].iter().any(|table| name.ends_with(table))
        };
        match self {
            Config::Decoder(_) | Config::Gpt2(_) => {
                name.ends_with(".weight") && shape.rank() == 2 && !table(name)
            }
            Config::Recorded(recorded) => {
                name.strip_suffix(".weight").is_some_and(|path| recorded.linears.iter().any(|it| it == path))
            }
        }
    }

    /// The number of parameters, tied ones counted once.
    ///
    /// ```
    /// use brimful_models::ConfigFile;
    /// let llama = ConfigFile::from_json(r#"{"model_type": "llama"}"#).unwrap();
    /// assert_eq!(llama.config.parameter_count(), 6_738_415_616); // Llama-2-7B is the class's default
    /// ```
    pub fn parameter_count(&self) -> u64 {
        // Cannot fail: a configuration with more parameters is refused when it is read.
        u64::try_from(self.total()).expect("a Config has at most 2^50 parameters: `check_total`")
    }

    /// The parameters in the order of `named_parameters()`, tied ones once; shapes in elements.
    pub fn parameter_tensors(&self) -> Vec<(String, Shape)> {
        if let Config::Recorded(recorded) = self {
            return recorded.parameters.clone();
        }
        let mut all = before(self);
        let block = block(self);
        for at in 0..self.layers() {
            let prefix = match self {
                Config::Decoder(_) | Config::Recorded(_) => format!("model.layers.{at}."),
                Config::Gpt2(_) => format!("transformer.h.{at}."),
            };
            all.extend(block.iter().map(|(name, shape)| ([prefix.as_str(), name].concat(), shape.clone())));
        }
        all.extend(after(self));
        all
    }

    /// The parameters that the model's class does not train, by path.
    pub fn frozen_parameters(&self) -> &[String] {
        match self {
            Config::Recorded(recorded) => &recorded.frozen,
            Config::Decoder(_) | Config::Gpt2(_) => &[],
        }
    }

    /// The elements of [`Config::frozen_parameters`].
    pub fn frozen_parameter_count(&self) -> u64 {
        let frozen = self.frozen_parameters();
        if frozen.is_empty() {
            return 0;
        }
        let all = self.parameter_tensors();
        let sizes =
            all.iter().filter(|(path, _)| frozen.contains(path)).filter_map(|(_, shape)| shape.numel().ok());
        sizes.fold(0, u64::saturating_add)
    }

    /// Refuses models whose sizes multiply to more than [`MOST_PARAMETERS`].
    pub(crate) fn check_total(&self) -> Result<(), Fault> {
        let total = self.total();
        if total <= MOST_PARAMETERS {
            return Ok(());
        }
        let expected =
            "at most 2^50 are simulated; look at the layers, the vocabulary and the widths".to_owned();
        Err(Fault::Value { key: "the number of parameters".into(), value: total.to_string(), expected })
    }

    fn total(&self) -> u128 {
        let add = |sum: u128, (_, shape): &(String, Shape)| sum.saturating_add(numel(shape));
        let sum = |tensors: Vec<(String, Shape)>| tensors.iter().fold(0, add);
        if let Config::Recorded(recorded) = self {
            return sum(recorded.parameters.clone());
        }
        sum(before(self))
            .saturating_add(sum(after(self)))
            .saturating_add(sum(block(self)).saturating_mul(u128::from(self.layers())))
    }
}

/// Elements of a shape; more than 2^128 count as so many.
fn numel(shape: &Shape) -> u128 {
    shape.dims().iter().fold(1u128, |n, d| n.saturating_mul(u128::from(*d)))
}

fn named<const N: usize>(name: &str, dims: [u64; N]) -> (String, Shape) {
    (name.to_owned(), Shape::from(dims))
}

/// What stands before the blocks.
fn before(config: &Config) -> Vec<(String, Shape)> {
    match config {
        Config::Decoder(c) => vec![named("model.embed_tokens.weight", [c.vocab_size, c.hidden_size])],
        Config::Gpt2(c) => vec![
            named("transformer.wte.weight", [c.vocab_size, c.n_embd]),
            named("transformer.wpe.weight", [c.n_positions, c.n_embd]),
        ],
        // A recorded class has its parameters in one list.
        Config::Recorded(_) => Vec::new(),
    }
}

/// What stands after the blocks.
fn after(config: &Config) -> Vec<(String, Shape)> {
    let (mut tensors, head, tied) = match config {
        Config::Decoder(c) => (
            vec![named("model.norm.weight", [c.hidden_size])],
            named("lm_head.weight", [c.vocab_size, c.hidden_size]),
            c.tie_word_embeddings,
        ),
        Config::Gpt2(c) => (
            vec![named("transformer.ln_f.weight", [c.n_embd]), named("transformer.ln_f.bias", [c.n_embd])],
            named("lm_head.weight", [c.vocab_size, c.n_embd]),
            c.tie_word_embeddings,
        ),
        Config::Recorded(_) => return Vec::new(),
    };
    if !tied {
        tensors.push(head);
    }
    tensors
}

/// One block; names without the block's prefix.
fn block(config: &Config) -> Vec<(String, Shape)> {
    match config {
        Config::Decoder(c) => decoder_block(c),
        Config::Gpt2(c) => gpt2_block(c),
        Config::Recorded(_) => Vec::new(),
    }
}

/// transformers/models/{llama,mistral,qwen2,qwen3,gemma2}/modeling_*.py: `…DecoderLayer`.
fn decoder_block(c: &DecoderConfig) -> Vec<(String, Shape)> {
    let queries = c.num_attention_heads.saturating_mul(c.head_dim);
    let keys = c.num_key_value_heads.saturating_mul(c.head_dim);
    let (hidden, inner) = (c.hidden_size, c.intermediate_size);
    let mut tensors = Vec::new();
    let mut linear = |name: &str, out: u64, width: u64, bias: bool| {
        tensors.push((format!("{name}.weight"), Shape::from([out, width])));
        if bias {
            tensors.push((format!("{name}.bias"), Shape::from([out])));
        }
    };
    linear("self_attn.q_proj", queries, hidden, c.qkv_bias);
    linear("self_attn.k_proj", keys, hidden, c.qkv_bias);
    linear("self_attn.v_proj", keys, hidden, c.qkv_bias);
    linear("self_attn.o_proj", hidden, queries, c.o_bias);
    if c.family == DecoderFamily::Qwen3 {
        tensors.push(named("self_attn.q_norm.weight", [c.head_dim]));
        tensors.push(named("self_attn.k_norm.weight", [c.head_dim]));
    }
    let mut linear = |name: &str, out: u64, width: u64| {
        tensors.push((format!("mlp.{name}.weight"), Shape::from([out, width])));
        if c.mlp_bias {
            tensors.push((format!("mlp.{name}.bias"), Shape::from([out])));
        }
    };
    linear("gate_proj", inner, hidden);
    linear("up_proj", inner, hidden);
    linear("down_proj", hidden, inner);
    tensors.push(named("input_layernorm.weight", [hidden]));
    tensors.push(named("post_attention_layernorm.weight", [hidden]));
    if c.family == DecoderFamily::Gemma2 {
        tensors.push(named("pre_feedforward_layernorm.weight", [hidden]));
        tensors.push(named("post_feedforward_layernorm.weight", [hidden]));
    }
    tensors
}

/// transformers/models/gpt2/modeling_gpt2.py `GPT2Block`; `Conv1D` weights are [in, out].
fn gpt2_block(c: &Gpt2Config) -> Vec<(String, Shape)> {
    let (width, inner) = (c.n_embd, c.n_inner);
    let mut tensors = Vec::new();
    let mut norm_or_conv = |name: &str, weight: Shape, out: u64| {
        tensors.push((format!("{name}.weight"), weight));
        tensors.push((format!("{name}.bias"), Shape::from([out])));
    };
    norm_or_conv("ln_1", Shape::from([width]), width);
    norm_or_conv("attn.c_attn", Shape::from([width, 3 * width]), 3 * width);
    norm_or_conv("attn.c_proj", Shape::from([width, width]), width);
    norm_or_conv("ln_2", Shape::from([width]), width);
    norm_or_conv("mlp.c_fc", Shape::from([width, inner]), inner);
    norm_or_conv("mlp.c_proj", Shape::from([inner, width]), width);
    tensors
}
