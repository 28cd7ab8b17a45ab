//! The fixture from which a copy of the library answers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::Value;

/// Stands before the name of the fixture.
pub const MARK: &[u8] = b"BRIMFUL_FAKE_NVML_FIXTURE=";
/// Fills the place for the name until a copy has one.
pub const FILLER: u8 = b'~';
/// Bytes of the mark and the name behind it.
pub const PLACE_BYTES: usize = 1024;

/// The mark and the name of the fixture. A copy of the library has its own name here.
static PLACE: [u8; PLACE_BYTES] = empty_place();

/// An `nvmlReturn_t` that is not success.
pub type Failure = i32;

/// `NVML_ERROR_UNINITIALIZED`
pub const UNINITIALIZED: Failure = 1;
/// `NVML_ERROR_INVALID_ARGUMENT`
pub const INVALID_ARGUMENT: Failure = 2;
/// `NVML_ERROR_NOT_SUPPORTED`
pub const NOT_SUPPORTED: Failure = 3;
/// `NVML_ERROR_NOT_FOUND`
pub const NOT_FOUND: Failure = 6;
/// `NVML_ERROR_INSUFFICIENT_SIZE`
pub const INSUFFICIENT_SIZE: Failure = 7;
/// `NVML_ERROR_ARGUMENT_VERSION_MISMATCH`
pub const VERSION_MISMATCH: Failure = 25;

static IS_INITIALIZED: AtomicBool = AtomicBool::new(false);

const fn empty_place() -> [u8; PLACE_BYTES] {
    let mut place = [FILLER; PLACE_BYTES];
    let mut at = 0;
    while at < MARK.len() {
        place[at] = MARK[at];
        at += 1;
    }
    place
}

/// The whole fixture.
///
/// # Panics
/// The fixture is not one: the test cannot go on.
pub fn fixture() -> &'static Value {
    static FIXTURE: OnceLock<Value> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        // SAFETY: a static of this type. The read is volatile because the file was changed after the compiler saw it.
        let place = unsafe { std::ptr::read_volatile(&raw const PLACE) };
        let name = place[MARK.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name).expect("the name of the fixture is UTF-8");
        let text = std::fs::read_to_string(name).expect("the fixture can be read");
        serde_json::from_str(&text).expect("the fixture is JSON")
    })
}

/// The value, or the status that stands in its place. What a fixture leaves out is not supported.
///
/// # Panics
/// The fixture is not one: the test cannot go on.
pub fn value(found: &'static Value) -> Result<&'static Value, Failure> {
    match found["status"].as_i64() {
        Some(status) => Err(i32::try_from(status).expect("a status is a small number")),
        None if found.is_null() => Err(NOT_SUPPORTED),
        None => Ok(found),
    }
}

/// Initialises the library, unless the fixture has a status for it.
pub fn initialize(function: &str) -> Result<(), Failure> {
    let answer = &fixture()["calls"][function];
    if !answer.is_null() {
        value(answer)?;
    }
    IS_INITIALIZED.store(true, Relaxed);
    Ok(())
}

/// Ends the use of the library.
pub fn shut_down() -> Result<(), Failure> {
    if IS_INITIALIZED.swap(false, Relaxed) { Ok(()) } else { Err(UNINITIALIZED) }
}

/// What a function of the system returns.
pub fn of_system(function: &str) -> Result<&'static Value, Failure> {
    value(&initialized()?["calls"][function])
}

/// What a function, or the list `key`, of a GPU returns.
pub fn of_gpu(handle: usize, key: &str) -> Result<&'static Value, Failure> {
    value(&gpu(handle)?[key])
}

/// The whole GPUs.
pub fn gpus() -> Result<&'static Vec<Value>, Failure> {
    initialized()?["gpus"].as_array().ok_or(NOT_FOUND)
}

/// Handles are 256 times the GPU's number from one, plus the partition's from one: no handle is a null pointer.
pub fn handle(parent: Option<usize>, index: u32) -> Result<usize, Failure> {
    let number = index as usize + 1;
    let handle = parent.map_or(256 * number, |parent| parent + number);
    let gpu = gpu(handle).map_err(|_| NOT_FOUND)?;
    if !gpu["handle"].is_null() {
        value(&gpu["handle"])?;
    }
    Ok(handle)
}

fn gpu(handle: usize) -> Result<&'static Value, Failure> {
    let gpu = gpus()?.get((handle / 256).checked_sub(1).ok_or(INVALID_ARGUMENT)?);
    let found = match (gpu, handle % 256) {
        (Some(gpu), 0) => gpu,
        (Some(gpu), part) => &gpu["partitions"][part - 1],
        (None, _) => return Err(INVALID_ARGUMENT),
    };
    if found.is_null() { Err(INVALID_ARGUMENT) } else { Ok(found) }
}

fn initialized() -> Result<&'static Value, Failure> {
    if IS_INITIALIZED.load(Relaxed) { Ok(fixture()) } else { Err(UNINITIALIZED) }
}
