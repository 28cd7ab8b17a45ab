//! The five functions of libc that the library calls, with their constants.
//!
//! They are declared here so that the library has no dependency: `build.rs` compiles it by one call of rustc, which works
//! from the registry, from a vendored folder and without a network. Numbers are those of Linux's `asm-generic/mman-common.h`
//! and `asm-generic/mman.h` (6.12), which x86-64 and ARM use; POWER's `mman.h` has another `MAP_NORESERVE`.

use std::ffi::{CStr, c_char, c_int, c_void};

#[allow(non_camel_case_types)]
pub(super) type pid_t = i32;

pub(super) const PROT_NONE: c_int = 0;
pub(super) const PROT_READ: c_int = 1;
pub(super) const PROT_WRITE: c_int = 2;
pub(super) const MAP_SHARED: c_int = 1;
pub(super) const MAP_PRIVATE: c_int = 2;
pub(super) const MAP_ANONYMOUS: c_int = 0x20;
pub(super) const MAP_NORESERVE: c_int = if cfg!(target_arch = "powerpc64") { 0x40 } else { 0x4000 };
/// No such process.
pub(super) const ESRCH: c_int = 3;
/// What `mmap` returns when it fails.
pub(super) const MAP_FAILED: *mut c_void = !0 as *mut c_void;
/// The handle with which `dlsym` searches everything that is loaded.
pub(super) const RTLD_DEFAULT: *mut c_void = std::ptr::null_mut();

// `off_t` has 64 bits on every 64-bit Linux; CUDA is on no other.
#[cfg(not(target_pointer_width = "64"))]
compile_error!("the virtual GPU is a library for 64-bit Linux");

unsafe extern "C" {
    pub(super) fn mmap(
        address: *mut c_void,
        bytes: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    pub(super) fn munmap(address: *mut c_void, bytes: usize) -> c_int;
    pub(super) fn kill(process: pid_t, signal: c_int) -> c_int;
    pub(super) fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dladdr(address: *const c_void, found: *mut DlInfo) -> c_int;
}

/// `Dl_info` of glibc and of musl.
#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

/// The path of the library that holds an address; empty if none does.
pub(super) fn file_of(address: usize) -> String {
    let null: *mut c_void = std::ptr::null_mut();
    let mut found = DlInfo { file: null.cast(), base: null, symbol: null.cast(), address: null };
    // SAFETY: `dladdr` takes any address, and writes to the structure only.
    let is_found = unsafe { dladdr(address as *const c_void, &raw mut found) } != 0;
    if !is_found || found.file.is_null() {
        return String::new();
    }
    // SAFETY: the loader keeps the path of a library for as long as it is loaded.
    unsafe { CStr::from_ptr(found.file) }.to_string_lossy().into_owned()
}
