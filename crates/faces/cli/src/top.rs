//! `brimful top`: who uses the GPUs now?

use std::time::Instant;

use anyhow::Result;
use brimful_ask::{Answer, Outcome, Watcher};

use crate::args::TopArguments;
use crate::out::{print_next, show};

/// Looks once, or at every interval.
///
/// # Errors
/// A closed stream.
pub fn run(arguments: &TopArguments) -> Result<Outcome> {
    let mut watcher = Watcher::open(arguments.proc.clone());
    let Some(interval) = arguments.watch else {
        return show(&watcher.look(), arguments.json);
    };
    let mut worst = Outcome::Well;
    let mut next = Instant::now();
    for _ in 0..arguments.count.unwrap_or(u64::MAX) {
        // After a pause of the machine, the looks that were missed are not made up for.
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next = next.max(Instant::now() - interval) + interval;
        let look = watcher.look();
        worst = worst.max(look.outcome());
        let text = if arguments.json { look.json() } else { look.line() };
        if !print_next(&text, arguments.json)? {
            break;
        }
    }
    Ok(worst)
}
