//! ggml's types of tensors, and the bytes of their blocks.

/// A type of tensor, by the number that the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GgmlType(pub u32);

/// Number, name, elements of a block, bytes of a block; ggml/include/ggml.h and ggml/src/ggml-common.h, v0.5.0.
const TYPES: [(u32, &str, u32, u32); 36] = [
    (0, "f32", 1, 4),
    (1, "f16", 1, 2),
    (2, "q4_0", 32, 18),
    (3, "q4_1", 32, 20),
    (6, "q5_0", 32, 22),
    (7, "q5_1", 32, 24),
    (8, "q8_0", 32, 34),
    (9, "q8_1", 32, 36),
    (10, "q2_k", 256, 84),
    (11, "q3_k", 256, 110),
    (12, "q4_k", 256, 144),
    (13, "q5_k", 256, 176),
    (14, "q6_k", 256, 210),
    (15, "q8_k", 256, 292),
    (16, "iq2_xxs", 256, 66),
    (17, "iq2_xs", 256, 74),
    (18, "iq3_xxs", 256, 98),
    (19, "iq1_s", 256, 50),
    (20, "iq4_nl", 32, 18),
    (21, "iq3_s", 256, 110),
    (22, "iq2_s", 256, 82),
    (23, "iq4_xs", 256, 136),
    (24, "i8", 1, 1),
    (25, "i16", 1, 2),
    (26, "i32", 1, 4),
    (27, "i64", 1, 8),
    (28, "f64", 1, 8),
    (29, "iq1_m", 256, 56),
    (30, "bf16", 1, 2),
    (31, "q4_0_4_4", 32, 18),
    (34, "tq1_0", 256, 54),
    (35, "tq2_0", 256, 66),
    (39, "mxfp4", 32, 17),
    (40, "nvfp4", 64, 36),
    (41, "q1_0", 128, 18),
    (42, "q2_0", 64, 18),
];

impl GgmlType {
    /// 32-bit floats.
    pub const F32: GgmlType = GgmlType(0);
    /// 16-bit floats.
    pub const F16: GgmlType = GgmlType(1);
    /// Blocks of 32 with one 16-bit scale and 8 bits each.
    pub const Q8_0: GgmlType = GgmlType(8);
    /// 32-bit whole numbers.
    pub const I32: GgmlType = GgmlType(26);
    /// 64-bit whole numbers.
    pub const I64: GgmlType = GgmlType(27);
    /// bfloat16.
    pub const BF16: GgmlType = GgmlType(30);

    fn row(self) -> Option<&'static (u32, &'static str, u32, u32)> {
        TYPES.iter().find(|row| row.0 == self.0)
    }

    /// The type that ggml calls `name`, in any case; `None` if ggml v0.5.0 has no such type.
    pub fn named(name: &str) -> Option<Self> {
        TYPES.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| GgmlType(row.0))
    }

    /// All known types.
    pub fn all() -> impl Iterator<Item = Self> {
        TYPES.iter().map(|row| GgmlType(row.0))
    }

    /// ggml's name; `None` if the number is not known.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// Elements and bytes of one block; `None` if the number is not known.
    pub fn block(self) -> Option<(u64, u64)> {
        self.row().map(|row| (u64::from(row.2), u64::from(row.3)))
    }

    /// Does a block hold more than one element?
    pub fn is_quantized(self) -> bool {
        self.block().is_some_and(|(elements, _)| elements > 1)
    }

    /// Bytes of a row of `elements`; `None` if the type is not known, the row is no whole number of blocks, or the sum
    /// overflows.
    pub fn row_bytes(self, elements: u64) -> Option<u64> {
        let (per_block, bytes) = self.block()?;
        elements.is_multiple_of(per_block).then_some(())?;
        (elements / per_block).checked_mul(bytes)
    }
}

impl std::fmt::Display for GgmlType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_ggmls_bytes() {
        for (name, elements, bytes) in
            [("q4_k", 256, 144), ("mxfp4", 32, 17), ("nvfp4", 64, 36), ("tq1_0", 256, 54)]
        {
            assert_eq!(GgmlType::named(name).unwrap().block(), Some((elements, bytes)), "{name}");
        }
    }

    #[test]
    fn a_row_that_ends_inside_a_block_has_no_size() {
        assert_eq!(GgmlType::Q8_0.row_bytes(64), Some(68));
        assert_eq!(GgmlType::Q8_0.row_bytes(65), None);
        assert_eq!(GgmlType(99).row_bytes(64), None);
    }
}
