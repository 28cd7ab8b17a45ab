//! Flags that programs act on: `if torch.isnan(loss)`, `while error > tolerance`, `assert torch.isfinite(norm)`.
//!
//! Every value on the virtual GPU is zero, so the comparison of one element has an answer: zero equals zero, is not above
//! one, and is not NaN. PyTorch's comparison kernels carry the number that they compare with in their arguments, and this
//! module reads it there (`aten/src/ATen/native/cuda/CompareEQ.cu` and `CompareKernels.cu` of PyTorch 2.4 to 2.15). For
//! `any` and `all` over many elements the answer is a policy: nothing is wrong (`any` is false) and everything is right
//! (`all` is true).

use std::collections::HashMap;

use super::masks::{Found, Made};

/// What a kernel writes into a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::device) enum Flag {
    /// A fixed value: `any` over many is false, `all` over many is true, and a number cast to a flag is false.
    Is(bool),
    /// Equality (or an order) of two tensors.
    Compared { order: bool },
    /// The same with a number of `bytes` bytes, which follows the operator at the number's own alignment.
    ComparedWith { order: bool, bytes: usize, is_float: bool, is_signed: bool },
    /// Two flags joined by `and` (`all`) or by `or`.
    Joined { all: bool },
    /// `not` of a flag.
    Negated,
    /// The result of another elementwise kernel, which is not followed: the flag at its address is no longer known.
    Unknown,
}

/// The flag that the kernel with this mangled name writes; `None` if it is not known to write one.
pub(in crate::device) fn written_by(name: &str) -> Option<Flag> {
    let fixed =
        [("14or_kernel_cuda", false), ("15and_kernel_cuda", true), ("23direct_copy_kernel_cuda", false)];
    if let Some((_, value)) = fixed.iter().find(|(part, _)| name.contains(part)) {
        return Some(Flag::Is(*value));
    }
    // Their arguments are the number of elements, the function, and the addresses.
    if !is_elementwise(name) {
        return None;
    }
    let has = |part: &str| name.contains(part);
    let order = has("15CompareFunctorI");
    if order || has("16CompareEqFunctorI") {
        return match number_after(name, "AUnaryFunctorI").or_else(|| number_after(name, "BUnaryFunctorI")) {
            // The functor holds half precision as `opmath_t`, which is float: 4 bytes.
            Some((2, true, _)) => {
                Some(Flag::ComparedWith { order, bytes: 4, is_float: true, is_signed: true })
            }
            Some((bytes, is_float, is_signed)) => {
                Some(Flag::ComparedWith { order, bytes, is_float, is_signed })
            }
            None if has("BinaryFunctorI") => Some(Flag::Compared { order }),
            None => Some(Flag::Unknown),
        };
    }
    if let Some((bytes, is_float, is_signed)) = number_after(name, "21compare_scalar_kernelI") {
        return Some(Flag::ComparedWith { order: true, bytes, is_float, is_signed });
    }
    let either = |parts: [&str; 2]| has("BinaryFunctorI") && parts.iter().any(|part| has(part));
    if either(["22logical_or_kernel_cuda", "BitwiseOrFunctorIb"]) {
        return Some(Flag::Joined { all: false });
    }
    // `isfinite` is `(x == x) * (x.abs() != inf)`.
    if either(["23logical_and_kernel_cuda", "BitwiseAndFunctorIb"]) || either(["10MulFunctorIb"; 2]) {
        return Some(Flag::Joined { all: true });
    }
    // Of flags, `~` is `logical_not`.
    let is_negated = has("logical_not_kernel_cuda") || has("bitwise_not_kernel_cuda");
    Some(if is_negated { Flag::Negated } else { Flag::Unknown })
}

pub(in crate::device) fn is_elementwise(name: &str) -> bool {
    ["29vectorized_elementwise_kernel", "27unrolled_elementwise_kernel"]
        .iter()
        .any(|part| name.contains(part))
}

/// How a kernel that writes this flag transforms a mask; `None` if it is not known to.
///
/// # Safety
/// `arguments` are those of a kernel for whose name [`written_by`] returned this flag, and live as long as the result.
pub(in crate::device) unsafe fn made<'a>(flag: Flag, arguments: *const *const u8) -> Option<Made<'a>> {
    match flag {
        Flag::Negated => Some(Made::Contrary),
        Flag::ComparedWith { order: false, bytes, is_float, is_signed } => {
            // SAFETY: as in `Flags::write`.
            let (operator, number) = unsafe { compared_with(*arguments.add(1), bytes) };
            // A whole number that is compared with a float is cast first, so the bytes are equal for zero alone.
            let is_known = !is_float || sign(number, is_float, is_signed) == 0;
            is_known.then_some(Made::Compared { number, is_unequal: operator != 0 })
        }
        _ => None,
    }
}

