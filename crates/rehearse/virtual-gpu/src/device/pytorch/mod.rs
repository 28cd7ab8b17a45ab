//! PyTorch's own kernels, which are recognised by their mangled names (those of PyTorch 2.4 to 2.15).
//!
//! Other programs' kernels match none of the names, and their [`Traits`] are the default: nothing is known of them.

pub(in crate::device) mod flags;
pub(in crate::device) mod masks;

use flags::Flag;

/// Parts of the names of kernels whose result has a size that depends on the data: `nonzero`, `masked_select`, `unique`.
const SELECTING: [&str; 4] = ["DeviceSelect", "DeviceRunLength", "DeviceUniqueByKey", "NonZeroOp"];
/// Sums over flags and over 64-bit whole numbers, which end in the mangled type `b` or `l`.
const COUNTING: [&str; 2] = ["8ReduceOpIb", "8ReduceOpIl"];
/// Copies that change the type of each element.
const CASTING: [&str; 2] = ["23direct_copy_kernel_cuda", "27converting_copy_kernel_cuda"];

/// What a kernel's name says about it.
#[derive(Clone, Copy, Default)]
pub(in crate::device) struct Traits {
    /// The flag that it writes.
    pub flag: Option<Flag>,
    /// It selects by value: the size of its result depends on the data.
    pub selects: bool,
    /// It counts: `mask.sum()`, which turns flags into whole numbers first.
    pub counts: bool,
    /// It casts one element after the other.
    pub casts: bool,
    /// It reduces many elements to one.
    pub reduces: bool,
    /// It belongs to PyTorch's own library, whose operators say which of their arguments they write.
    pub is_pytorchs: bool,
}

impl Traits {
    /// The traits of the kernel with this mangled name.
    pub fn of(name: &str) -> Traits {
        let has_one_of = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        Traits {
            flag: flags::written_by(name),
            selects: has_one_of(&SELECTING),
            counts: has_one_of(&COUNTING) && name.contains("11sum_functor"),
            casts: flags::is_elementwise(name) && has_one_of(&CASTING),
            reduces: name.contains("13reduce_kernel"),
            is_pytorchs: false,
        }
    }
}
