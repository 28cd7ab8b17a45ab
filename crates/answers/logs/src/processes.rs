//! Who else holds the card: the processes that a message or a table of `nvidia-smi` names.

use brimful_units::Bytes;

use crate::Process;
use crate::parse::size;
use crate::pattern::Pattern;

/// No more processes than this are read from a text.
const MOST: usize = 256;

/// PyTorch's sentences (`Process 20398 has 14.52 GiB memory in use.`).
pub(crate) fn in_message(text: &[u8]) -> Vec<Process> {
    static SENTENCE: Pattern =
        Pattern::constant(r"\bProcess\s+(\d{1,9})\s+has\s+(\d[\d.,]*\s+\w+)\s+memory\s+in\s+use");
    read(&SENTENCE, text)
}

/// Rows of `nvidia-smi` (`|    0   N/A  N/A      1234      C   python      5144MiB |`) and of tables with
/// nothing but a process and its memory.
pub(crate) fn in_table(text: &[u8]) -> Vec<Process> {
    static ROW: Pattern = Pattern::constant(
        r"(?m)^\W*(?:\d{1,3}\s+(?:\S+\s+\S+\s+)?)?(\d{2,9})\s+(?:[CGM+]{1,4}\s+[^\n]{1,200}?\s+)?(\d+\s?MiB)\W*$",
    );
    read(&ROW, text)
}

fn read(pattern: &Pattern, text: &[u8]) -> Vec<Process> {
    let found = pattern.captures_iter(text).filter_map(|row| {
        let in_use = u64::try_from(size(&row.string(2)?, "")?).ok()?;
        Some(Process { pid: row.string(1)?.parse().ok()?, in_use: Bytes::new(in_use) })
    });
    let mut processes: Vec<Process> = Vec::new();
    for process in found.take(MOST) {
        if !processes.iter().any(|other| other.pid == process.pid) {
            processes.push(process);
        }
    }
    processes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_kinds() {
        let table = b"|    0   N/A  N/A      1234      C   python train.py             5144MiB |\n3794364   2070MiB\n";
        let found = in_table(table);
        assert_eq!(
            found.iter().map(|p| (p.pid, p.in_use)).collect::<Vec<_>>(),
            [(1234, Bytes::mib(5144)), (3_794_364, Bytes::mib(2070)),]
        );
    }

    #[test]
    fn sentences() {
        let found =
            in_message(b"Process 20398 has 14.50 GiB memory in use. Process 7 has 1.00 MiB memory in use.");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].in_use, Bytes::mib(1));
    }
}
