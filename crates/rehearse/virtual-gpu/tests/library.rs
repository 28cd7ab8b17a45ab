//! The library as a program meets it: loaded, and called by the names of CUDA's functions.

#![cfg(target_os = "linux")]

use std::ffi::{CStr, c_char};
use std::sync::Mutex;

use brimful_virtual_gpu::{Answer, LIBRARY, SETTINGS_VARIABLE, STATE_VARIABLE, State, symbols};
use libloading::Library;

const MIB: usize = 1 << 20;
/// One GiB, so that many copies find address space in one process.
const SMALL: &str = "total=1073741824";
const OUT_OF_MEMORY: i32 = 2;
const NOT_READY: i32 = 600;

/// A copy of the library with settings of its own: another file is another library to the loader.
struct Gpu {
    library: Library,
    folder: tempfile::TempDir,
}

/// The settings are read from the environment when a copy is first called.
static LOADING: Mutex<()> = Mutex::new(());

macro_rules! call {
    ($gpu:expr, $name:literal, $($argument:expr => $kind:ty),* $(,)?) => {{
        // SAFETY: the types are those of CUDA's headers, as far as the function looks at its arguments.
        unsafe {
            let function = $gpu.library.get::<unsafe extern "C" fn($($kind),*) -> i32>($name).unwrap();
            function($($argument),*)
        }
    }};
}

impl Gpu {
    fn with(settings: &str) -> Gpu {
        let folder = tempfile::tempdir().unwrap();
        let (path, state) = (folder.path().join("libcuda.so"), folder.path().join("state"));
        std::fs::write(&path, LIBRARY).unwrap();
        std::fs::write(&state, []).unwrap();
        let _one_at_a_time = LOADING.lock().unwrap();
        // SAFETY: only this function changes the environment, and one thread at a time is here.
        unsafe {
            std::env::set_var(SETTINGS_VARIABLE, settings);
            std::env::set_var(STATE_VARIABLE, &state);
        }
        // SAFETY: the library has no constructors.
        let gpu = Gpu { library: unsafe { Library::new(&path).unwrap() }, folder };
        let mut devices = 0;
        assert_eq!(call!(gpu, b"cudaGetDeviceCount", &mut devices => &mut i32), 0);
        gpu
    }

    fn allocate(&self, bytes: usize) -> Result<usize, i32> {
        let mut address = 0;
        match call!(self, b"cudaMalloc", &mut address => &mut usize, bytes => usize) {
            0 => Ok(address),
            status => Err(status),
        }
    }

    fn free(&self, address: usize) {
        assert_eq!(call!(self, b"cudaFree", address => usize), 0);
    }

    /// Free and total bytes.
    fn memory(&self) -> (usize, usize) {
        let (mut free, mut total) = (0, 0);
        assert_eq!(call!(self, b"cudaMemGetInfo", &mut free => &mut usize, &mut total => &mut usize), 0);
        (free, total)
    }

    fn state(&self) -> State {
        State::read(&std::fs::read(self.folder.path().join("state")).unwrap()).unwrap()
    }
}

#[test]
fn memory_is_counted_to_the_last_byte_of_the_gpu() {
    let gpu = Gpu::with(&format!("total={};context={}", 100 * MIB, 10 * MIB));
    assert_eq!(gpu.memory(), (90 * MIB, 100 * MIB));
    let first = gpu.allocate(50 * MIB).unwrap();
    // What is handed out is a multiple of 2 MiB.
    let second = gpu.allocate(39 * MIB + 1).unwrap();
    // As on hardware under Linux: below, in a chunk of 32 MiB.
    assert!(second + 40 * MIB <= first);
    assert_eq!(gpu.memory().0, 0);
    assert_eq!(gpu.allocate(1), Err(OUT_OF_MEMORY));
    assert_eq!(call!(gpu, b"cudaGetLastError",), OUT_OF_MEMORY);
    assert_eq!(call!(gpu, b"cudaGetLastError",), 0);
    gpu.free(first);
    assert_eq!(gpu.memory().0, 50 * MIB);
    let device = gpu.state().processes[0].devices[0];
    assert_eq!((device.used, device.peak), (40 * MIB as u64, 90 * MIB as u64));
    assert_eq!((device.allocations, device.failures, device.context), (2, 1, 10 * MIB as u64));
}

