//! The fixtures of drivers, and what is read from them.

use std::path::PathBuf;

use brimful_capture::nvml::{Backend, Driver, GpuReading, Memory};
use serde_json::Value;

pub fn fixture(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../fixtures/nvml"))
}

fn seen(reading: &GpuReading) -> Value {
    let processes = reading.processes.iter().map(|process| serde_json::json!([process.pid, process.used]));
    let mut seen = serde_json::json!({
        "processes": processes.collect::<Vec<_>>(),
        "has_garbage": reading.has_garbage,
    });
    match reading.memory {
        Memory::Own(memory) => {
            seen["memory"] = "own".into();
            seen["total"] = memory.total.into();
            seen["used"] = memory.used.into();
            seen["reserved"] = memory.reserved.into();
        }
        Memory::Shared => seen["memory"] = "shared".into(),
        Memory::Hidden(status) => seen["memory"] = format!("hidden {status}").into(),
    }
    seen
}

pub fn fixtures() -> Vec<(String, Value)> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let fixtures = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let names = fixtures.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let fixtures: Vec<(String, Value)> = names.map(|name| (name.clone(), fixture(&name))).collect();
    assert!(fixtures.len() >= 20, "{} fixtures", fixtures.len());
    fixtures
}

/// What is read through this backend, in the form of `expected`.
pub fn read(backend: Box<dyn Backend>, host: Option<u64>) -> Value {
    let mut driver = match Driver::open(backend) {
        Err(error) => return error.to_string().into(),
        Ok(driver) => driver,
    };
    let mut readings = Vec::new();
    // Twice: the second look fills the readings of the first.
    driver.read(host, &mut readings);
    driver.read(host, &mut readings);
    Value::Array(readings.iter().map(seen).collect())
}
