//! `attention_mask`: which tasks have one, and of what.

use crate::section::Section;
use crate::words::Words;
use crate::{AttentionMask, JobFault, Task};

/// Why a job about speech has no tokens but those of its targets.
pub(crate) const OF_SPEECH: &str =
    "the task speech-seq2seq reads speech, which is as long as the model's `max_source_positions` says";

/// The mask of the batch's padding. Images and speech have none, and texts beside images are simulated without one.
pub(crate) fn attention_mask(section: &Section, task: Task) -> Result<AttentionMask, JobFault> {
    if !task.reads_images() && !task.reads_speech() {
        return section.word("attention_mask");
    }
    match section.given_word("attention_mask") {
        None | Some(AttentionMask::None) => Ok(AttentionMask::None),
        Some(mask) if task.reads_text() => {
            let expected = format!("the task {} is simulated without a mask; leave it out", task.word());
            Err(section.bad("attention_mask", mask.word(), expected))
        }
        Some(mask) if task.reads_speech() => Err(section.bad(
            "attention_mask",
            mask.word(),
            format!("{OF_SPEECH}, and has no mask; leave it out"),
        )),
        Some(mask) => Err(section.bad(
            "attention_mask",
            mask.word(),
            format!("{} and no mask; leave it out", no_tokens(task)),
        )),
    }
}

/// The mask of a prompt that is continued, which is none.
pub(crate) fn unpadded(section: &Section) -> Result<AttentionMask, JobFault> {
    match section.get("attention_mask") {
        Some(value) if section.word::<AttentionMask>("attention_mask")? != AttentionMask::None => {
            Err(section.not_simulated("attention_mask", value, "generation without padding is simulated"))
        }
        _ => Ok(AttentionMask::None),
    }
}

/// Why a job about images has no tokens.
pub(crate) fn no_tokens(task: Task) -> String {
    format!("the task {} reads images, which have no tokens", task.word())
}
