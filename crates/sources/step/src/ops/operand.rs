//! Arguments of ops, and when temporaries among them die.

use std::ops::Deref;

use crate::tensor::Tensor;

/// An argument of an op. A temporary dies when the op returns, as the value stack of CPython lets it go; what a name holds
/// lives on.
///
/// An op keeps its operands in one array: arrays drop their elements from the first to the last, and CPython pops the
/// left operand of a binary operator first.
pub(crate) enum Operand<'a> {
    /// A tensor that a name holds.
    Held(&'a Tensor),
    /// The value of an expression, which nothing else holds.
    Temporary(Tensor),
}

impl Deref for Operand<'_> {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        match self {
            Operand::Held(tensor) => tensor,
            Operand::Temporary(tensor) => tensor,
        }
    }
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    fn from(tensor: &'a Tensor) -> Operand<'a> {
        Operand::Held(tensor)
    }
}

impl From<Tensor> for Operand<'_> {
    fn from(tensor: Tensor) -> Self {
        Operand::Temporary(tensor)
    }
}
