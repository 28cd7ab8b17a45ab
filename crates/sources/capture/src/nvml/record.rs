//! What a driver returned, as a fixture of the form in `fixtures/nvml`, from which it can be replayed elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::backend::{Backend, Function, Handle, MemoryInfo};
use super::ladder::{GpuReading, Memory};
use super::processes::{List, entries, is_early_535, is_pid, layout};
use super::status::Status;

/// What the calls returned, each its last time.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    functions: Vec<Function>,
    answers: BTreeMap<(Option<Handle>, Function), Value>,
    lists: BTreeMap<(Handle, Function), Result<Vec<u64>, Status>>,
    /// The GPUs by their index, and the partitions by their GPU's handle and their number.
    handles: BTreeMap<(Option<Handle>, u32), Result<Handle, Status>>,
    third: u32,
}

/// A recording that grows while the driver is used in another thread.
#[derive(Clone, Debug, Default)]
pub struct SharedRecording(Arc<Mutex<Recording>>);

impl SharedRecording {
    /// What was recorded so far.
    pub fn get(&self) -> Recording {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn edit(&self, edit: impl FnOnce(&mut Recording)) {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A backend whose answers are recorded.
pub struct Recorder {
    backend: Box<dyn Backend>,
    recording: SharedRecording,
}

impl Recorder {
    /// Records the answers of a backend.
    pub fn new(backend: Box<dyn Backend>, recording: SharedRecording) -> Recorder {
        let functions = Function::ALL.iter().copied().filter(|function| backend.has(*function)).collect();
        let third = if is_early_535(backend.as_ref()) { 32 } else { 24 };
        recording.edit(|recording| (recording.functions, recording.third) = (functions, third));
        Recorder { backend, recording }
    }

    fn note<T>(
        &self,
        function: Function,
        handle: Option<Handle>,
        answer: Result<T, Status>,
        value: impl FnOnce(&T) -> Value,
    ) -> Result<T, Status> {
        let noted = answer.as_ref().map_or_else(|status| failed(*status), value);
        self.recording.edit(|recording| {
            recording.answers.insert((handle, function), noted);
        });
        answer
    }

    fn note_memory(&mut self, function: Function, handle: Handle) -> Result<MemoryInfo, Status> {
        let answer = self.backend.memory(function, handle);
        self.note(function, Some(handle), answer, |memory| {
            let mut value = json!({ "total": memory.total, "free": memory.free, "used": memory.used });
            if let Some(reserved) = memory.reserved {
                value["reserved"] = reserved.into();
            }
            value
        })
    }
}

fn failed(status: Status) -> Value {
    json!({ "status": status.0 })
}

impl Backend for Recorder {
    fn has(&self, function: Function) -> bool {
        self.backend.has(function)
    }

    fn call(&mut self, function: Function) -> Result<(), Status> {
        let answer = self.backend.call(function);
        self.note(function, None, answer, |()| Value::Null)
    }

    fn text(&mut self, function: Function, handle: Option<Handle>) -> Result<String, Status> {
        let answer = self.backend.text(function, handle);
        self.note(function, handle, answer, |text| text.as_str().into())
    }

    fn number(&mut self, function: Function, handle: Option<Handle>) -> Result<u32, Status> {
        let answer = self.backend.number(function, handle);
        self.note(function, handle, answer, |number| (*number).into())
    }

    fn pair(&mut self, function: Function, handle: Handle) -> Result<(u32, u32), Status> {
        let answer = self.backend.pair(function, handle);
        self.note(function, Some(handle), answer, |(first, second)| json!([first, second]))
    }

    fn handle(&mut self, function: Function, parent: Option<Handle>, index: u32) -> Result<Handle, Status> {
        let answer = self.backend.handle(function, parent, index);
        self.recording.edit(|recording| {
            recording.handles.insert((parent, index), answer);
        });
        answer
    }

    fn bus(&mut self, function: Function, handle: Handle) -> Result<String, Status> {
        let answer = self.backend.bus(function, handle);
        self.note(function, Some(handle), answer, |name| name.as_str().into())
    }

    fn memory(&mut self, function: Function, handle: Handle) -> Result<MemoryInfo, Status> {
        // The older function as well: where both answer, the two figures show what the driver reserves.
        if function == Function::nvmlDeviceGetMemoryInfo_v2 {
            let _ = self.note_memory(Function::nvmlDeviceGetMemoryInfo, handle);
        }
        self.note_memory(function, handle)
    }

    fn processes(
        &mut self,
        function: Function,
        handle: Handle,
        count: &mut u32,
        words: &mut [u64],
    ) -> Result<(), Status> {
        let answer = self.backend.processes(function, handle, count, words);
        // Four words are the largest entry: entries of any layout lie within them.
        let written = words.len().min(*count as usize * 4);
        let noted = answer.map(|()| words[..written].to_vec());
        self.recording.edit(|recording| {
            recording.lists.insert((handle, function), noted);
        });
        answer
    }
}

impl Recording {
    /// The recording as a fixture. It holds no names of users and no command lines, which no function of NVML returns, and its
    /// process IDs are numbers from one in the order of the true ones. `read` is what was read from the same answers, or the
    /// reason why the driver could not be opened.
    pub fn fixture(&self, host_total: Option<u64>, read: Result<&[GpuReading], String>) -> Value {
        let readings = read.as_ref().map_or(&[][..], |readings| readings);
        let pids = renumbered(readings);
        let mut third = None;
        let mut totals = readings.iter().map(|reading| match reading.memory {
            Memory::Own(memory) => Some(memory.total),
            _ => None,
        });
        let whole = self.handles.iter().filter(|((parent, _), _)| parent.is_none());
        let gpus: Vec<Value> = whole
            .map(|(_, found)| match found {
                Ok(handle) => self.gpu(*handle, &mut totals, &pids, &mut third),
                Err(status) => {
                    totals.next();
                    json!({ "handle": failed(*status) })
                }
            })
            .collect();
        let third = third.map_or(self.third, |(_, bytes)| bytes);
        json!({
            "about": "recorded by brimful doctor --record",
            "made": "recorded from a driver",
            "sources": [concat!("brimful ", env!("CARGO_PKG_VERSION"))],
            "host_total": host_total,
            "symbols": self.functions.iter().map(|function| function.name()).collect::<Vec<_>>(),
            "entry_bytes": [16, 24, third],
            "calls": self.answers_of(None),
            "gpus": gpus,
            "expected": match read {
                Ok(readings) => readings.iter().map(|reading| expected(reading, &pids)).collect(),
                Err(reason) => Value::from(reason),
            },
        })
    }

    /// A GPU with its partitions, whose totals follow its own.
    fn gpu(
        &self,
        handle: Handle,
        totals: &mut impl Iterator<Item = Option<u64>>,
        pids: &BTreeMap<u32, u32>,
        third: &mut Option<(usize, u32)>,
    ) -> Value {
        let mut gpu = self.answers_of(Some(handle));
        let total = totals.next().flatten();
        for (list, key) in List::ALL.into_iter().zip(["compute", "graphics", "mps"]) {
            gpu.extend(self.rows(handle, list, total, pids, third).map(|rows| (key.to_owned(), rows)));
        }
        let parts = self.handles.iter().filter(|((parent, _), _)| *parent == Some(handle));
        let parts: Vec<Value> = parts
            .map(|(_, found)| match found {
                Ok(part) => self.gpu(*part, totals, pids, third),
                Err(_) => Value::Null,
            })
            .collect();
        if !parts.is_empty() {
            gpu.insert("partitions".to_owned(), parts.into());
        }
        gpu.into()
    }

    fn answers_of(&self, handle: Option<Handle>) -> Map<String, Value> {
        let answers = self.answers.iter().filter(|((of, function), value)| {
            // The number of GPUs is that of `gpus`; a function that is not exported has no answer.
            *of == handle
                && !value.is_null()
                && self.functions.contains(function)
                && !matches!(function, Function::nvmlDeviceGetCount_v2 | Function::nvmlDeviceGetCount)
        });
        answers.map(|((_, function), value)| (function.name().to_owned(), value.clone())).collect()
    }

    /// The rows of a list by the newest function that returned one, or else what the functions returned. `third` is the
    /// layout behind the third function, by the longest list that has been seen: a short one does not show it.
    fn rows(
        &self,
        handle: Handle,
        list: List,
        total: Option<u64>,
        pids: &BTreeMap<u32, u32>,
        third: &mut Option<(usize, u32)>,
    ) -> Option<Value> {
        let versions = list.functions().into_iter().zip([3, 2, 1]);
        let mut failure = None;
        for (function, version) in versions.filter(|(function, _)| self.functions.contains(function)) {
            let words = match self.lists.get(&(handle, function)) {
                Some(Ok(words)) => words,
                Some(Err(status)) => {
                    failure = Some(failed(*status));
                    continue;
                }
                None => continue,
            };
            let count = words.len() / 4;
            let (bytes, _) = layout(words, version, self.third, count, total);
            if version == 3 && third.is_none_or(|(longest, _)| count > longest) {
                *third = Some((count, bytes));
            }
            let row = |(pid, used): (u32, Option<u64>)| json!([pids.get(&pid).copied().unwrap_or(pid), used]);
            return Some(entries(words, bytes, count).map(row).collect());
        }
        failure
    }
}

/// Process IDs in the order of the true ones, which decides between processes with the same memory.
fn renumbered(readings: &[GpuReading]) -> BTreeMap<u32, u32> {
    let read = readings.iter().flat_map(|reading| &reading.processes);
    let pids: BTreeSet<u32> = read.map(|process| process.pid).filter(|pid| is_pid(*pid)).collect();
    pids.into_iter().zip(1..).collect()
}

fn expected(reading: &GpuReading, pids: &BTreeMap<u32, u32>) -> Value {
    let processes = reading.processes.iter();
    let processes: Vec<Value> =
        processes.map(|process| json!([pids.get(&process.pid), process.used])).collect();
    let mut expected = json!({ "processes": processes, "has_garbage": reading.has_garbage });
    match reading.memory {
        Memory::Own(memory) => {
            expected["memory"] = "own".into();
            expected["total"] = memory.total.into();
            expected["used"] = memory.used.into();
            expected["reserved"] = memory.reserved.into();
        }
        Memory::Shared => expected["memory"] = "shared".into(),
        Memory::Hidden(status) => expected["memory"] = format!("hidden {status}").into(),
    }
    expected
}
