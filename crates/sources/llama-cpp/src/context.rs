//! The sizes of a context, from the settings and the model; `llama_context`, src/llama-context.cpp, v0.5.0.

use crate::hparams::Hparams;
use crate::{Error, Settings};

/// llama.cpp's most sequences (`LLAMA_MAX_SEQ`).
const MOST_SEQUENCES: u32 = 256;
/// A longer context is a slip of the finger, and no product of two sizes overflows below it.
const LONGEST: u64 = 1 << 28;

/// The same of a batch.
const LARGEST_BATCH: u32 = 1 << 20;

/// The sizes of a context.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Tokens over all sequences.
    pub tokens: u64,
    pub of_sequence: u64,
    pub sequences: u64,
    pub ubatch: u64,
    pub outputs: u64,
}

impl Context {
    pub(crate) fn new(hparams: &Hparams, settings: &Settings) -> Result<Self, Error> {
        let refuse = |key, found: u64, reason: &str| {
            Err(Error::Setting { key, found: found.to_string(), reason: reason.into() })
        };
        if settings.parallel > MOST_SEQUENCES {
            return refuse("parallel", settings.parallel.into(), "llama.cpp allows at most 256 sequences");
        }
        let sequences = u64::from(settings.parallel.max(1));
        let asked = if settings.ctx_size == 0 { hparams.context } else { settings.ctx_size.into() };
        if asked > LONGEST {
            return refuse("ctx-size", asked, "a context of more than 268435456 tokens is not supported");
        }
        if settings.batch_size > LARGEST_BATCH || settings.ubatch_size > LARGEST_BATCH {
            let found = settings.batch_size.max(settings.ubatch_size).into();
            return refuse("batch-size", found, "a batch of more than 1048576 tokens is not supported");
        }
        if settings.batch_size == 0 {
            return refuse("batch-size", 0, "a batch has at least 1 token");
        }
        // A causal model never gets a batch that is larger than the context, before it is padded.
        let batch = asked.min(settings.batch_size.into());
        let ubatch = if settings.ubatch_size == 0 || settings.embeddings {
            settings.batch_size
        } else {
            settings.ubatch_size
        };
        let ubatch = batch.min(ubatch.into());
        let outputs = if settings.n_outputs_max == 0 { batch } else { settings.n_outputs_max.into() };
        let padded = asked.next_multiple_of(256);
        let of_sequence =
            if settings.kv_unified { padded } else { (padded / sequences).next_multiple_of(256) };
        if of_sequence == 0 {
            return refuse("ctx-size", asked, "each slot needs at least 1 token");
        }
        let tokens = if settings.kv_unified { padded } else { of_sequence * sequences };
        Ok(Context { tokens, of_sequence, sequences, ubatch, outputs })
    }

    /// Tokens of the largest graph, a multiple of the sequences.
    pub fn tokens_of_graph(&self) -> u64 {
        self.tokens.min(self.ubatch).next_multiple_of(self.sequences)
    }

    /// Outputs of the largest graph.
    pub fn outputs_of_graph(&self) -> u64 {
        self.tokens.min(self.ubatch).min(self.outputs).max(1)
    }
}
