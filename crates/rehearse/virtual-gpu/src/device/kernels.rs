//! Kernels are registered with their names and never run. This module decides what the host reads of their results.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::hook;
use super::libc;
use super::machine::machine;
use super::pytorch::Traits;
use super::pytorch::flags::{self, Flag, Flags};
use super::pytorch::masks::{Found, Made, Masks};
use super::runtime::code::{self, Code};
use crate::state::OfProcess;

thread_local! {
    /// The kernel that this thread launched last, by the address of its host function.
    static LAST: Cell<usize> = const { Cell::new(0) };
    /// The kernel that this thread launched before that one.
    static BEFORE: Cell<usize> = const { Cell::new(0) };
}

/// Names by host function. Libraries register tens of thousands while they load; they are sorted at the first look-up.
static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

/// A kernel as its library registered it: the addresses of its host function, its name, and the wrapper of its image.
type Noted = (usize, usize, usize);

#[derive(Default)]
struct Names {
    noted: Vec<Noted>,
    is_sorted: bool,
    traits: HashMap<usize, Traits>,
    flags: Flags,
    masks: Masks,
    /// The result of the last count over a mask.
    counted: Option<Found>,
}

/// Notes a kernel that a library registers.
pub(super) fn register(host_function: usize, name: usize, image: usize) {
    let mut names = names();
    names.noted.push((host_function, name, image));
    names.is_sorted = false;
}

fn names() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a launch, and remembers the kernel for the next read.
pub(super) fn launched(host_function: usize, stream: usize) {
    count_launch(host_function, stream);
    if !names().traits(host_function).is_pytorchs {
        hook::unfollowed();
    }
}

/// As [`launched`], for a kernel that was loaded through the driver: those of Triton, of NVRTC, and of other compilers.
pub(super) fn launched_by_driver(function: usize, stream: usize) {
    count_launch(function, stream);
    hook::unfollowed();
}

fn count_launch(function: usize, stream: usize) {
    BEFORE.set(LAST.replace(function));
    machine().counters.add(OfProcess::Launches, 1);
    super::streams::launched(stream);
}

/// The code of a kernel that this GPU would run; if its image is not known, code for exactly this GPU.
pub(super) fn code(host_function: usize) -> Code {
    let (major, minor) = machine().settings.compute_capability;
    let gpu = major * 10 + minor;
    let image = names().noted(host_function).map_or(0, |(.., image)| image);
    // SAFETY: a library registered it.
    unsafe { code::of(image, gpu) }.unwrap_or(Code { compiled: gpu, binary: gpu })
}

/// Notes what a launched kernel may have written. A kernel of several blocks writes many flags, of which only masks are
/// kept.
///
/// # Safety
/// `arguments` are the kernel's.
pub(super) unsafe fn may_have_written(host_function: usize, arguments: usize, is_one_block: bool) {
    if arguments == 0 || !machine().settings.flags {
        return;
    }
    let arguments = arguments as *const *const u8;
    let mut names = names();
    let (traits, counted) = (names.traits(host_function), names.traits(BEFORE.get()).counts);
    // SAFETY: as the caller promises.
    let found = unsafe { names.follow_masks(traits, arguments) };
    match traits.flag {
        // SAFETY: as the caller promises.
        Some(Flag::ComparedWith { order: false, is_float: false, .. }) if counted && is_one_block => unsafe {
            let are_all = names.counted.is_none_or(|found| found.all);
            names.flags.write_count(arguments, are_all);
        },
        Some(Flag::Is(value)) => {
            names
                .flags
                .reduced(found.map_or(value, |found| if value { found.all } else { found.any }), found);
        }
        // SAFETY: as the caller promises.
        Some(flag) if is_one_block => unsafe { names.flags.write(flag, arguments) },
        Some(Flag::Unknown) | None => {}
        Some(_) => names.flags.forget(),
    }
}

/// Notes that the host copies bytes to the GPU.
pub(super) fn put(address: usize, bytes: &[u8]) {
    let mut names = names();
    names.flags.gone(address);
    names.masks.put(address, bytes);
}

/// Notes that the host sets memory at an address.
pub(super) fn cleared(address: usize) {
    let mut names = names();
    names.flags.gone(address);
    names.masks.gone(address);
}

/// Notes a copy from one address of the GPU to another.
pub(super) fn moved(to: usize, from: usize, bytes: usize) {
    let mut names = names();
    if bytes == 1 {
        names.flags.moved(to, from);
    }
    names.masks.gone(to);
}

impl Names {
    /// Updates the tracked masks for this launch, and returns the result if the kernel reduces one.
    ///
    /// # Safety
    /// `arguments` are those of a kernel with these traits.
    unsafe fn follow_masks(&mut self, traits: Traits, arguments: *const *const u8) -> Option<Found> {
        if traits.counts {
            self.counted = None;
        }
        if self.masks.is_empty() {
            return None;
        }
        if traits.reduces && (traits.counts || matches!(traits.flag, Some(Flag::Is(_)))) {
            let is_device = |address| machine().memory().device_of(address).is_some();
            // SAFETY: the structure that a reduction takes lies on the stack of the caller, with more behind it.
            let found = unsafe { self.masks.reduced(*arguments, is_device) };
            if traits.counts {
                self.counted = found;
            }
            return found;
        }
        let made = match traits.flag {
            _ if traits.casts => Some(Made::Cast),
            Some(Flag::Is(_)) => return None,
            // SAFETY: as the caller promises.
            Some(flag) => unsafe { flags::made(flag, arguments) },
            None => return None,
        };
        // SAFETY: an elementwise kernel has its number of elements, its function and its addresses.
        unsafe {
            let count = (*arguments).cast::<u32>().read_unaligned() as usize;
            let addresses = (*arguments.add(2)).cast::<usize>();
            match made {
                Some(made) => {
                    let (to, from) = (addresses.read_unaligned(), addresses.add(1).read_unaligned());
                    self.masks.made(to, from, count, made);
                }
                None => self.masks.gone(addresses.read_unaligned()),
            }
        }
        None
    }

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
            Traits { is_pytorchs: libc::file_of(host_function).contains("libtorch"), ..Traits::of(&name) }
        });
        self.traits.insert(host_function, traits);
        traits
    }
}

/// The byte with which a read of the GPU's memory is filled. It is zero, except for a read of one byte, which is a flag: the
/// value that its kernel would compute from zeros if that is known, and true if it is not.
pub(super) fn read(address: usize, bytes: usize) -> u8 {
    let counters = &machine().counters;
    counters.add(OfProcess::Reads, 1);
    hook::unknown();
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
