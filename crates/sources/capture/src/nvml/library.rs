//! The driver's library: where it lies, and its functions.

use std::env;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use super::backend::{Backend, Function, Handle, MemoryInfo};
use super::status::Status;

/// The environment variable that names the library in place of a search.
pub const LIBRARY_VARIABLE: &str = "BRIMFUL_NVML";

/// Where the library is looked for, in this order. The first name is found by the loader; since driver 560 there is no
/// `libnvidia-ml.so` without a number.
#[cfg(not(windows))]
const PLACES: [&str; 9] = [
    "libnvidia-ml.so.1",
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib64/libnvidia-ml.so.1",
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    // The GPU operator's driver container.
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
    "libnvidia-ml.so",
];
#[cfg(windows)]
const PLACES: [&str; 2] = ["nvml.dll", "C:\\Program Files\\NVIDIA Corporation\\NVSMI\\nvml.dll"];

/// One place where the library was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// The name or the path.
    pub place: PathBuf,
    /// Why it could not be loaded, as the loader says it; `None` if it was.
    pub failure: Option<String>,
}

/// The loaded library. It is never unloaded: a thread of the driver may still run in it.
pub struct Nvml {
    functions: Vec<Option<RawFunction>>,
}

/// A function whose parameters are given where it is called.
type RawFunction = unsafe extern "C" fn() -> c_int;

impl Nvml {
    /// Loads the library, and returns where it was looked for.
    pub fn load() -> (Option<Nvml>, Vec<Try>) {
        let named = env::var_os(LIBRARY_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
        let places = named.map_or_else(|| PLACES.iter().map(PathBuf::from).collect(), |named| vec![named]);
        let mut tries = Vec::new();
        for place in places {
            let (library, failure) = match Nvml::open(&place) {
                Ok(library) => (Some(library), None),
                Err(failure) => (None, Some(failure)),
            };
            tries.push(Try { place, failure });
            if let Some(library) = library {
                return (Some(library), tries);
            }
        }
        (None, tries)
    }

    /// Loads the library from this place.
    ///
    /// # Errors
    /// Why it cannot be loaded, as the loader says it.
    pub fn open(place: &Path) -> Result<Nvml, String> {
        load(place).map(Nvml::of)
    }

    fn of(library: Library) -> Nvml {
        // It stays loaded until the process ends.
        let library: &'static Library = Box::leak(Box::new(library));
        let find = |function: &Function| {
            // SAFETY: every function of NVML is one of C; its parameters are given where it is called.
            unsafe { library.get::<RawFunction>(function.name().as_bytes()) }.ok().map(|found| *found)
        };
        Nvml { functions: Function::ALL.iter().map(find).collect() }
    }

    fn raw(&self, function: Function) -> Result<RawFunction, Status> {
        self.functions.get(function as usize).copied().flatten().ok_or(Status::FUNCTION_NOT_FOUND)
    }
}

fn load(place: &Path) -> Result<Library, String> {
    if place.is_absolute() && !place.exists() {
        return Err("there is no such file".to_owned());
    }
    // SAFETY: the driver's library, or the one that the user named; its constructors are its own.
    unsafe { Library::new(place) }.map_err(|error| without_place(&error.to_string(), place))
}

/// The loader's message without the name, which stands beside it.
fn without_place(message: &str, place: &Path) -> String {
    let name = format!("{}: ", place.display());
    message.strip_prefix(name.as_str()).unwrap_or(message).to_owned()
}

fn checked(status: c_int) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// Calls a raw function with parameters of these types.
macro_rules! call {
    ($raw:expr, $($argument:expr => $kind:ty),*) => {{
        // SAFETY: nvml.h declares the function with these parameters; every pointer is to a value of the right size that
        // outlives the call.
        let function = unsafe { std::mem::transmute::<RawFunction, unsafe extern "C" fn($($kind),*) -> c_int>($raw) };
        // SAFETY: as above.
        checked(unsafe { function($($argument),*) })
    }};
}

/// Bytes of the buffers for texts: nvml.h has 96 for UUIDs and names, and 80 for versions.
const TEXT: usize = 96;

/// `nvmlPciInfo_t` of every version: the older one has the name on the bus at its beginning, the newer one at its end.
#[repr(C)]
struct PciInfo {
    legacy: [u8; 16],
    numbers: [u32; 5],
    name: [u8; 32],
    room: [u8; 32],
}

/// `nvmlMemory_v2_t`: a version word, then four numbers.
#[repr(C)]
#[derive(Default)]
struct MemoryV2 {
    version: u32,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `NVML_STRUCT_VERSION(Memory, 2)`.
const MEMORY_V2: u32 = size_of::<MemoryV2>() as u32 | 2 << 24;

/// The text before the first zero.
fn text_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

impl Backend for Nvml {
    fn has(&self, function: Function) -> bool {
        self.raw(function).is_ok()
    }

