//! Drivers of many versions and platforms, as data in `fixtures/nvml`: what each exports, what it returns, and what must be
//! read from it.

mod recorded;

use std::time::{Duration, Instant};

use brimful_capture::nvml::{
    Backend, Driver, DriverThread, Function, Handle, MemoryInfo, Status, ThreadError,
};
use recorded::{fixture, fixtures, read};
use serde_json::Value;

/// A driver that a fixture describes.
struct Replayed {
    fixture: Value,
    /// The function that never returns.
    hangs: Option<Function>,
}

const NOT_SUPPORTED: Status = Status(3);

/// The value, or the status that stands in its place. What a fixture leaves out is not supported.
fn value(found: &Value) -> Result<&Value, Status> {
    match found["status"].as_i64() {
        Some(status) => Err(Status(i32::try_from(status).unwrap())),
        None if found.is_null() => Err(NOT_SUPPORTED),
        None => Ok(found),
    }
}

impl Replayed {
    fn of(fixture: &Value) -> Box<Replayed> {
        Box::new(Replayed { fixture: fixture.clone(), hangs: None })
    }

    fn enter(&self, function: Function) -> Result<(), Status> {
        if self.hangs == Some(function) {
            std::thread::sleep(Duration::from_secs(3600));
        }
        if self.has(function) { Ok(()) } else { Err(Status::FUNCTION_NOT_FOUND) }
    }

    /// The object of a GPU or a partition: handles are 256 times the GPU's number from one, plus the partition's from one.
    fn gpu(&self, handle: Handle) -> &Value {
        let gpu = &self.fixture["gpus"][handle / 256 - 1];
        if handle.is_multiple_of(256) { gpu } else { &gpu["partitions"][handle % 256 - 1] }
    }

    fn answer(&self, function: Function, handle: Option<Handle>) -> Result<&Value, Status> {
        self.enter(function)?;
        match handle {
            Some(handle) => value(&self.gpu(handle)[function.name()]),
            None => value(&self.fixture["calls"][function.name()]),
        }
    }
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

impl Backend for Replayed {
    fn has(&self, function: Function) -> bool {
        self.fixture["symbols"].as_array().unwrap().iter().any(|symbol| symbol == function.name())
    }

    fn call(&mut self, function: Function) -> Result<(), Status> {
        match self.answer(function, None) {
            Err(NOT_SUPPORTED) | Ok(_) => Ok(()),
            Err(status) => Err(status),
        }
    }

    fn text(&mut self, function: Function, handle: Option<Handle>) -> Result<String, Status> {
        Ok(self.answer(function, handle)?.as_str().unwrap().to_owned())
    }

    fn number(&mut self, function: Function, handle: Option<Handle>) -> Result<u32, Status> {
        if function.name().starts_with("nvmlDeviceGetCount") {
            return self.enter(function).map(|()| self.fixture["gpus"].as_array().unwrap().len() as u32);
        }
        self.answer(function, handle).map(number)
    }

    fn pair(&mut self, function: Function, handle: Handle) -> Result<(u32, u32), Status> {
        let pair = self.answer(function, Some(handle))?;
        Ok((number(&pair[0]), number(&pair[1])))
    }

    fn handle(&mut self, function: Function, parent: Option<Handle>, index: u32) -> Result<Handle, Status> {
        self.enter(function)?;
        let handle = parent.map_or(256 * (index as usize + 1), |parent| parent + index as usize + 1);
        match self.gpu(handle) {
            gap if gap.is_null() => Err(Status::NOT_FOUND),
            gpu if gpu["handle"].is_null() => Ok(handle),
            gpu => value(&gpu["handle"]).map(|_| handle),
        }
    }

    fn bus(&mut self, function: Function, handle: Handle) -> Result<String, Status> {
        self.text(function, Some(handle))
    }

    fn memory(&mut self, function: Function, handle: Handle) -> Result<MemoryInfo, Status> {
        let memory = self.answer(function, Some(handle))?;
        let bytes = |name: &str| memory[name].as_u64();
        Ok(MemoryInfo {
            total: bytes("total").unwrap(),
            reserved: bytes("reserved"),
            free: bytes("free").unwrap(),
            used: bytes("used").unwrap(),
        })
    }

    fn processes(
        &mut self,
        function: Function,
        handle: Handle,
        count: &mut u32,
        words: &mut [u64],
    ) -> Result<(), Status> {
        self.enter(function)?;
        let name = function.name();
        let list = ["Graphics", "MPS"].iter().find(|list| name.contains(**list));
        let key = list.map_or("compute".to_owned(), |list| list.to_lowercase());
        let rows = value(&self.gpu(handle)[key.as_str()])?.as_array().unwrap();
        let room = std::mem::replace(count, rows.len() as u32) as usize;
        assert!(words.len() >= room * 4, "the buffer has room for the largest entries");
        if room < rows.len() {
            return Err(Status::INSUFFICIENT_SIZE);
        }
        let version = if name.ends_with("_v3") { 2 } else { usize::from(name.ends_with("_v2")) };
        let entry = self.fixture["entry_bytes"][version].as_u64().unwrap() as usize / 8;
        for (row, words) in rows.iter().zip(words.chunks_mut(entry)) {
            words.fill(0);
            words[0] = row[0].as_u64().unwrap();
            words[1] = row[1].as_u64().unwrap_or(u64::MAX);
            if entry > 2 {
                words[2] = u64::MAX;
            }
        }
        Ok(())
    }
}

#[test]
fn every_driver_is_read_as_it_is() {
    for (name, fixture) in fixtures() {
        let seen = read(Replayed::of(&fixture), fixture["host_total"].as_u64());
        assert_eq!(seen, fixture["expected"], "{name}");
    }
}

#[test]
fn a_share_of_time_above_100_percent_is_unknown() {
    for (name, expected) in [("garbage-utilization", None), ("r550", Some(37))] {
        let mut driver = Driver::open(Replayed::of(&fixture(name))).unwrap();
        let mut readings = Vec::new();
        driver.read(None, &mut readings);
        assert_eq!(readings[0].utilization, expected, "{name}");
    }
}

#[test]
fn a_partition_names_its_gpu_and_its_instance() {
    let driver = Driver::open(Replayed::of(&fixture("mig-container"))).unwrap();
    let [parent, part] = driver.gpus() else { panic!("{:?}", driver.gpus()) };
    let partition = part.partition.as_ref().unwrap();
    assert_eq!((&partition.parent, partition.number, partition.instance), (&parent.uuid, 1, Some(2)));
    assert_eq!((part.uuid.as_str(), parent.is_partitioned), ("MIG-aaaa", true));
}

#[test]
fn a_call_that_never_returns_is_named_and_not_waited_for_again() {
    let deadline = Duration::from_millis(200);
    for hangs in [Function::nvmlInit_v2, Function::nvmlDeviceGetMemoryInfo_v2] {
        let backend = Box::new(Replayed { fixture: fixture("r550"), hangs: Some(hangs) });
        let start = Instant::now();
        let error = match DriverThread::open(backend, deadline) {
            Err(error) => error,
            Ok(mut thread) => {
                let first = thread.read(None).unwrap_err();
                assert_eq!(thread.read(None).unwrap_err(), first);
                first
            }
        };
        assert_eq!(error, ThreadError::Hangs { function: Some(hangs), after: deadline });
        assert!(error.to_string().starts_with(hangs.name()), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2), "it waits once");
    }
}