#[test]
fn what_the_device_holds_reads_as_zeros_and_flags_as_true() {
    let gpu = Gpu::with(SMALL);
    let address = gpu.allocate(4096).unwrap();
    let mut numbers = [7u64; 4];
    let copied = call!(gpu, b"cudaMemcpy", numbers.as_mut_ptr() as usize => usize, address => usize, 32 => usize, 2 => i32);
    assert_eq!((copied, numbers), (0, [0; 4]));
    let mut flag = 7u8;
    call!(gpu, b"cudaMemcpy", &raw mut flag as usize => usize, address => usize, 1 => usize, 2 => i32);
    assert_eq!(flag, 1);
    // Between two places of the host a copy is a copy.
    let (from, mut to) = (*b"abcd", [0u8; 4]);
    call!(gpu, b"cudaMemcpy", to.as_mut_ptr() as usize => usize, from.as_ptr() as usize => usize, 4 => usize, 0 => i32);
    assert_eq!(to, from);
    assert_eq!(gpu.state().processes[0].reads, 2);
}

#[test]
fn virtual_memory_is_counted_when_it_is_made_not_when_addresses_are_reserved() {
    let gpu = Gpu::with(&format!("total={}", 64 * MIB));
    let (mut address, mut handle) = (0, 0);
    assert_eq!(call!(gpu, b"cuMemAddressReserve", &mut address => &mut usize, 1 << 33 => usize), 0);
    assert_eq!(gpu.memory().0, 64 * MIB);
    let properties = [1i32, 0, 1, 0];
    let made =
        call!(gpu, b"cuMemCreate", &mut handle => &mut usize, 20 * MIB => usize, &properties => &[i32; 4]);
    assert_eq!((made, gpu.memory().0), (0, 44 * MIB));
    let more = call!(gpu, b"cuMemCreate", &mut 0 => &mut usize, 60 * MIB => usize, &properties => &[i32; 4]);
    assert_eq!(more, OUT_OF_MEMORY);
    assert_eq!(call!(gpu, b"cuMemRelease", handle => usize), 0);
    assert_eq!(gpu.memory().0, 64 * MIB);
}

#[test]
fn a_pool_keeps_what_comes_back() {
    let gpu = Gpu::with(&format!("total={}", 256 * MIB));
    let (mut pool, mut everything) = (0, u64::MAX);
    call!(gpu, b"cudaDeviceGetDefaultMemPool", &mut pool => &mut usize, 0 => i32);
    call!(gpu, b"cudaMemPoolSetAttribute", pool => usize, 4 => i32, &mut everything => &mut u64);
    let mut address = 0;
    call!(gpu, b"cudaMallocAsync", &mut address => &mut usize, MIB => usize, 0 => usize);
    let held = gpu.memory().0;
    assert!(held < 256 * MIB);
    call!(gpu, b"cudaFreeAsync", address => usize, 0 => usize);
    assert_eq!(gpu.memory().0, held);
    call!(gpu, b"cudaMemPoolTrimTo", pool => usize, 0 => usize);
    assert_eq!(gpu.memory().0, 256 * MIB);
}

#[test]
fn delayed_work_is_done_after_launches_or_when_waited_for() {
    let gpu = Gpu::with("total=1073741824;completion=2");
    let (mut stream, mut event) = (0, 0);
    call!(gpu, b"cudaStreamCreate", &mut stream => &mut usize);
    call!(gpu, b"cudaEventCreate", &mut event => &mut usize);
    let launch = || call!(gpu, b"cudaMemsetAsync", 0 => usize, 0 => i32, 0 => usize, stream => usize);
    launch();
    call!(gpu, b"cudaEventRecord", event => usize, stream => usize);
    assert_eq!(call!(gpu, b"cudaEventQuery", event => usize), NOT_READY);
    launch();
    assert_eq!(call!(gpu, b"cudaEventQuery", event => usize), NOT_READY);
    launch();
    assert_eq!(call!(gpu, b"cudaEventQuery", event => usize), 0);
    call!(gpu, b"cudaEventRecord", event => usize, stream => usize);
    call!(gpu, b"cudaEventSynchronize", event => usize);
    assert_eq!(call!(gpu, b"cudaEventQuery", event => usize), 0);
}

