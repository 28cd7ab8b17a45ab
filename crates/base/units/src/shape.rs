use std::fmt;
use std::ops::Index;

use smallvec::SmallVec;

use crate::{Bytes, Dtype};

/// The sizes of a tensor's dimensions, outermost first; empty for a scalar.
///
/// ```
/// use brimful_units::{Dtype, Shape};
/// let hidden = Shape::from([2, 1024, 4096]);
/// assert_eq!(hidden.bytes(Dtype::Bf16).unwrap().get(), 2 * 1024 * 4096 * 2);
/// assert_eq!(hidden.to_string(), "[2,1024,4096]");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(SmallVec<[u64; 5]>);

/// A size exceeds 2^64 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a size exceeds 2^64 - 1")]
pub struct Overflow;

impl Shape {
    /// The dimensions.
    pub fn dims(&self) -> &[u64] {
        &self.0
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The dimension counted from the last: `last(0)` is the innermost.
    ///
    /// # Panics
    /// Where the shape has no such dimension.
    pub fn last(&self, back: usize) -> u64 {
        self.0[self.0.len() - 1 - back]
    }

    /// The number of elements; 1 for a scalar.
    ///
    /// # Errors
    /// [`Overflow`] where the product exceeds 2^64 - 1.
    pub fn numel(&self) -> Result<u64, Overflow> {
        if self.0.contains(&0) {
            return Ok(0);
        }
        self.0.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).ok_or(Overflow)
    }

    /// The bytes of a dense tensor of this shape.
    ///
    /// # Errors
    /// [`Overflow`] where they exceed 2^64 - 1.
    pub fn bytes(&self, dtype: Dtype) -> Result<Bytes, Overflow> {
        Bytes::new(self.numel()?).checked_mul(dtype.size()).ok_or(Overflow)
    }
}

impl<const N: usize> From<[u64; N]> for Shape {
    fn from(dims: [u64; N]) -> Self {
        Shape(SmallVec::from_slice(&dims))
    }
}

impl From<&[u64]> for Shape {
    fn from(dims: &[u64]) -> Self {
        Shape(SmallVec::from_slice(dims))
    }
}

impl FromIterator<u64> for Shape {
    fn from_iter<I: IntoIterator<Item = u64>>(dims: I) -> Self {
        Shape(dims.into_iter().collect())
    }
}

impl Index<usize> for Shape {
    type Output = u64;

    fn index(&self, at: usize) -> &u64 {
        &self.0[at]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if at == 0 { "" } else { "," })?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert_eq!(Shape::from([]).numel(), Ok(1));
        assert_eq!(Shape::from([1 << 40, 0]).numel(), Ok(0));
        assert_eq!(Shape::from([1 << 40, 1 << 40]).numel(), Err(Overflow));
        assert_eq!(Shape::from([1 << 62]).bytes(Dtype::F32), Err(Overflow));
    }
}
