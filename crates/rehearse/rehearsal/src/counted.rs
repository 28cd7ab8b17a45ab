//! What the virtual GPU counted, and what it could not see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use brimful_units::Bytes;
use brimful_virtual_gpu::{Answer, ProcessUse, State, Symbol, symbols};

use crate::ProcessRecord;

/// Functions that are named.
const NAMED: usize = 8;

/// The counters of a run's machines, together; none where no process met a GPU.
pub(crate) fn read(folder: &Path) -> State {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let states = files.filter_map(|file| State::read(&fs::read(file.path()).ok()?).ok());
    states.fold(State::default(), |mut all, one| {
        all.processes.extend(one.processes);
        all.calls.extend(one.calls);
        all
    })
}

/// Adds to each record what its process took of its GPUs, PyTorch's memory and everything beside it.
pub(crate) fn add_to(records: &mut [ProcessRecord], state: &State) {
    for record in records {
        let Some(counted) = of(state, record.pid) else { continue };
        for device in &mut record.devices {
            let Some(gpu) = counted.visible.get(device.device as usize).copied() else { continue };
            let taken = counted.devices.get(gpu).map_or(0, |on| on.peak.saturating_add(on.context));
            device.gpu = u32::try_from(gpu).ok();
            // A process without counters of its own shares them with others.
            device.taken = Some(Bytes::new(taken)).filter(|taken| *taken >= device.peak.reserved);
        }
        record.size_reads = counted.size_reads;
        record.pinned = Some(Bytes::new(counted.pinned_peak));
        record.last_call =
            counted.last_call.and_then(|place| symbols().nth(place)).map(|symbol| symbol.name.to_owned());
    }
}

fn of(state: &State, process: u32) -> Option<&ProcessUse> {
    state.processes.iter().find(|counted| counted.pid == u64::from(process))
}

/// What the virtual GPU could not see, for people.
pub(crate) fn unseen(records: &[ProcessRecord], state: &State) -> Vec<String> {
    let sizes: u64 = state.processes.iter().map(|process| process.size_reads).sum();
    // Where values are followed, each size is known, or named with its line.
    let are_followed =
        records.iter().any(|record| record.values.as_ref().is_some_and(|values| values.off.is_none()));
    let sizes = (sizes > 0 && !are_followed).then(|| {
        format!(
            "{sizes} sizes that depend on data (nonzero, unique, boolean masks) were read as zero: what was made of them \
             takes more on a real GPU"
        )
    });
    let beside: BTreeSet<&str> =
        records.iter().flat_map(|record| &record.beside).map(String::as_str).collect();
    let beside = (!beside.is_empty()).then(|| {
        let named: Vec<&str> = beside.into_iter().collect();
        format!("memory that {} takes beside PyTorch", named.join(" and "))
    });
    let managed: u64 = state.processes.iter().map(|process| process.managed).max().unwrap_or(0);
    let managed = (managed > 0).then(|| {
        format!("{} of managed memory, which may be on the GPU or on the host", Bytes::new(managed))
    });
    // Killed before it could say more, or a program without a word of PyTorch.
    let silent = state.processes.iter().filter(|process| {
        let took = process.devices.iter().map(|device| device.peak).max().unwrap_or(0);
        let said =
            |record: &ProcessRecord| u64::from(record.pid) == process.pid && !record.devices.is_empty();
        took > 0 && !records.iter().any(said)
    });
    let silent = silent.map(|process| {
        let took: u64 = process.devices.iter().map(|device| device.peak).sum();
        format!(
            "process {} had taken {} of GPU memory and left no record of it",
            process.pid,
            Bytes::new(took)
        )
    });
    sizes.into_iter().chain(beside).chain(managed).chain(not_modelled(state)).chain(silent).collect()
}

/// Buffers that a library would have wanted, and whose size nobody knows: those that were left out, and those of which the
/// least was counted.
fn not_modelled(state: &State) -> Vec<String> {
    let left_out = ("buffers of unknown size, taken as zero", Answer::NoSize);
    let bounded = ("buffers of unknown size, of which the least was counted", Answer::LeastSize);
    [left_out, bounded].into_iter().filter_map(|(what, answer)| sizes_asked(state, what, answer)).collect()
}

/// The functions with that answer, and how often each was called.
fn sizes_asked(state: &State, what: &str, answer: Answer) -> Option<String> {
    let symbols: Vec<Symbol> = symbols().collect();
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    for (symbol, count) in &state.calls {
        *counts.entry(*symbol).or_default() += count;
    }
    let asked = counts.into_iter().filter_map(|(symbol, count)| Some((symbols.get(symbol)?, count)));
    let mut asked: Vec<(&Symbol, u64)> = asked.filter(|(symbol, _)| symbol.answer() == answer).collect();
    asked.sort_by_key(|(symbol, count)| (std::cmp::Reverse(*count), symbol.name));
    let more = asked.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named: Vec<String> =
        asked.iter().take(NAMED).map(|(symbol, count)| format!("{} ({count})", words(symbol.name))).collect();
    (!named.is_empty()).then(|| format!("{what}: {}{more}", named.join(", ")))
}

/// What a function's buffers are for, where its name does not say it.
fn words(function: &str) -> &str {
    match function {
        "cudnnBackendGetAttribute" => "workspaces of cuDNN's convolutions and attention",
        "cudnnGetRNNTempSpaceSizes" => {
            "what cuDNN's recurrent networks keep for the backward pass, and their workspaces"
        }
        "cudnnDropoutGetStatesSize" => "random states of cuDNN's dropout",
        other => other,
    }
}