    fn call(&mut self, function: Function) -> Result<(), Status> {
        // SAFETY: these functions have no parameters.
        checked(unsafe { self.raw(function)?() })
    }

    fn text(&mut self, function: Function, handle: Option<Handle>) -> Result<String, Status> {
        let raw = self.raw(function)?;
        let mut bytes = [0_u8; TEXT];
        let (start, room) = (bytes.as_mut_ptr().cast::<c_char>(), TEXT as c_uint);
        match handle {
            Some(handle) => call!(raw, handle => usize, start => *mut c_char, room => c_uint)?,
            None => call!(raw, start => *mut c_char, room => c_uint)?,
        }
        Ok(text_of(&bytes))
    }

    fn number(&mut self, function: Function, handle: Option<Handle>) -> Result<u32, Status> {
        let raw = self.raw(function)?;
        let mut number: c_uint = 0;
        match handle {
            Some(handle) => call!(raw, handle => usize, &raw mut number => *mut c_uint)?,
            None => call!(raw, &raw mut number => *mut c_uint)?,
        }
        Ok(number)
    }

    fn pair(&mut self, function: Function, handle: Handle) -> Result<(u32, u32), Status> {
        let raw = self.raw(function)?;
        // A struct of two numbers for utilisation, two results for all others: the first pointer is the same for both.
        // A library that returns success and writes nothing leaves values that no function has.
        let mut pair = [u32::MAX; 2];
        let (first, second) = (pair.as_mut_ptr(), pair.as_mut_ptr().wrapping_add(1));
        if function == Function::nvmlDeviceGetUtilizationRates {
            call!(raw, handle => usize, first => *mut u32)?;
        } else {
            call!(raw, handle => usize, first => *mut u32, second => *mut u32)?;
        }
        Ok((pair[0], pair[1]))
    }

    fn handle(&mut self, function: Function, parent: Option<Handle>, index: u32) -> Result<Handle, Status> {
        let raw = self.raw(function)?;
        let mut handle: Handle = 0;
        match parent {
            Some(parent) => {
                call!(raw, parent => usize, index => c_uint, &raw mut handle => *mut usize)?;
            }
            None => call!(raw, index => c_uint, &raw mut handle => *mut usize)?,
        }
        Ok(handle)
    }

    fn bus(&mut self, function: Function, handle: Handle) -> Result<String, Status> {
        let raw = self.raw(function)?;
        let mut info = PciInfo { legacy: [0; 16], numbers: [0; 5], name: [0; 32], room: [0; 32] };
        call!(raw, handle => usize, (&raw mut info).cast::<c_void>() => *mut c_void)?;
        let is_new = function == Function::nvmlDeviceGetPciInfo_v3;
        Ok(text_of(if is_new { &info.name } else { &info.legacy }))
    }

    fn memory(&mut self, function: Function, handle: Handle) -> Result<MemoryInfo, Status> {
        let raw = self.raw(function)?;
        if function == Function::nvmlDeviceGetMemoryInfo_v2 {
            let mut memory = MemoryV2 { version: MEMORY_V2, ..MemoryV2::default() };
            call!(raw, handle => usize, &raw mut memory => *mut MemoryV2)?;
            let MemoryV2 { total, reserved, free, used, .. } = memory;
            return Ok(MemoryInfo { total, reserved: Some(reserved), free, used });
        }
        let mut numbers = [0_u64; 3];
        call!(raw, handle => usize, numbers.as_mut_ptr() => *mut u64)?;
        let [total, free, used] = numbers;
        Ok(MemoryInfo { total, reserved: None, free, used })
    }

    fn processes(
        &mut self,
        function: Function,
        handle: Handle,
        count: &mut u32,
        words: &mut [u64],
    ) -> Result<(), Status> {
        let raw = self.raw(function)?;
        // The driver writes 16, 24 or 32 bytes for each entry: room for the largest is room for all.
        *count = (*count).min((words.len() / 4) as u32);
        call!(raw, handle => usize, count => &mut u32, words.as_mut_ptr() => *mut u64)
    }
}
