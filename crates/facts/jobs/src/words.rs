//! The words of the job file that stand for variants of an enum, each written once.

use brimful_models::AttentionKernel;

use crate::parallel::ShardKind;
use crate::run::CacheKind;
use crate::{AttentionMask, Checkpointing, FourBitType, Precision, Task, TrainingLoop};

/// An enum whose variants have words in the job file.
pub trait Words: Copy + 'static {
    /// Every variant, in the order in which messages list the words.
    const ALL: &'static [Self];
    /// The words in the same order.
    const WORDS: &'static [&'static str];

    /// The word of a variant.
    fn word(self) -> &'static str;

    /// The variant that a word stands for; `None` if it stands for none.
    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|variant| variant.word() == word)
    }
}

/// Writes [`Words`] for an enum. The `match` makes the compiler ask for the word of a new variant.
macro_rules! words {
    ($kind:ident { $($word:literal => $variant:ident),* $(,)? }) => {
        impl Words for $kind {
            const ALL: &'static [Self] = &[$($kind::$variant),*];
            const WORDS: &'static [&'static str] = &[$($word),*];

            fn word(self) -> &'static str {
                match self {
                    $($kind::$variant => $word),*
                }
            }
        }
    };
}

words!(Task {
    "causal-lm" => CausalLm,
    "masked-lm" => MaskedLm,
    "sequence-classification" => SequenceClassification,
    "token-classification" => TokenClassification,
    "question-answering" => QuestionAnswering,
    "seq2seq" => Seq2Seq,
    "speech-seq2seq" => SpeechSeq2Seq,
    "image-classification" => ImageClassification,
    "image-text" => ImageText,
    "denoising" => Denoising,
});
words!(Precision {
    "bf16" => Bf16,
    "fp16" => Fp16,
    "fp32" => Fp32,
    "amp-bf16" => AmpBf16,
    "amp-fp16" => AmpFp16,
    "bf16-autocast" => Bf16Autocast,
});
words!(TrainingLoop { "plain" => Plain, "trainer" => Trainer });
words!(FourBitType { "nf4" => Nf4, "fp4" => Fp4 });
words!(ShardKind { "none" => None, "ddp" => Ddp, "fsdp2" => Fsdp2 });
words!(AttentionKernel { "sdpa" => Sdpa, "eager" => Eager, "flash" => Flash });
words!(AttentionMask { "none" => None, "ones" => Ones, "padded" => Padded });
words!(Checkpointing { "none" => None, "reentrant" => Reentrant, "non-reentrant" => NonReentrant });
words!(CacheKind { "dynamic" => Dynamic, "static" => Static, "none" => None });

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back<W: Words + PartialEq + std::fmt::Debug>() {
        for (variant, word) in W::ALL.iter().zip(W::WORDS) {
            assert_eq!(W::of_word(word), Some(*variant));
        }
    }

    #[test]
    fn every_word_is_read_as_the_variant_that_prints_it() {
        read_back::<Task>();
        read_back::<Precision>();
        read_back::<AttentionKernel>();
        read_back::<AttentionMask>();
        read_back::<Checkpointing>();
        read_back::<CacheKind>();
    }
}