#[test]
fn a_capture_spreads_by_events_and_ends_where_it_began() {
    let gpu = Gpu::with(SMALL);
    let (mut origin, mut other, mut event, mut graph) = (0, 0, 0, 0);
    call!(gpu, b"cudaStreamCreate", &mut origin => &mut usize);
    call!(gpu, b"cudaStreamCreate", &mut other => &mut usize);
    call!(gpu, b"cudaEventCreate", &mut event => &mut usize);
    let capturing = |stream: usize| {
        let mut status = 9;
        call!(gpu, b"cudaStreamIsCapturing", stream => usize, &mut status => &mut i32);
        status == 1
    };
    call!(gpu, b"cudaStreamBeginCapture", origin => usize, 0 => i32);
    call!(gpu, b"cudaEventRecord", event => usize, origin => usize);
    call!(gpu, b"cudaStreamWaitEvent", other => usize, event => usize, 0 => u32);
    assert!(capturing(origin) && capturing(other));
    call!(gpu, b"cudaMemsetAsync", 0 => usize, 0 => i32, 0 => usize, other => usize);
    assert_ne!(call!(gpu, b"cudaStreamEndCapture", other => usize, &mut graph => &mut usize), 0);
    assert_eq!(call!(gpu, b"cudaStreamEndCapture", origin => usize, &mut graph => &mut usize), 0);
    assert!(!capturing(origin) && !capturing(other));
    let mut nodes = 0;
    call!(gpu, b"cudaGraphGetNodes", graph => usize, 0 => usize, &mut nodes => &mut usize);
    assert_eq!(nodes, 1);
}

#[test]
fn each_gpu_has_its_own_memory_and_says_what_it_is() {
    let gpu = Gpu::with(&format!("devices=2;name=NVIDIA L4;total={};cc=8.9;sms=58", 32 * MIB));
    let first = gpu.allocate(30 * MIB).unwrap();
    assert_eq!(call!(gpu, b"cudaSetDevice", 1 => i32), 0);
    let second = gpu.allocate(30 * MIB).unwrap();
    assert_eq!(gpu.allocate(4 * MIB), Err(OUT_OF_MEMORY));
    assert_ne!(call!(gpu, b"cudaSetDevice", 2 => i32), 0);
    let mut ordinal = -1;
    for (address, device) in [(first, 0), (second, 1)] {
        // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
        call!(gpu, b"cuPointerGetAttribute", &mut ordinal => &mut i32, 9 => i32, address => usize);
        assert_eq!(ordinal, device);
    }
    let mut name = [0 as c_char; 64];
    call!(gpu, b"cuDeviceGetName", name.as_mut_ptr() => *mut c_char, 64 => i32, 1 => i32);
    // SAFETY: the library ends the text.
    assert_eq!(unsafe { CStr::from_ptr(name.as_ptr()) }.to_str(), Ok("NVIDIA L4"));
    let mut handle = 0;
    assert_eq!(call!(gpu, b"nvmlDeviceGetHandleByIndex_v2", 1 => u32, &mut handle => &mut usize), 0);
    let mut memory = [0u64; 3];
    call!(gpu, b"nvmlDeviceGetMemoryInfo", handle => usize, &mut memory => &mut [u64; 3]);
    assert_eq!(memory, [32, 2, 30].map(|mib| mib * MIB as u64));
}

