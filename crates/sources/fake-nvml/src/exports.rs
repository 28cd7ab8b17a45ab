//! The functions that the library exports, with the parameters of nvml.h. The functions themselves are in `layout` and
//! `fixture`, by the shape of their parameters.

#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_uint, c_void};

use crate::fixture::{Failure, NOT_SUPPORTED, gpus, handle, initialize, of_gpu, of_system, shut_down};
use crate::layout;

/// An `nvmlDevice_t`.
type Device = usize;

fn status(result: Result<(), Failure>) -> c_int {
    result.err().unwrap_or(0)
}

/// Declares the functions by their shapes, and lists their names.
macro_rules! exports {
    ($($shape:ident: $($function:ident)+;)+) => {
        /// The names of all functions.
        pub const EXPORTS: &[&str] = &[$($(stringify!($function)),+),+];
        $($(export!($shape $function);)+)+
    };
}

/// Defines a function with these parameters, which returns the status of the last expression.
macro_rules! define {
    ($function:ident ($($parameter:ident: $kind:ty),*) $body:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function($($parameter: $kind),*) -> c_int {
            let answer = || $body;
            status(answer())
        }
    };
}

/// One function of a shape.
macro_rules! export {
    (initialize $f:ident) => { define!($f() initialize(stringify!($f))); };
    (shut_down $f:ident) => { define!($f() shut_down()); };
    (system_text $f:ident) => {
        define!($f(text: *mut c_char, room: c_uint) {
            // SAFETY: the caller has room for as many bytes as it says.
            unsafe { layout::text(of_system(stringify!($f))?, text, room) }
        });
    };
    (system_number $f:ident) => {
        define!($f(number: *mut c_uint) {
            // SAFETY: the caller's pointer.
            unsafe { layout::number(of_system(stringify!($f))?, number) }
        });
    };
    (count $f:ident) => {
        define!($f(number: *mut c_uint) {
            // SAFETY: the caller's pointer.
            unsafe { layout::number(&gpus()?.len().into(), number) }
        });
    };
    (handle $f:ident) => {
        define!($f(index: c_uint, found: *mut Device) {
            // SAFETY: the caller's pointer.
            unsafe { found.write(handle(None, index)?) };
            Ok(())
        });
    };
    (partition $f:ident) => {
        define!($f(parent: Device, index: c_uint, found: *mut Device) {
            // SAFETY: the caller's pointer.
            unsafe { found.write(handle(Some(parent), index)?) };
            Ok(())
        });
    };
    (text $f:ident) => {
        define!($f(device: Device, text: *mut c_char, room: c_uint) {
            // SAFETY: the caller has room for as many bytes as it says.
            unsafe { layout::text(of_gpu(device, stringify!($f))?, text, room) }
        });
    };
    (number $f:ident) => {
        define!($f(device: Device, number: *mut c_uint) {
            // SAFETY: the caller's pointer.
            unsafe { layout::number(of_gpu(device, stringify!($f))?, number) }
        });
    };
    (two_numbers $f:ident) => {
        define!($f(device: Device, first: *mut c_uint, second: *mut c_uint) {
            let pair = of_gpu(device, stringify!($f))?;
            // SAFETY: the caller's pointers.
            unsafe { layout::number(&pair[0], first).and_then(|()| layout::number(&pair[1], second)) }
        });
    };
    (struct_of_two $f:ident) => {
        define!($f(device: Device, rates: *mut [c_uint; 2]) {
            let pair = of_gpu(device, stringify!($f))?;
            let first = rates.cast::<c_uint>();
            // SAFETY: the caller has room for a struct of two numbers.
            unsafe { layout::number(&pair[0], first).and_then(|()| layout::number(&pair[1], first.add(1))) }
        });
    };
    (bus $f:ident) => {
        define!($f(device: Device, room: *mut c_void) {
            // SAFETY: the caller has room for the struct.
            unsafe { layout::bus(device, stringify!($f), room) }
        });
    };
    (memory $f:ident) => {
        define!($f(device: Device, room: *mut c_void) {
            // SAFETY: the caller has room for the struct.
            unsafe { layout::memory(device, stringify!($f), room) }
        });
    };
    (list $f:ident) => {
        define!($f(device: Device, count: *mut c_uint, room: *mut c_void) {
            // SAFETY: the caller has room for as many entries as it says.
            unsafe { layout::processes(device, stringify!($f), count, room) }
        });
    };
    // Only whether it is there matters.
    (struct_without_figures $f:ident) => {
        define!($f(_device: Device, _room: *mut c_void) Err(NOT_SUPPORTED));
    };
}

exports! {
    initialize: nvmlInit_v2 nvmlInit;
    shut_down: nvmlShutdown;
    system_text: nvmlSystemGetDriverVersion nvmlSystemGetNVMLVersion;
    system_number: nvmlSystemGetCudaDriverVersion_v2 nvmlSystemGetCudaDriverVersion;
    count: nvmlDeviceGetCount_v2 nvmlDeviceGetCount;
    handle: nvmlDeviceGetHandleByIndex_v2 nvmlDeviceGetHandleByIndex;
    partition: nvmlDeviceGetMigDeviceHandleByIndex;
    text: nvmlDeviceGetName nvmlDeviceGetUUID;
    number: nvmlDeviceGetPersistenceMode nvmlDeviceGetVirtualizationMode nvmlDeviceGetMaxMigDeviceCount
        nvmlDeviceGetGpuInstanceId;
    two_numbers: nvmlDeviceGetMigMode nvmlDeviceGetDriverModel;
    struct_of_two: nvmlDeviceGetUtilizationRates;
    bus: nvmlDeviceGetPciInfo_v3 nvmlDeviceGetPciInfo_v2;
    memory: nvmlDeviceGetMemoryInfo_v2 nvmlDeviceGetMemoryInfo;
    list: nvmlDeviceGetComputeRunningProcesses_v3 nvmlDeviceGetComputeRunningProcesses_v2
        nvmlDeviceGetComputeRunningProcesses nvmlDeviceGetGraphicsRunningProcesses_v3
        nvmlDeviceGetGraphicsRunningProcesses_v2 nvmlDeviceGetGraphicsRunningProcesses
        nvmlDeviceGetMPSComputeRunningProcesses_v3 nvmlDeviceGetMPSComputeRunningProcesses_v2
        nvmlDeviceGetMPSComputeRunningProcesses;
    struct_without_figures: nvmlDeviceGetConfComputeMemSizeInfo nvmlDeviceGetRunningProcessDetailList;
}
