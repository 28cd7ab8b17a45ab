//! Values as people write them, as values of the job file.

use serde_json::{Map, Number, Value};

use super::{Key, Kind, keys_of};

/// Values that mean what the job file writes otherwise: what people write, in lower case, and the job's.
pub type Spellings = &'static [(&'static str, &'static str)];

pub(super) const CHECKPOINTING: Spellings = &[
    // transformers' Trainer: gradient_checkpointing=True is non-reentrant (training_args.py, 5.23).
    ("true", "non-reentrant"),
    ("on", "non-reentrant"),
    ("yes", "non-reentrant"),
    ("full", "non-reentrant"),
    ("false", "none"),
    ("off", "none"),
    ("no", "none"),
    ("non_reentrant", "non-reentrant"),
];

pub(super) const PRECISION: Spellings = &[
    ("bfloat16", "bf16"),
    ("torch.bfloat16", "bf16"),
    ("bf16-true", "bf16"),
    ("float16", "fp16"),
    ("torch.float16", "fp16"),
    ("half", "fp16"),
    ("16-true", "fp16"),
    ("float32", "fp32"),
    ("torch.float32", "fp32"),
    ("32-true", "fp32"),
    ("bf16-mixed", "amp-bf16"),
    ("mixed-bf16", "amp-bf16"),
    ("16-mixed", "amp-fp16"),
    ("fp16-mixed", "amp-fp16"),
];

pub(super) const ATTENTION: Spellings = &[
    ("flash_attention_2", "flash"),
    ("flash-attention-2", "flash"),
    ("flash_attention_3", "flash"),
    ("flash_attention", "flash"),
    ("flash-attn", "flash"),
    ("flash2", "flash"),
    ("fa2", "flash"),
];

