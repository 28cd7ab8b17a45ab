//! Kernels: known by name, never run; and what the host reads of their results.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CStr;

use std::sync::{LazyLock, Mutex, PoisonError};

use super::machine::machine;
use crate::state::OfProcess;

thread_local! {
    /// The kernel that this thread launched last, by the address of its host function.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// Names by host function: pairs are noted while libraries load, and sorted when somebody asks.
static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Names {
    /// Host function and the address of its name, which lies in the library that registered it.
    noted: Vec<(usize, usize)>,
    traits: HashMap<usize, Traits>,
}

/// What its name says of a kernel.
#[derive(Clone, Copy, Default)]
struct Traits {
    /// A flag that it writes is false: whether *any* is true, or a number that was turned into a flag.
    denies: bool,
    /// It selects by value: the size of its result depends on the data.
    selects: bool,
}

/// Parts of the names of kernels whose result has a size that only the data tells: `nonzero`, `masked_select`, `unique`.
const SELECTING: [&str; 4] = ["DeviceSelect", "DeviceRunLength", "DeviceUniqueByKey", "NonZeroOp"];

/// Parts of the names of PyTorch's kernels that are to deny: `any()`, and the copy of zeros to flags.
const DENYING: [&str; 2] = ["14or_kernel_cuda", "23direct_copy_kernel_cuda"];

pub(super) fn register(host_function: usize, name: usize) {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).noted.push((host_function, name));
}

pub(super) fn launched(host_function: usize, stream: usize) {
    LAST.set(host_function);
    machine().counters.add(OfProcess::Launches, 1);
    super::streams::launched(stream);
}

impl Names {
    fn traits(&mut self, host_function: usize) -> Traits {
        if let Some(known) = self.traits.get(&host_function) {
            return *known;
        }
        let noted = self.noted.iter().find(|(function, _)| *function == host_function);
        let traits = noted.map_or_else(Traits::default, |(_, name)| {
            // SAFETY: the library that registered the kernel keeps its name for as long as it is loaded.
            let name = unsafe { CStr::from_ptr(*name as *const _) }.to_string_lossy();
            Traits {
                denies: DENYING.iter().any(|part| name.contains(part)),
                selects: SELECTING.iter().any(|part| name.contains(part)),
            }
        });
        self.traits.insert(host_function, traits);
        traits
    }
}

/// The byte that a read of the GPU's memory is filled with: zero, but for a flag alone, which is true (`all(…)`, a
/// comparison) unless its kernel denies, as in `isnan(x).any()`.
pub(super) fn read(bytes: usize) -> u8 {
    let counters = &machine().counters;
    counters.add(OfProcess::Reads, 1);
    let traits = NAMES.lock().unwrap_or_else(PoisonError::into_inner).traits(LAST.get());
    if traits.selects && bytes <= 8 {
        counters.add(OfProcess::SizeReads, 1);
    }
    u8::from(bytes == 1 && machine().settings.flags && !traits.denies)
}