#[test]
fn what_is_not_modelled_succeeds_and_is_counted() {
    let gpu = Gpu::with(SMALL);
    let (mut words, mut handle) = (7, 0);
    assert_eq!(call!(gpu, b"cusolverDnCreate", &mut handle => &mut usize), 0);
    assert_ne!(handle, 0);
    let status = call!(
        gpu, b"cusolverDnSgetrf_bufferSize",
        handle => usize, 8 => i32, 8 => i32, 0 => usize, 8 => i32, &mut words => &mut i32
    );
    assert_eq!((status, words), (0, 0));
    let names: Vec<&str> = brimful_virtual_gpu::symbols().map(|symbol| symbol.name).collect();
    let called: Vec<&str> = gpu.state().calls.iter().map(|(symbol, _)| names[*symbol]).collect();
    assert_eq!(called, ["cusolverDnCreate", "cusolverDnSgetrf_bufferSize"]);
}

#[test]
fn kernels_reach_pinned_memory_at_its_own_address() {
    let gpu = Gpu::with(SMALL);
    let (mut pinned, mut found, mut kind) = (0, 0u64, 0u64);
    call!(gpu, b"cudaHostAlloc", &mut pinned => &mut usize, 4096 => usize, 0 => u32);
    // CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_MEMORY_TYPE
    let status = call!(gpu, b"cuPointerGetAttribute", &mut found => &mut u64, 3 => i32, pinned + 64 => usize);
    assert_eq!((status, found), (0, pinned as u64 + 64));
    call!(gpu, b"cuPointerGetAttribute", &mut kind => &mut u64, 2 => i32, pinned => usize);
    assert_eq!(kind, 1);
    let unknown = &raw const kind as usize;
    let status = call!(gpu, b"cuPointerGetAttribute", &mut found => &mut u64, 3 => i32, unknown => usize);
    assert_ne!(status, 0);
}

#[test]
fn nccl_is_complete_with_one_rank_and_connects_with_the_first_large_message() {
    let gpu = Gpu::with(&format!("total={};nccl={}", 64 * MIB, 8 * MIB));
    #[repr(C)]
    struct Id([u8; 128]);
    let id = Id([0; 128]);
    let (mut communicator, mut rank) = (0, 0);
    let made = call!(
        gpu, b"ncclCommInitRank",
        &mut communicator => &mut usize, 64 => i32, id => Id, 63 => i32
    );
    assert_eq!(made, 0);
    call!(gpu, b"ncclCommUserRank", communicator => usize, &mut rank => &mut i32);
    assert_eq!((rank, gpu.memory().0), (63, 64 * MIB));
    let reduce = |count: usize| {
        // ncclBfloat16, ncclSum
        call!(
            gpu, b"ncclAllReduce",
            0 => usize, 0 => usize, count => usize, 9 => i32, 0 => i32, communicator => usize, 0 => usize
        )
    };
    assert_eq!((reduce(32 << 10), gpu.memory().0), (0, 64 * MIB));
    assert_eq!((reduce((32 << 10) + 1), gpu.memory().0), (0, 56 * MIB));
    // The communicator is found wherever it stands.
    let scattered = call!(
        gpu, b"ncclReduceScatter",
        0 => usize, 0 => usize, 1 => usize, 9 => i32, 0 => i32, communicator => usize, 0 => usize
    );
    let gathered = call!(
        gpu, b"ncclAllGather", 0 => usize, 0 => usize, 1 => usize, 9 => i32, communicator => usize, 0 => usize
    );
    let sent = call!(
        gpu, b"ncclBcast", 0 => usize, 1 => usize, 9 => i32, 0 => i32, communicator => usize, 0 => usize
    );
    assert_eq!([scattered, gathered, sent], [0; 3]);
    assert_eq!((reduce(1 << 20), gpu.memory().0), (0, 56 * MIB));
}

