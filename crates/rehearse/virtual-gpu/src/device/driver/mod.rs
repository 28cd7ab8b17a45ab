//! `libcuda`.

mod context;
mod memory;
mod module;
mod virtual_memory;

use std::ffi::{CStr, CString, c_char};

use super::{NOT_FOUND, SUCCESS, Status, answer, libc};

/// The address of a function of the driver in its newest version; 0 if there is none.
///
/// # Safety
/// `name` is null or a text with an end.
pub(super) unsafe fn entry_point(name: *const c_char) -> usize {
    if name.is_null() {
        return 0;
    }
    // SAFETY: as the caller promises.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let forms = [format!("{name}_v2"), name.into_owned()];
    forms.into_iter().map(|form| own_symbol(&form)).find(|address| *address != 0).unwrap_or(0)
}

/// A function of this library by name.
fn own_symbol(name: &str) -> usize {
    let Ok(name) = CString::new(name) else { return 0 };
    // SAFETY: the name has an end, and the handle asks for what is loaded.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) as usize }
}

/// # Safety
/// `name` is a text with an end.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetProcAddress(
    name: *const c_char,
    function: Option<&mut usize>,
    _version: i32,
    _flags: u64,
) -> Status {
    // SAFETY: as the caller promises.
    let address = unsafe { entry_point(name) };
    answer(function, address);
    if address == 0 { NOT_FOUND } else { SUCCESS }
}

/// # Safety
/// As for [`cuGetProcAddress`].
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetProcAddress_v2(
    name: *const c_char,
    function: Option<&mut usize>,
    version: i32,
    flags: u64,
    found: Option<&mut i32>,
) -> Status {
    // SAFETY: as the caller promises.
    let status = unsafe { cuGetProcAddress(name, function, version, flags) };
    answer(found, i32::from(status != SUCCESS));
    status
}

/// The driver's undocumented tables, of which this library has none. A statically linked runtime (that of CuTe's compiler,
/// for example) first requests two of them (f8cff951-2146-8b4e-b9e2-fb469e7c0dd9 and 6bd5fb6c-5bf4-e74a-8987-d93912fd9df9)
/// and calls the functions in them. NVIDIA does not document these functions, and a guess would crash. Without the tables the
/// runtime reports that it cannot initialise.
#[unsafe(no_mangle)]
extern "C" fn cuGetExportTable(table: Option<&mut usize>, _id: usize) -> Status {
    answer(table, 0);
    super::unmodelled::not_answered("cuGetExportTable");
    NOT_FOUND
}