/// Short names of bitsandbytes' weights; what they do not say has transformers' default.
pub(super) const QUANTIZATION: Spellings = &[
    ("4bit", r#"{"load_in_4bit": true}"#),
    ("8bit", r#"{"load_in_8bit": true}"#),
    ("int8", r#"{"load_in_8bit": true}"#),
    ("nf4", r#"{"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}"#),
    ("fp4", r#"{"load_in_4bit": true, "bnb_4bit_quant_type": "fp4"}"#),
];

const ADAMW_8BIT: &str = r#"{"name": "AdamW8bit", "library": "bitsandbytes"}"#;

/// transformers' names of optimizers (`OptimizerNames` in transformers/training_args.py, 5.23), and torch's in other cases.
pub(super) const OPTIMIZER: Spellings = &[
    ("adamw", r#"{"name": "AdamW"}"#),
    ("adamw_torch", r#"{"name": "AdamW"}"#),
    ("adamw_torch_fused", r#"{"name": "AdamW", "fused": true}"#),
    ("adamw_hf", r#"{"name": "AdamW"}"#),
    ("adamw_bnb_8bit", ADAMW_8BIT),
    ("adamw_8bit", ADAMW_8BIT),
    ("adamw8bit", ADAMW_8BIT),
    ("paged_adamw_8bit", r#"{"name": "PagedAdamW8bit", "library": "bitsandbytes"}"#),
    ("paged_adamw_32bit", r#"{"name": "PagedAdamW32bit", "library": "bitsandbytes"}"#),
    ("paged_adamw", r#"{"name": "PagedAdamW32bit", "library": "bitsandbytes"}"#),
    ("lion_8bit", r#"{"name": "Lion8bit", "library": "bitsandbytes"}"#),
    ("lion_32bit", r#"{"name": "Lion32bit", "library": "bitsandbytes"}"#),
    ("paged_lion_8bit", r#"{"name": "PagedLion8bit", "library": "bitsandbytes"}"#),
    ("paged_lion_32bit", r#"{"name": "PagedLion32bit", "library": "bitsandbytes"}"#),
    ("ademamix", r#"{"name": "AdEMAMix32bit", "library": "bitsandbytes"}"#),
    ("ademamix_8bit", r#"{"name": "AdEMAMix8bit", "library": "bitsandbytes"}"#),
    ("paged_ademamix_8bit", r#"{"name": "PagedAdEMAMix8bit", "library": "bitsandbytes"}"#),
    ("paged_ademamix_32bit", r#"{"name": "PagedAdEMAMix32bit", "library": "bitsandbytes"}"#),
    ("rmsprop_bnb", r#"{"name": "RMSprop32bit", "library": "bitsandbytes"}"#),
    ("rmsprop_bnb_8bit", r#"{"name": "RMSprop8bit", "library": "bitsandbytes"}"#),
    ("rmsprop_bnb_32bit", r#"{"name": "RMSprop32bit", "library": "bitsandbytes"}"#),
    ("adamw_torch_8bit", r#"{"name": "AdamW8bit", "library": "torchao"}"#),
    ("adamw_torch_4bit", r#"{"name": "AdamW4bit", "library": "torchao"}"#),
    ("nadam", r#"{"name": "NAdam"}"#),
    ("radam", r#"{"name": "RAdam"}"#),
    ("adamax", r#"{"name": "Adamax"}"#),
    ("adadelta", r#"{"name": "Adadelta"}"#),
    ("adam", r#"{"name": "Adam"}"#),
    // transformers' "adafactor" is its own class, which has other arguments than torch's Adafactor.
    ("adafactor", r#"{"name": "Adafactor", "library": "transformers"}"#),
    ("adagrad", r#"{"name": "Adagrad"}"#),
    ("rmsprop", r#"{"name": "RMSprop"}"#),
    ("sgd", r#"{"name": "SGD"}"#),
    ("false", "none"),
];

impl Key {
    /// The value that a person means: a word of another program, `32k`, `r=16,lora_alpha=32`.
    pub(crate) fn read(&self, typed: &str) -> Value {
        let lower = typed.trim().to_ascii_lowercase();
        let spelled = self.spelled.iter().find(|pair| pair.0 == lower && !self.is_a_class(typed));
        let text = spelled.map_or(typed, |pair| pair.1);
        let parsed = || serde_json::from_str(text).ok();
        match self.kind {
            // "2.10" is a version and "24" a size: what is a text in the job file is no number in a flag.
            Kind::Text(_) => text.into(),
            // A table as pairs, where words stand for tables, too: `load_in_4bit=true,bnb_4bit_quant_type=nf4`.
            Kind::TextOrTable(_) if !self.spelled.is_empty() && text.contains('=') => {
                parsed().filter(Value::is_object).unwrap_or_else(|| self.pairs(text))
            }
            Kind::TextOrTable(_) => parsed().filter(Value::is_object).unwrap_or_else(|| text.into()),
            Kind::Count { .. } => parsed().or_else(|| thousands(&lower)).unwrap_or_else(|| text.into()),
            Kind::Table => parsed().map_or_else(|| self.pairs(text), |value| self.in_short(value)),
            _ => parsed().unwrap_or_else(|| text.into()),
        }
    }

    /// Whether a text is a value of the key. A command line then knows that it is no argument of its own.
    ///
    /// ```
    /// let (_, checkpointing) = brimful_jobs::flags().find(|(flag, _)| *flag == "checkpointing").unwrap();
    /// assert!(checkpointing.takes("true") && checkpointing.takes("reentrant"));
    /// assert!(!checkpointing.takes("llama-3-8b"));
    /// ```
    pub fn takes(&self, typed: &str) -> bool {
        match (self.read(typed), self.kind) {
            (Value::String(word), Kind::Words(words)) => words.contains(&word.as_str()),
            (Value::String(_), kind) => matches!(kind, Kind::Text(_) | Kind::TextOrTable(_)),
            _ => true,
        }
    }

    /// Whether the text is a word of the job file already: "Adafactor" is torch's class, "adafactor" transformers' name.
    fn is_a_class(&self, typed: &str) -> bool {
        matches!(self.kind, Kind::TextOrTable(_)) && crate::optimizer::is_a_class(typed)
    }

    /// `16` and `true` in place of a table.
    fn in_short(&self, value: Value) -> Value {
        match (value, self.short) {
            (Value::Number(number), Some(key)) => table([(key.to_owned(), Value::Number(number))]),
            (Value::Bool(true), Some(_)) => table([]),
            (Value::Bool(false), Some(_)) => Value::Null,
            (other, _) => other,
        }
    }

    /// `r=16,lora_alpha=32` in place of a table; any other text as it is.
    fn pairs(&self, text: &str) -> Value {
        let section = self.paths().next().unwrap_or_default();
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let row = keys_of(&section).find(|row| row.is_called(name.trim()));
            let value = row.map_or_else(|| value.trim().into(), |row| row.read(value.trim()));
            Some((row.map_or(name.trim(), |row| row.name).to_owned(), value))
        };
        let pairs: Option<Vec<_>> = text.split(',').map(pair).collect();
        pairs.map_or_else(|| text.into(), table)
    }

    /// Whether a word is the name of the key, or another name of it; dashes and underscores are the same.
    pub(crate) fn is_called(&self, word: &str) -> bool {
        let same = |name: &str| {
            name.len() == word.len() && name.replace('-', "_").eq_ignore_ascii_case(&word.replace('-', "_"))
        };
        same(self.name) || self.also.iter().any(|name| same(name))
    }
}

fn table(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(Map::from_iter(pairs))
}

/// `32k` as 32768: contexts are named by powers of two.
fn thousands(lower: &str) -> Option<Value> {
    let count: u64 = lower.strip_suffix('k')?.parse().ok()?;
    count.checked_mul(1024).map(|count| Value::Number(Number::from(count)))
}
