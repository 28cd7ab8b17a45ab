//! A tensor and its layout; ggml/src/ggml.c, v0.5.0.

use brimful_gguf::GgmlType;

/// The most sources of a tensor (`GGML_MAX_SRC`).
pub(crate) const MOST_SOURCES: usize = 10;

/// A tensor of a [`super::Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub u32);

impl Id {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An element-wise function of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Silu,
    Gelu,
    Relu,
    Sigmoid,
    Softplus,
    Tanh,
}

/// What computes a tensor (`ggml_op`), as far as the graphs here use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    None,
    View,
    Reshape,
    Permute,
    Transpose,
    Add,
    AddId,
    Argsort,
    Clamp,
    Concat,
    Cont,
    Copy,
    Div,
    Fill,
    FlashAttention,
    GatedDeltaNet,
    GetRows,
    Glu,
    Mul,
    MulMat,
    MulMatId,
    Norm,
    Pad,
    Repeat,
    RmsNorm,
    Rope,
    Scale,
    SetRows,
    SoftMax,
    Sqr,
    Sqrt,
    SsmConv,
    SsmScan,
    SumRows,
    Unary(Unary),
}

impl Op {
    /// Does the op only look at memory of another tensor (`ggml_is_view_op`)?
    pub fn is_view(self) -> bool {
        matches!(self, Op::View | Op::Reshape | Op::Permute | Op::Transpose)
    }

    /// May the result take the place of a source (`ggml_op_can_inplace`)?
    pub fn in_place(self) -> bool {
        matches!(
            self,
            Op::Fill
                | Op::Scale
                | Op::Add
                | Op::AddId
                | Op::Mul
                | Op::Div
                | Op::Sqr
                | Op::Sqrt
                | Op::Unary(_)
                | Op::Rope
                | Op::RmsNorm
                | Op::Clamp
                | Op::SoftMax
        )
    }
}

/// The sources of a tensor, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources {
    ids: [Id; MOST_SOURCES],
    count: u8,
}

impl Sources {
    pub const NONE: Sources = Sources { ids: [Id(0); MOST_SOURCES], count: 0 };

    pub(crate) fn of(ids: &[Id]) -> Self {
        let mut sources = Sources::NONE;
        for (place, id) in sources.ids.iter_mut().zip(ids) {
            *place = *id;
            sources.count += 1;
        }
        sources
    }

    pub(crate) fn as_slice(&self) -> &[Id] {
        self.ids.get(..usize::from(self.count)).unwrap_or_default()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Id] {
        self.ids.get_mut(..usize::from(self.count)).unwrap_or_default()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Id> {
        self.as_slice().get(index).copied()
    }

    /// Adds a source; one above the most is left out.
    pub fn push(&mut self, id: Id) {
        if let Some(place) = self.ids.get_mut(usize::from(self.count)) {
            *place = id;
            self.count += 1;
        }
    }
}

/// A tensor without data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tensor {
    pub op: Op,
    pub ty: GgmlType,
    /// Elements by dimension.
    pub ne: [u64; 4],
    /// Bytes from one element to the next, by dimension.
    pub nb: [u64; 4],
    pub src: Sources,
    /// The tensor whose memory this one looks at, and the bytes from its start.
    pub view: Option<(Id, u64)>,
    /// The backend in whose memory the tensor lay before the graph: a weight or a cache.
    pub home: Option<usize>,
    /// Is it a weight? Ops run where their weight is.
    pub weight: bool,
    /// Filled by the caller before the graph runs.
    pub input: bool,
    /// Read by the caller after the graph has run, so its memory is never reused.
    pub output: bool,
}

impl Tensor {
    /// A contiguous tensor. Bytes saturate: a shape that overflows is refused before, with the hyperparameters.
    pub fn new(ty: GgmlType, ne: [u64; 4]) -> Self {
        let (block, size) = ty.block().unwrap_or((1, 1));
        let row = (ne[0] / block.max(1)).saturating_mul(size);
        let plane = row.saturating_mul(ne[1]);
        let nb = [size, row, plane, plane.saturating_mul(ne[2])];
        Tensor {
            op: Op::None,
            ty,
            ne,
            nb,
            src: Sources::NONE,
            view: None,
            home: None,
            weight: false,
            input: false,
            output: false,
        }
    }

    /// Bytes from the first element to behind the last (`ggml_nbytes`).
    pub fn bytes(&self) -> u64 {
        if self.ne.contains(&0) {
            return 0;
        }
        let (block, size) = self.ty.block().unwrap_or((1, 1));
        let (mut bytes, first) =
            if block == 1 { (size, 0) } else { ((self.ne[0].saturating_mul(self.nb[0])) / block, 1) };
        for (elements, stride) in self.ne.iter().zip(&self.nb).skip(first) {
            bytes = bytes.saturating_add((elements - 1).saturating_mul(*stride));
        }
        bytes
    }

    pub(crate) fn elements(&self) -> u64 {
        self.ne.iter().fold(1u64, |product, side| product.saturating_mul(*side))
    }

    /// Rows of the first dimension (`ggml_nrows`).
    pub fn rows(&self) -> u64 {
        self.ne.iter().skip(1).fold(1u64, |product, side| product.saturating_mul(*side))
    }

    /// Is everything without gaps from dimension `from` on (`ggml_is_contiguous_n`)?
    pub fn contiguous_from(&self, from: usize) -> bool {
        let (block, size) = self.ty.block().unwrap_or((1, 1));
        let mut next = size;
        if self.ne[0] != block && self.nb[0] != next {
            return false;
        }
        next = next.saturating_mul(self.ne[0] / block.max(1));
        for dimension in 1..4 {
            if self.ne[dimension] == 1 {
                continue;
            }
            if dimension > from {
                if self.nb[dimension] != next {
                    return false;
                }
                next = next.saturating_mul(self.ne[dimension]);
            } else {
                // Only the dimensions above `from` have to follow without a gap.
                next = self.ne[dimension].saturating_mul(self.nb[dimension]);
            }
        }
        true
    }

    pub(crate) fn contiguous(&self) -> bool {
        self.contiguous_from(0)
    }

    /// Do the rows have no gaps inside (`ggml_is_contiguous_rows`)?
    pub fn contiguous_rows(&self) -> bool {
        let (block, size) = self.ty.block().unwrap_or((1, 1));
        self.ne[0] == block || self.nb[0] == size
    }

    /// Do both have the same type, shape and strides (`ggml_are_same_layout`)?
    pub fn same_layout(&self, other: &Tensor) -> bool {
        self.ty == other.ty && self.ne == other.ne && self.nb == other.nb
    }
}
