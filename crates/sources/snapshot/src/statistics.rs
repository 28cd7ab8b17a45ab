//! The lesser sources: what `torch.cuda.memory_stats()` and `memory_summary()` say, amounts without events.

use brimful_units::Bytes;
use serde_json::Value;

/// An amount now and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// When the statistics were taken.
    pub now: Bytes,
    /// The largest so far.
    pub peak: Bytes,
}

/// Which of the two was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsForm {
    /// `torch.cuda.memory_stats()` as JSON: exact.
    Stats,
    /// The table of `torch.cuda.memory_summary()`: rounded down.
    Summary,
}

/// PyTorch's statistics of one GPU; what is not in them is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Where they are from.
    pub form: StatisticsForm,
    /// Sizes asked of the allocator.
    pub requested: Option<Amount>,
    /// Sizes of the blocks that were handed out.
    pub allocated: Option<Amount>,
    /// Those, and blocks that wait for another stream.
    pub active: Option<Amount>,
    /// Segments taken from the device.
    pub reserved: Option<Amount>,
    /// Free in segments with blocks in them (`inactive_split_bytes`, "Non-releasable memory").
    pub stranded: Option<Amount>,
    /// How often cached memory was given back to make room.
    pub retries: Option<u64>,
    /// How often a request failed.
    pub ooms: Option<u64>,
    /// How much more each amount can be than it says: the table rounds down.
    pub margin: Bytes,
}

/// Statistics are small; a larger file is something else.
const LARGEST: usize = 1 << 20;

/// Reads statistics; `None` where the bytes are none.
pub fn read_statistics(data: &[u8]) -> Option<Statistics> {
    let text = std::str::from_utf8(data.get(..LARGEST).unwrap_or(data)).ok()?;
    if text.contains("PyTorch CUDA memory summary") {
        return summary(text);
    }
    if data.len() > LARGEST || !text.trim_start().starts_with('{') {
        return None;
    }
    stats(&serde_json::from_str(text).ok()?)
}

fn stats(json: &Value) -> Option<Statistics> {
    let number = |name: &str, of: &str| {
        let flat = json.get(format!("{name}.all.{of}"));
        flat.or_else(|| json.get(name)?.get("all")?.get(of)).and_then(Value::as_u64).map(Bytes::new)
    };
    let amount = |name: &str| Some(Amount { now: number(name, "current")?, peak: number(name, "peak")? });
    Some(Statistics {
        form: StatisticsForm::Stats,
        requested: amount("requested_bytes"),
        allocated: Some(amount("allocated_bytes")?),
        active: amount("active_bytes"),
        reserved: Some(amount("reserved_bytes")?),
        stranded: amount("inactive_split_bytes"),
        retries: json.get("num_alloc_retries").and_then(Value::as_u64),
        ooms: json.get("num_ooms").and_then(Value::as_u64),
        margin: Bytes::ZERO,
    })
}

/// The table of `memory_summary()` (`torch/cuda/memory.py`, `_format_size` rounds down to a unit).
fn summary(text: &str) -> Option<Statistics> {
    let mut margin = Bytes::ZERO;
    let mut amount = |name: &str| {
        let row = text
            .lines()
            .find(|line| line.trim_start().trim_start_matches('|').trim_start().starts_with(name))?;
        let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let (now, unit) = size(cells.get(1)?)?;
        let (peak, peak_unit) = size(cells.get(2)?)?;
        margin = margin.max(unit).max(peak_unit);
        Some(Amount { now, peak })
    };
    let allocated = amount("Allocated memory")?;
    let found = Statistics {
        form: StatisticsForm::Summary,
        requested: amount("Requested memory"),
        allocated: Some(allocated),
        active: amount("Active memory"),
        reserved: amount("GPU reserved memory"),
        stranded: amount("Non-releasable memory"),
        retries: counted(text, "cudaMalloc retries:"),
        ooms: counted(text, "CUDA OOMs:"),
        margin: Bytes::ZERO,
    };
    Some(Statistics { margin: margin.saturating_sub(Bytes::new(1)), ..found })
}

/// "4821 MiB" as bytes, and its unit.
fn size(cell: &str) -> Option<(Bytes, Bytes)> {
    let (number, unit) = cell.split_once(char::is_whitespace)?;
    let power = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].iter().position(|name| *name == unit.trim())?;
    let unit = Bytes::new(1 << (10 * power));
    Some((unit.checked_mul(number.parse().ok()?)?, unit))
}

fn counted(text: &str, label: &str) -> Option<u64> {
    let (_, after) = text.split_once(label)?;
    after.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