/// The size in bytes of the type whose mangled name follows `part` in a kernel's name, whether it is a floating-point type,
/// and whether it is signed.
fn number_after(name: &str, part: &str) -> Option<(usize, bool, bool)> {
    let rest = name.split_once(part)?.1;
    if rest.starts_with("N3c108BFloat16E") || rest.starts_with("N3c104HalfE") {
        return Some((2, true, true));
    }
    Some(match rest.as_bytes().first()? {
        b'f' => (4, true, true),
        b'd' => (8, true, true),
        b'l' => (8, false, true),
        b'i' => (4, false, true),
        b's' => (2, false, true),
        b'a' => (1, false, true),
        b'h' | b'b' => (1, false, false),
        _ => return None,
    })
}

/// Flags on the GPU, by address.
#[derive(Default)]
pub(in crate::device) struct Flags {
    known: HashMap<usize, bool>,
    /// The value that was written last, which is taken for a flag at an unknown address.
    last: bool,
}

impl Flags {
    /// Notes the flag that a kernel of one block writes.
    ///
    /// # Safety
    /// `arguments` are those of a kernel for whose name [`written_by`] returned this flag.
    pub unsafe fn write(&mut self, flag: Flag, arguments: *const *const u8) {
        if let Flag::Is(value) = flag {
            return self.reduced(value, None);
        }
        // SAFETY: the second and the third argument of an elementwise kernel: a function, and at least two addresses.
        let (function, addresses) = unsafe { (*arguments.add(1), (*arguments.add(2)).cast::<usize>()) };
        // SAFETY: as many addresses as the kernel has operands, and one for its result.
        let address = |at: usize| unsafe { addresses.add(at).read_unaligned() };
        let value = match flag {
            Flag::Is(value) => value,
            Flag::Unknown => return self.gone(address(0)),
            Flag::Negated => !self.at(address(1)),
            Flag::Joined { all: true } => self.at(address(1)) && self.at(address(2)),
            Flag::Joined { all: false } => self.at(address(1)) || self.at(address(2)),
            // SAFETY: such functions begin with their operator, an `int`.
            Flag::Compared { order } => holds(order, unsafe { operator(function) }, 0),
            Flag::ComparedWith { order, bytes, is_float, is_signed } => {
                // SAFETY: and the number comes behind it.
                let (operator, number) = unsafe { compared_with(function, bytes) };
                holds(order, operator, sign(number, is_float, is_signed))
            }
        };
        self.known.insert(address(0), value);
        self.last = value;
    }

    /// Notes the comparison of a count of flags with a number (transformers writes `mask.sum() == mask.numel()` instead of
    /// `mask.all()`). The two are equal if all flags are set; `are_all` is true for flags that are not known.
    ///
    /// # Safety
    /// `arguments` are those of a kernel that [`written_by`] calls equality with a number.
    pub unsafe fn write_count(&mut self, arguments: *const *const u8, are_all: bool) {
        // SAFETY: as in `write`.
        let (asks_equal, address) = unsafe {
            (operator(*arguments.add(1)) == 0, (*arguments.add(2)).cast::<usize>().read_unaligned())
        };
        self.known.insert(address, asks_equal == are_all);
        self.last = asks_equal == are_all;
    }

    /// Notes a reduction of many flags to one. Its address is known only for a mask that was followed.
    pub fn reduced(&mut self, value: bool, found: Option<Found>) {
        self.known.clear();
        self.last = value;
        if let Some(found) = found {
            self.known.insert(found.to, value);
        }
    }

    /// Drops all flags, after a kernel that wrote flags which are not followed.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Drops the flag at an address, because something else was written there.
    pub fn gone(&mut self, address: usize) {
        self.known.remove(&address);
    }

    fn at(&self, address: usize) -> bool {
        self.known.get(&address).copied().unwrap_or(self.last)
    }

    /// The flag at an address; `None` if no kernel is known to have written one.
    pub fn get(&self, address: usize) -> Option<bool> {
        self.known.get(&address).copied()
    }

    /// Copies a flag from one address to another.
    pub fn moved(&mut self, to: usize, from: usize) {
        match self.get(from) {
            Some(value) => self.known.insert(to, value),
            None => self.known.remove(&to),
        };
    }
}

/// The operator of a functor, and the number that follows it.
///
/// # Safety
/// The functor compares with a number of `bytes` bytes.
unsafe fn compared_with<'a>(function: *const u8, bytes: usize) -> (i32, &'a [u8]) {
    // SAFETY: as the caller promises; the number begins at its own alignment.
    unsafe { (operator(function), std::slice::from_raw_parts(function.add(bytes.max(4)), bytes)) }
}

/// The operator with which a functor begins.
///
/// # Safety
/// Four bytes can be read.
unsafe fn operator(function: *const u8) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { function.cast::<i32>().read_unaligned() }
}

