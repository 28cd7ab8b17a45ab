use brimful_logs::{Facts, Incident};
use brimful_units::Bytes;

/// A share of the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose it is.
    pub name: String,
    /// How much (ledger: device).
    pub bytes: Bytes,
}

/// The card at the moment of a failure, as far as the message says.
///
/// The parts and `unaccounted` sum to `total`; where the message's own figures exceed the card, `excess` says by
/// how much (a driver that spills to host memory, or rounding of printed figures).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardLedger {
    /// The card's capacity.
    pub total: Bytes,
    /// Its shares, PyTorch's first.
    pub parts: Vec<Part>,
    /// What no figure explains.
    pub unaccounted: Bytes,
    /// What the figures claim beyond the card.
    pub excess: Bytes,
}

/// Printed figures have two decimals: sums may differ by this much of the card.
const ROUNDING: u64 = 200;

/// The idle part of PyTorch's pool. `reserved` includes allocated (PyTorch 1.4 to 2.0), `cached` and
/// `reserved but unallocated` do not (before and after).
pub(crate) fn idle(facts: &Facts) -> Option<Bytes> {
    let from_reserved =
        || Some(facts.bytes("reserved_bytes")?.saturating_sub(facts.bytes("allocated_bytes")?));
    facts.bytes("reserved_unallocated_bytes").or_else(from_reserved)
}

/// What is idle in private pools. PyTorch prints it as allocated in them, and counts it as allocated: since 2.4
/// `reportOutOfMemory` of c10/cuda/CUDACachingAllocator.cpp sums up the free blocks of those pools
/// (`fixtures/logs/genuine.jsonl.gz` has both figures).
fn private_pools(facts: &Facts) -> Option<Bytes> {
    facts.bytes("private_pools_bytes").filter(|pools| *pools > Bytes::ZERO)
}

/// What of the card is neither free nor in this process's pool.
pub(crate) fn outside(facts: &Facts) -> Option<Bytes> {
    let ours = facts.bytes("allocated_bytes")?.checked_add(idle(facts)?)?;
    Some(facts.bytes("total_bytes")?.saturating_sub(facts.bytes("free_bytes")?).saturating_sub(ours))
}

/// The ledger of an incident; `None` if the message does not say the card's size and what is allocated.
pub(crate) fn ledger(incident: &Incident) -> Option<CardLedger> {
    let facts = &incident.facts;
    let total = facts.bytes("total_bytes")?;
    let allocated = facts.bytes("allocated_bytes")?;
    let idle = idle(facts);
    let pool = allocated.checked_add(idle.unwrap_or(Bytes::ZERO))?;
    let pools = private_pools(facts).filter(|pools| *pools <= allocated);
    let mut parts =
        vec![part("allocated by PyTorch", allocated.saturating_sub(pools.unwrap_or(Bytes::ZERO)))];
    parts.extend(pools.map(|pools| part("idle in private pools (CUDA graphs)", pools)));
    parts.extend(idle.map(|idle| part("idle in PyTorch's pool", idle)));
    parts.extend(beside_the_pool(incident, pool));
    parts.extend(facts.bytes("free_bytes").map(|free| part("free", free)));
    Some(close(total, parts))
}

fn part(name: &str, bytes: Bytes) -> Part {
    Part { name: name.to_owned(), bytes }
}

/// What the process has outside PyTorch, and what others have, as far as the message distinguishes them.
fn beside_the_pool(incident: &Incident, pool: Bytes) -> Vec<Part> {
    let mut parts = Vec::new();
    let in_use = incident.facts.bytes("process_in_use_bytes").filter(|in_use| *in_use >= pool);
    let own = in_use.map(|in_use| in_use.saturating_sub(pool));
    parts.extend(own.map(|own| part("this process outside PyTorch (context, libraries)", own)));
    for process in &incident.processes {
        let us = own.is_none()
            && process.in_use >= pool
            && process.in_use.get() - pool.get() < pool.get() / 4 + (1 << 30);
        let name = match us {
            true => format!("process {} beside its pool (probably this one)", process.pid),
            false => format!("process {}", process.pid),
        };
        let bytes = if us { process.in_use.saturating_sub(pool) } else { process.in_use };
        parts.push(Part { name, bytes });
    }
    parts
}

fn close(total: Bytes, mut parts: Vec<Part>) -> CardLedger {
    let sum = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.bytes.get()));
    let left = total.get().saturating_sub(sum);
    let excess = sum.saturating_sub(total.get());
    let named = left > total.get() / ROUNDING;
    if named {
        let at = parts.iter().position(|part| part.name == "free").unwrap_or(parts.len());
        let rest = "outside this pool: context, libraries, other processes";
        parts.insert(at, part(rest, Bytes::new(left)));
    }
    CardLedger {
        total,
        parts,
        unaccounted: Bytes::new(if named { 0 } else { left }),
        excess: Bytes::new(excess),
    }
}
