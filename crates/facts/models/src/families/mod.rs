//! The simulated families: one file for each, one line for each in the list below.
//!
//! A family's file declares the keys that its config class in transformers 5.23 reads
//! (models/*/configuration_*.py), with their defaults, and what follows from them.

pub(crate) mod block;
pub(crate) mod rope;
pub(crate) mod windows;

use brimful_programs::CAUSAL_LM;

use crate::keys::{Key, Keys};
use crate::{Config, Fault, JobDefaults};

/// A family: transformers' names for it, the keys of its config class, and what follows from them.
pub(crate) struct Family {
    /// transformers' `model_type`.
    pub model_type: &'static str,
    /// The class of its causal language model; its name without the ending is that of the family's classes.
    pub causal_lm: &'static str,
    /// The keys that its config class reads.
    pub keys: &'static [Key],
    /// The numbers that follow from the keys.
    pub read: fn(Keys) -> Result<Config, Fault>,
    /// What the family answers to keys that a job leaves out.
    pub job: JobDefaults,
}

/// Writes the modules, [`DecoderFamily`] and [`FAMILIES`] from one list.
macro_rules! families {
    (
        decoders { $($module:ident: $decoder:ident,)* }
        others { $($other:ident,)* }
    ) => {
        $(pub(crate) mod $module;)*
        $(pub(crate) mod $other;)*

        /// The family of a [`DecoderConfig`](crate::DecoderConfig): the same block with small differences.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum DecoderFamily {
            $($decoder,)*
        }

        /// Every simulated family.
        pub(crate) const FAMILIES: &[&Family] = &[$(&$module::FAMILY,)* $(&$other::FAMILY,)*];
    };
}

families! {
    decoders {
        llama: Llama,
        mistral: Mistral,
        qwen2: Qwen2,
        qwen3: Qwen3,
        gemma2: Gemma2,
    }
    others {
        gpt2,
    }
}

/// The class of a family's causal language model, such as `LlamaForCausalLM`; `None` if the family is not simulated.
pub fn causal_lm_class(model_type: &str) -> Option<&'static str> {
    let by_hand =
        FAMILIES.iter().find(|family| family.model_type == model_type).map(|family| family.causal_lm);
    by_hand.or_else(|| brimful_programs::proven_class(model_type, CAUSAL_LM))
}

/// transformers' `model_type` of every simulated family: those that are written by hand, then those whose class was recorded.
pub fn simulated_families() -> impl Iterator<Item = &'static str> {
    let by_hand = |model_type: &str| FAMILIES.iter().any(|family| family.model_type == model_type);
    let recorded = brimful_programs::proven_types().filter(move |model_type| !by_hand(model_type));
    FAMILIES.iter().map(|family| family.model_type).chain(recorded)
}