/// A program that links against a function which is not there does not load.
#[test]
fn every_function_of_the_table_is_there() {
    let gpu = Gpu::with(SMALL);
    // SAFETY: the address is not called.
    let is_missing = |name: &str| unsafe { gpu.library.get::<*const ()>(name.as_bytes()).is_err() };
    let missing: Vec<&str> = symbols().map(|symbol| symbol.name).filter(|name| is_missing(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(symbols().count() > 5000);
}

/// Four layers of an LSTM with 320 floats, as in pytorch/pytorch issue 2895, where the reserve had 736 000 000 bytes.
#[test]
fn an_lstm_has_its_weights_in_a_row_and_keeps_what_was_measured() {
    let gpu = Gpu::with(SMALL);
    let (mut network, mut data, mut matrix, mut bias) = (0, 0, 0, 0);
    call!(gpu, b"cudnnCreateRNNDescriptor", &mut network => &mut usize);
    call!(gpu, b"cudnnCreateRNNDataDescriptor", &mut data => &mut usize);
    call!(gpu, b"cudnnCreateTensorDescriptor", &mut matrix => &mut usize);
    call!(gpu, b"cudnnCreateTensorDescriptor", &mut bias => &mut usize);
    // CUDNN_LSTM, CUDNN_RNN_DOUBLE_BIAS, CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, CUDNN_DATA_FLOAT
    let set = call!(
        gpu, b"cudnnSetRNNDescriptor_v8",
        network => usize, 0 => i32, 2 => i32, 2 => i32, 0 => i32, 0 => i32, 0 => i32, 0 => i32, 0 => i32,
        123 => i32, 320 => i32, 320 => i32, 4 => i32, 0 => usize, 0 => u32
    );
    assert_eq!(set, 0);
    let mut bytes = 0;
    call!(gpu, b"cudnnGetRNNWeightSpaceSize", 0 => usize, network => usize, &mut bytes => &mut usize);
    // The parameters of `torch.nn.LSTM(123, 320, 4)`.
    assert_eq!(bytes, 3_034_880 * 4);
    let mut next = 1 << 40;
    for number in 0..8 {
        let (mut place, mut beside) = (0usize, 0usize);
        let found = call!(
            gpu, b"cudnnGetRNNWeightParams",
            0 => usize, network => usize, 1 => i32, bytes => usize, 1usize << 40 => usize, number => i32,
            matrix => usize, &mut place => &mut usize, bias => usize, &mut beside => &mut usize
        );
        let (mut kind, mut count, mut sizes, mut strides) = (9, 0, [0; 3], [0; 3]);
        call!(
            gpu, b"cudnnGetTensorNdDescriptor",
            matrix => usize, 3 => i32, &mut kind => &mut i32, &mut count => &mut i32,
            &mut sizes => &mut [i32; 3], &mut strides => &mut [i32; 3]
        );
        assert_eq!((found, count, sizes), (0, 3, [1, 320, 320]));
        // The first layer's eight matrices come before those of the second.
        let expected = if number == 0 { (1 << 40) + 4 * 4 * (320 * 123 + 320 * 320) } else { next };
        assert_eq!(place, expected, "matrix {number}");
        next = place + 4 * 320 * 320;
        let biases = (1 << 40) + bytes - 4 * (4 * 8 * 320);
        assert_eq!(beside, biases + 4 * 320 * (8 + number as usize), "bias {number}");
    }
    let lengths = [1000; 25];
    call!(
        gpu, b"cudnnSetRNNDataDescriptor",
        data => usize, 0 => i32, 0 => i32, 1000 => i32, 25 => i32, 123 => i32, &lengths => &[i32; 25], 0 => usize
    );
    let (mut scratch, mut kept) = (1, 1);
    call!(
        gpu, b"cudnnGetRNNTempSpaceSizes",
        0 => usize, network => usize, 1 => i32, data => usize, &mut scratch => &mut usize, &mut kept => &mut usize
    );
    assert_eq!((scratch, kept), (0, 736_000_000));
    let counted = gpu.state().calls;
    assert!(counted.iter().any(|(symbol, count)| {
        *count == 1 && symbols().nth(*symbol).is_some_and(|symbol| symbol.answer() == Answer::LeastSize)
    }));
}
