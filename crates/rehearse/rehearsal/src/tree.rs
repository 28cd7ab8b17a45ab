//! The processes that descend from this one.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Every process that descends from this one, the command's children in other sessions included.
///
/// Orphans of a command are adopted by the nearest subreaper, which [`crate::launch`] made this process.
pub(crate) fn descendants() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (process, parent) in all() {
        children.entry(parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut open = vec![own];
    while let Some(parent) = open.pop() {
        let born = children.remove(&parent).unwrap_or_default();
        found.extend(born.iter().filter_map(|process| Pid::from_raw(*process)));
        open.extend(born);
    }
    found
}

/// Sends a signal to every descendant.
pub(crate) fn signal_all(signal: Signal) {
    for process in descendants() {
        // One that has just ended needs no signal.
        let _ = kill_process(process, signal);
    }
}

/// Processes with their parents.
fn all() -> impl Iterator<Item = (i32, i32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let about = fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((process, parent(&about)?))
    })
}

/// The parent in a line of `/proc/PID/stat`; the program's name before it may hold blanks and brackets.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parent;

    #[test]
    fn the_parent_stands_behind_any_name() {
        assert_eq!(parent("12 (a (b) c) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent("12 (a"), None);
    }
}
