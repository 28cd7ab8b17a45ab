//! How far a run had come: the last step that it printed.

use crate::pattern::Pattern;

/// Trainers' counters, and tqdm's bar of a whole run.
static STEP: Pattern = Pattern::constant(concat!(
    r"\b(?:global_|train_)?(?i:step|iter|iteration)\W{1,4}(\d{1,9})(?:\s*(?:/|of)\s*(\d{1,9}))?",
    r"|\|\s*(\d{1,9})/(\d{1,9})\s+\["
));

/// The words of bars that count other things than steps.
static NO_STEP: Pattern =
    Pattern::constant(r"(?i)shard|load|download|fetch|map\b|tokeniz|captur|compil|file|process");

/// Bytes kept before a counter, which name what it counts.
const TITLE: usize = 60;

/// The last step in a text: `120`, or `120 of 1000`.
pub(crate) fn last_step(text: &[u8]) -> Option<String> {
    let steps = STEP.captures_iter(text).filter(|found| {
        let at = found.range(0).map_or(0, |all| all.start);
        let line = memchr::memrchr2(b'\n', b'\r', &text[..at]).map_or(0, |end| end + 1);
        !NO_STEP.is_match(&text[line.max(at.saturating_sub(TITLE))..at])
    });
    let last = steps.last()?;
    let step = last.string(1).or_else(|| last.string(3))?;
    Some(match last.string(2).or_else(|| last.string(4)) {
        Some(of) => format!("{step} of {of}"),
        None => step,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_bars() {
        for (text, step) in [
            ("step=119 loss=2\nstep=120 loss=1\n", Some("120")),
            (" 12%|##     | 120/1000 [10:01<1:13:22,  5.00s/it]", Some("120 of 1000")),
            ("iteration 77/ 500000 | loss", Some("77 of 500000")),
            ("Loading checkpoint shards:  50%|#####     | 2/4 [00:01<00:01]", None),
            ("nothing", None),
        ] {
            assert_eq!(last_step(text.as_bytes()).as_deref(), step, "{text}");
        }
    }
}
