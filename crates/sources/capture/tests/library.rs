//! The driver's library through its C interface: a fake one that has the symbols and the layouts of each fixture.

#![cfg(target_os = "linux")]

mod recorded;

use brimful_capture::nvml::{Backend, Driver, Function, List, Nvml};
use recorded::{fixture, fixtures, read};
use serde_json::Value;

/// The fake library of a fixture. The folder is needed until the first call only, in which the library reads its fixture.
fn library(fixture: &Value, folder: &tempfile::TempDir) -> Nvml {
    Nvml::open(&brimful_fake_nvml::install(fixture, folder.path())).unwrap()
}

#[test]
fn every_driver_is_read_as_it_is_through_its_c_interface() {
    for (name, fixture) in fixtures() {
        let folder = tempfile::tempdir().unwrap();
        let seen = read(Box::new(library(&fixture, &folder)), fixture["host_total"].as_u64());
        assert_eq!(seen, fixture["expected"], "{name}");
    }
}

#[test]
fn a_symbol_that_a_driver_does_not_export_is_not_found() {
    for (name, fixture) in fixtures() {
        let folder = tempfile::tempdir().unwrap();
        let library = library(&fixture, &folder);
        let found = Function::ALL.iter().filter(|function| library.has(**function));
        let mut found: Vec<&str> = found.map(|function| function.name()).collect();
        found.sort_unstable();
        let mut symbols: Vec<&str> =
            fixture["symbols"].as_array().unwrap().iter().map(|symbol| symbol.as_str().unwrap()).collect();
        symbols.sort_unstable();
        assert_eq!(found, symbols, "{name}");
    }
}

#[test]
fn texts_numbers_and_names_on_the_bus_are_read_from_the_structs_of_their_version() {
    for name in ["r450", "r535-early", "r550", "r610"] {
        let (fixture, folder) = (fixture(name), tempfile::tempdir().unwrap());
        let driver = Driver::open(Box::new(library(&fixture, &folder))).unwrap();
        let (calls, gpu, facts) = (&fixture["calls"], &fixture["gpus"][0], &driver.gpus()[0]);
        assert_eq!(driver.facts().driver.as_deref(), calls["nvmlSystemGetDriverVersion"].as_str());
        assert_eq!(driver.facts().cuda, Some((12, 4)), "{name}");
        assert_eq!(facts.name, gpu["nvmlDeviceGetName"], "{name}");
        assert_eq!(facts.uuid, gpu["nvmlDeviceGetUUID"], "{name}");
        assert_eq!(facts.bus.as_deref(), gpu["nvmlDeviceGetPciInfo_v3"].as_str(), "{name}");
        assert_eq!(facts.persistence, Some(true), "{name}");
    }
    let mut old = fixture("r450");
    old["gpus"][0]["nvmlDeviceGetPciInfo_v2"] = old["gpus"][0]["nvmlDeviceGetPciInfo_v3"].take();
    let symbols = old["symbols"].as_array_mut().unwrap();
    symbols.retain(|symbol| symbol != "nvmlDeviceGetPciInfo_v3");
    symbols.push("nvmlDeviceGetPciInfo_v2".into());
    let folder = tempfile::tempdir().unwrap();
    let driver = Driver::open(Box::new(library(&old, &folder))).unwrap();
    assert_eq!(driver.gpus()[0].bus.as_deref(), Some("0000:1A:00.0"), "the second version has four digits");
}

#[test]
fn the_layout_of_the_lists_is_that_of_the_driver() {
    let expected =
        [("r450", 16), ("r495", 24), ("r535-early", 32), ("r535-between", 24), ("r535", 24), ("r570", 24)];
    for (name, bytes) in expected {
        let (fixture, folder) = (fixture(name), tempfile::tempdir().unwrap());
        let mut driver = Driver::open(Box::new(library(&fixture, &folder))).unwrap();
        driver.read(None, &mut Vec::new());
        let form = driver.rungs().lists[List::Compute as usize].unwrap();
        assert_eq!(form.entry_bytes, bytes, "{name}: {}", form.function.name());
    }
}
