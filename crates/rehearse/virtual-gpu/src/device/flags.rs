//! Flags that programs act on: `if torch.isnan(loss)`, `while error > tolerance`, `assert torch.isfinite(norm)`.
//!
//! All that is read from the GPU is zero, and so a comparison of one element has an answer: zero is zero, not above one,
//! and a number. PyTorch's kernels for comparisons carry what they compare with in their arguments; here they are read
//! (`aten/src/ATen/native/cuda/CompareEQ.cu` and `CompareKernels.cu` of PyTorch 2.4 to 2.15). What `any` and `all` find
//! among many elements is a matter of policy: nothing wrong, and everything right.

use std::collections::HashMap;

use super::masks::{Found, Made};

/// What a kernel makes of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// Always the same: none of many is true, all of many are, a number that became a flag is zero.
    Is(bool),
    /// Equality (or an order) of two tensors.
    Compared { order: bool },
    /// The same with a number of so many bytes, which begins at its own alignment behind the operator.
    ComparedWith { order: bool, bytes: usize, is_float: bool, is_signed: bool },
    /// Both of two, or one of two.
    Joined { all: bool },
    /// The contrary.
    Negated,
    /// Whatever another elementwise kernel makes: a flag that was at its place is gone.
    Unknown,
}

/// The flag that a kernel of this (mangled) name writes.
pub(super) fn written_by(name: &str) -> Option<Flag> {
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
            // Half precision is compared in single precision.
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

pub(super) fn is_elementwise(name: &str) -> bool {
    ["29vectorized_elementwise_kernel", "27unrolled_elementwise_kernel"]
        .iter()
        .any(|part| name.contains(part))
}

/// What a kernel that writes this flag makes of masks, if it does.
///
/// # Safety
/// `arguments` are those of a kernel whose name told [`written_by`] this flag, and live as long as what it makes.
pub(super) unsafe fn made<'a>(flag: Flag, arguments: *const *const u8) -> Option<Made<'a>> {
    match flag {
        Flag::Negated => Some(Made::Contrary),
        Flag::ComparedWith { order: false, bytes, is_float, is_signed } => {
            // SAFETY: as in `Flags::write`.
            let (operator, number) = unsafe { compared_with(*arguments.add(1), bytes) };
            // Whole numbers that are compared with another kind are cast: of these zero alone is looked at.
            let is_known = !is_float || sign(number, is_float, is_signed) == 0;
            is_known.then_some(Made::Compared { number, is_unequal: operator != 0 })
        }
        _ => None,
    }
}

/// Bytes of the number whose type's mangled name stands behind a part of a kernel's name, whether it is a floating-point
/// number, and whether it has a sign.
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
pub(super) struct Flags {
    known: HashMap<usize, bool>,
    /// What was written last: the value of a flag at an address that is not known.
    last: bool,
}

impl Flags {
    /// A kernel of one block writes a flag.
    ///
    /// # Safety
    /// `arguments` are those of a kernel whose name told [`written_by`] this flag.
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

    /// A count of flags is compared with a number (`mask.sum() == mask.numel()`, which transformers asks instead of
    /// `mask.all()`): equal where all of them are set, and of many that nobody knows all are.
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

    /// One flag is made of many; where it goes is known for masks that are known.
    pub fn reduced(&mut self, value: bool, found: Option<Found>) {
        self.known.clear();
        self.last = value;
        if let Some(found) = found {
            self.known.insert(found.to, value);
        }
    }

    /// Flags were written that nobody looked at.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Something else was written there.
    pub fn gone(&mut self, address: usize) {
        self.known.remove(&address);
    }

    fn at(&self, address: usize) -> bool {
        self.known.get(&address).copied().unwrap_or(self.last)
    }

    /// The flag at an address, where a kernel is known to have written it.
    pub fn get(&self, address: usize) -> Option<bool> {
        self.known.get(&address).copied()
    }

    /// A flag is copied.
    pub fn moved(&mut self, to: usize, from: usize) {
        match self.get(from) {
            Some(value) => self.known.insert(to, value),
            None => self.known.remove(&to),
        };
    }
}

/// The operator of a function, and the number behind it.
///
/// # Safety
/// It is one that compares with a number of so many bytes.
unsafe fn compared_with<'a>(function: *const u8, bytes: usize) -> (i32, &'a [u8]) {
    // SAFETY: as the caller promises; the number begins at its own alignment.
    unsafe { (operator(function), std::slice::from_raw_parts(function.add(bytes.max(4)), bytes)) }
}

/// # Safety
/// Four bytes can be read.
unsafe fn operator(function: *const u8) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { function.cast::<i32>().read_unaligned() }
}

/// Whether zero stands so to a number of this sign: `EqOpType { EQ, NE }`, `OpType { GE, GT, LE, LT }`.
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

/// -1, 0 or 1, of a number in the machine's own order of bytes.
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