/// Evaluates `0 <operator> number` from the sign of the number. The operators are numbered as in `EqOpType { EQ, NE }` and
/// `OpType { GE, GT, LE, LT }`.
fn holds(order: bool, operator: i32, sign: i32) -> bool {
    match (order, operator) {
        (false, 0) => sign == 0,
        (false, _) => sign != 0,
        (true, 0) => sign <= 0,
        (true, 1) => sign < 0,
        (true, 2) => sign >= 0,
        (true, _) => sign > 0,
    }
}

/// The sign of a number in native byte order: -1, 0 or 1.
fn sign(number: &[u8], is_float: bool, is_signed: bool) -> i32 {
    let Some((top, rest)) = number.split_last() else { return 0 };
    let is_negative = is_signed && top & 0x80 != 0;
    let top = if is_float { top & 0x7f } else { *top };
    match (top != 0 || rest.iter().any(|byte| *byte != 0), is_negative) {
        (false, _) => 0,
        (true, true) => -1,
        (true, false) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &str = "_ZN2at6native29vectorized_elementwise_kernelILi4E";

    #[test]
    fn kernels_are_known_by_their_names() {
        let equal = format!(
            "{PARTS}NS0_13AUnaryFunctorIffbNS0_1_16CompareEqFunctorIfEEEESt5arrayIPcLm2EELb0EEEviT0_T1_"
        );
        let with_float = Flag::ComparedWith { order: false, bytes: 4, is_float: true, is_signed: true };
        assert_eq!(written_by(&equal), Some(with_float));
        let two = format!("{PARTS}NS0_13BinaryFunctorIllbNS0_1_15CompareFunctorIlEEEE");
        assert_eq!(written_by(&two), Some(Flag::Compared { order: true }));
        let half = format!("{PARTS}ZNS0_21compare_scalar_kernelIN3c104HalfEEEvRNS_18TensorIteratorBase");
        let with_half = Flag::ComparedWith { order: true, bytes: 2, is_float: true, is_signed: true };
        assert_eq!(written_by(&half), Some(with_half));
        assert_eq!(written_by("_ZN2at6native13reduce_kernelI14or_kernel_cudaE"), Some(Flag::Is(false)));
        let product =
            format!("{PARTS}NS0_13BinaryFunctorIbbbNS0_15binary_internal10MulFunctorIbEEEESt5array");
        assert_eq!(written_by(&product), Some(Flag::Joined { all: true }));
        assert_eq!(written_by(&format!("{PARTS}NS0_15CUDAFunctor_addIfEE")), Some(Flag::Unknown));
        assert_eq!(written_by("_ZN2at6native18elementwise_kernelILi128ELi4EZNS0_15gpu_kernel_implI"), None);
    }

    #[test]
    fn zero_is_compared() {
        let signs = [(-2.5f32, -1), (0.0, 0), (-0.0, 0), (f32::INFINITY, 1)];
        for (number, expected) in signs {
            assert_eq!(sign(&number.to_ne_bytes(), true, true), expected, "{number}");
        }
        assert_eq!((sign(&(-1i64).to_ne_bytes(), false, true), sign(&[255], false, false)), (-1, 1));
        // Is zero equal to 3, unlike 3, at least -1, above 1, at most 0, below 0?
        let asked = [(false, 0, 1), (false, 1, 1), (true, 0, -1), (true, 1, 1), (true, 2, 0), (true, 3, 0)];
        assert_eq!(
            asked.map(|(order, operator, sign)| holds(order, operator, sign)),
            [false, true, true, false, true, false]
        );
    }

    #[test]
    fn flags_are_kept_by_address() {
        let mut flags = Flags::default();
        let (count, not_equal) = (1i32, 1i32);
        let mut write = |flag, addresses: [usize; 3]| {
            let arguments =
                [(&raw const count).cast(), (&raw const not_equal).cast(), addresses.as_ptr().cast::<u8>()];
            // SAFETY: as the kernel's.
            unsafe { flags.write(flag, arguments.as_ptr()) };
            flags.get(addresses[0])
        };
        let compared = Flag::Compared { order: false };
        assert_eq!(write(compared, [0x10, 0x20, 0x20]), Some(false));
        assert_eq!(write(Flag::Negated, [0x11, 0x10, 0]), Some(true));
        assert_eq!(write(Flag::Joined { all: false }, [0x12, 0x10, 0x11]), Some(true));
        assert_eq!(write(Flag::Joined { all: true }, [0x13, 0x10, 0x11]), Some(false));
        assert_eq!(write(Flag::Is(true), [0, 0, 0]), None);
        assert_eq!(write(Flag::Negated, [0x14, 0x99, 0]), Some(false));
        assert_eq!(write(Flag::Negated, [0x15, 0x14, 0]), Some(true));
        assert_eq!(write(Flag::Unknown, [0x15, 0x14, 0]), None);
    }
}
