//! Kernels: known by name, never run; and what the host reads of their results.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CStr;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::flags::{self, Flag, Flags};
use super::machine::machine;
use super::runtime::code::{self, Code};
use crate::state::OfProcess;

thread_local! {
    /// The kernel that this thread launched last, by the address of its host function.
    static LAST: Cell<usize> = const { Cell::new(0) };
    /// The one before.
    static BEFORE: Cell<usize> = const { Cell::new(0) };
}

/// Names by host function: pairs are noted while libraries load, and sorted when somebody asks.
static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

/// A kernel as its library registered it: the host function, and where its name and its image's wrapper are.
type Noted = (usize, usize, usize);

#[derive(Default)]
struct Names {
    noted: Vec<Noted>,
    is_sorted: bool,
    traits: HashMap<usize, Traits>,
    flags: Flags,
}

/// What its name says of a kernel.
#[derive(Clone, Copy, Default)]
struct Traits {
    /// The flag that it writes.
    flag: Option<Flag>,
    /// It selects by value: the size of its result depends on the data.
    selects: bool,
    /// It counts: `mask.sum()`, which turns flags into whole numbers first.
    counts: bool,
}

/// Parts of the names of kernels whose result has a size that only the data tells: `nonzero`, `masked_select`, `unique`.
const SELECTING: [&str; 4] = ["DeviceSelect", "DeviceRunLength", "DeviceUniqueByKey", "NonZeroOp"];

pub(super) fn register(host_function: usize, name: usize, image: usize) {
    let mut names = names();
    names.noted.push((host_function, name, image));
    names.is_sorted = false;
}

fn names() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn launched(host_function: usize, stream: usize) {
    BEFORE.set(LAST.replace(host_function));
    machine().counters.add(OfProcess::Launches, 1);
    super::streams::launched(stream);
}

/// The code of a kernel that the GPU runs; one for the GPU itself where that is not known.
pub(super) fn code(host_function: usize) -> Code {
    let (major, minor) = machine().settings.compute_capability;
    let gpu = major * 10 + minor;
    let image = names().noted(host_function).map_or(0, |(.., image)| image);
    // SAFETY: a library registered it.
    unsafe { code::of(image, gpu) }.unwrap_or(Code { compiled: gpu, binary: gpu })
}

/// A kernel was launched that may have written a flag. One of several blocks writes many, of which nothing is kept.
///
/// # Safety
/// `arguments` are the kernel's.
pub(super) unsafe fn may_have_written(host_function: usize, arguments: usize, is_one_block: bool) {
    if arguments == 0 || !machine().settings.flags {
        return;
    }
    let mut names = names();
    let counted = names.traits(BEFORE.get()).counts;
    match names.traits(host_function).flag {
        // SAFETY: as the caller promises.
        Some(Flag::ComparedWith { order: false, is_float: false, .. }) if counted && is_one_block => unsafe {
            names.flags.write_all_counted(arguments as *const *const u8);
        },
        // SAFETY: as the caller promises.
        Some(flag) if is_one_block || matches!(flag, Flag::Is(_)) => unsafe {
            names.flags.write(flag, arguments as *const *const u8);
        },
        Some(Flag::Unknown) | None => {}
        Some(_) => names.flags.forget(),
    }
}

/// The host writes at an address.
pub(super) fn overwritten(address: usize) {
    names().flags.gone(address);
}

/// What is at one address is copied to another.
pub(super) fn moved(to: usize, from: usize) {
    names().flags.moved(to, from);
}

impl Names {
    fn noted(&mut self, host_function: usize) -> Option<Noted> {
        if !self.is_sorted {
            self.noted.sort_unstable();
            self.is_sorted = true;
        }
        let place = self.noted.partition_point(|(function, ..)| *function < host_function);
        self.noted.get(place).filter(|(function, ..)| *function == host_function).copied()
    }

    fn traits(&mut self, host_function: usize) -> Traits {
        if let Some(known) = self.traits.get(&host_function) {
            return *known;
        }
        let noted = self.noted(host_function);
        let traits = noted.map_or_else(Traits::default, |(_, name, _)| {
            // SAFETY: the library that registered the kernel keeps its name for as long as it is loaded.
            let name = unsafe { CStr::from_ptr(name as *const _) }.to_string_lossy();
            Traits {
                flag: flags::written_by(&name),
                selects: SELECTING.iter().any(|part| name.contains(part)),
                counts: ["8ReduceOpIb", "8ReduceOpIl"].iter().any(|part| name.contains(part))
                    && name.contains("11sum_functor"),
            }
        });
        self.traits.insert(host_function, traits);
        traits
    }
}

/// The byte that a read of the GPU's memory is filled with: zero, but for a flag alone, which is what its kernel made of
/// zeros, and else true.
pub(super) fn read(address: usize, bytes: usize) -> u8 {
    let counters = &machine().counters;
    counters.add(OfProcess::Reads, 1);
    let mut names = names();
    let traits = names.traits(LAST.get());
    if traits.selects && bytes <= 8 {
        counters.add(OfProcess::SizeReads, 1);
    }
    if bytes != 1 || !machine().settings.flags {
        return 0;
    }
    u8::from(names.flags.get(address).unwrap_or(traits.flag != Some(Flag::Is(false))))
}
