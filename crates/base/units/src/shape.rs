use std::fmt;
use std::ops::{Index, IndexMut};

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
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(SmallVec<[u64; 5]>);

/// A size exceeds 2^64 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a size exceeds 2^64 - 1")]
pub struct Overflow;

impl Clone for Shape {
    #[inline]
    fn clone(&self) -> Shape {
        // Copies the dimensions in one move; the derived form would go through an iterator, and shapes are cloned for
        // every view and every saved tensor.
        Shape(SmallVec::from_slice(&self.0))
    }
}

impl Shape {
    /// A shape of that many dimensions, each of the given size.
    pub fn filled(size: u64, rank: usize) -> Shape {
        Shape(SmallVec::from_elem(size, rank))
    }

    /// Puts a dimension before the one at `at`.
    ///
    /// # Panics
    /// Where `at` exceeds the number of dimensions.
    pub fn insert(&mut self, at: usize, size: u64) {
        self.0.insert(at, size);
    }

    /// Takes a dimension out.
    ///
    /// # Panics
    /// Where the shape has no such dimension.
    pub fn remove(&mut self, at: usize) -> u64 {
        self.0.remove(at)
    }

    /// Exchanges two dimensions.
    ///
    /// # Panics
    /// Where the shape lacks one of them.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.0.swap(a, b);
    }

    /// The shape with its last `count` dimensions replaced by others.
    ///
    /// # Panics
    /// Where the shape has fewer than `count` dimensions.
    pub fn with_last(&self, count: usize, others: &[u64]) -> Shape {
        let kept = &self.0[..self.0.len() - count];
        let mut dims = SmallVec::from_slice(kept);
        dims.extend_from_slice(others);
        Shape(dims)
    }

    /// The dimensions.
    #[inline]
    pub fn dims(&self) -> &[u64] {
        &self.0
    }

    /// The number of dimensions.
    #[inline]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The dimension counted from the last: `last(0)` is the innermost.
    ///
    /// # Panics
    /// Where the shape has no such dimension.
    #[inline]
    pub fn last(&self, back: usize) -> u64 {
        self.0[self.0.len() - 1 - back]
    }

    /// The number of elements; 1 for a scalar.
    ///
    /// # Errors
    /// [`Overflow`] where the product exceeds 2^64 - 1.
    #[inline]
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
    #[inline]
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

    #[inline]
    fn index(&self, at: usize) -> &u64 {
        &self.0[at]
    }
}

impl IndexMut<usize> for Shape {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut u64 {
        &mut self.0[at]
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
