//! The graph of a computation: ggml's functions that make tensors, and the order in which they are computed;
//! ggml/src/ggml.c, v0.5.0.

use brimful_gguf::GgmlType;

use super::tensor::{Id, Op, Sources, Tensor, Unary};

/// Tensors, and the order in which those that were asked for are computed.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub tensors: Vec<Tensor>,
    visited: Vec<bool>,
    /// Computed tensors in order.
    pub nodes: Vec<Id>,
    /// Tensors that nothing computes: inputs, weights, caches.
    pub leafs: Vec<Id>,
    /// How many tensors read each.
    pub uses: Vec<u32>,
    /// The first op whose operands do not fit together.
    pub fault: Option<&'static str>,
    /// Backends that the caller set before scheduling.
    pub pinned: Vec<(Id, usize)>,
}

impl Graph {
    pub(crate) fn get(&self, id: Id) -> &Tensor {
        // Every id comes from `add`, and tensors are never removed.
        &self.tensors[id.index()]
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Tensor {
        &mut self.tensors[id.index()]
    }

    pub(crate) fn add(&mut self, tensor: Tensor) -> Id {
        let id = Id(u32::try_from(self.tensors.len()).unwrap_or(u32::MAX));
        self.tensors.push(tensor);
        self.visited.push(false);
        self.uses.push(0);
        id
    }

    fn op(&mut self, op: Op, ty: GgmlType, ne: [u64; 4], src: &[Id]) -> Id {
        self.add(Tensor { op, src: Sources::of(src), ..Tensor::new(ty, ne) })
    }

    /// A tensor that the caller fills.
    pub fn input(&mut self, ty: GgmlType, ne: [u64; 4]) -> Id {
        self.add(Tensor { input: true, ..Tensor::new(ty, ne) })
    }

    /// Adds a tensor and what it needs to the order of computation (`ggml_build_forward_expand`).
    pub fn expand(&mut self, tensor: Id) {
        // A stack of its own: graphs are deeper than a thread's stack allows. The second field is the next source to visit.
        let mut stack = vec![(tensor, 0usize)];
        if std::mem::replace(&mut self.visited[tensor.index()], true) {
            return;
        }
        while let Some((id, next)) = stack.pop() {
            let Some(source) = self.get(id).src.get(next) else {
                if self.get(id).op == Op::None {
                    self.leafs.push(id)
                } else {
                    self.nodes.push(id)
                }
                continue;
            };
            stack.push((id, next + 1));
            self.uses[source.index()] += 1;
            if !std::mem::replace(&mut self.visited[source.index()], true) {
                stack.push((source, 0));
            }
        }
    }

    // Views.

    fn view_of(&mut self, op: Op, source: Id, ne: [u64; 4], nb: [u64; 4], offset: u64) -> Id {
        let of = *self.get(source);
        // A view of a view looks at the first tensor.
        let view = match of.view {
            Some((root, before)) => (root, before.saturating_add(offset)),
            None => (source, offset),
        };
        let tensor = Tensor {
            op,
            ne,
            nb,
            src: Sources::of(&[source]),
            view: Some(view),
            input: false,
            output: false,
            weight: false,
            home: None,
            ..of
        };
        self.add(tensor)
    }

    pub(crate) fn view(&mut self, source: Id, ne: [u64; 4], nb: [u64; 3], offset: u64) -> Id {
        let first = self.get(source).nb[0];
        self.view_of(Op::View, source, ne, [first, nb[0], nb[1], nb[2]], offset)
    }

    pub(crate) fn view_3d(&mut self, source: Id, ne: [u64; 3], nb1: u64, nb2: u64, offset: u64) -> Id {
        let nb3 = nb2.saturating_mul(ne[2]);
        self.view(source, [ne[0], ne[1], ne[2], 1], [nb1, nb2, nb3], offset)
    }

    pub(crate) fn view_2d(&mut self, source: Id, ne: [u64; 2], nb1: u64, offset: u64) -> Id {
        let nb2 = nb1.saturating_mul(ne[1]);
        self.view(source, [ne[0], ne[1], 1, 1], [nb1, nb2, nb2], offset)
    }

    pub(crate) fn view_1d(&mut self, source: Id, elements: u64, offset: u64) -> Id {
        let of = self.get(source);
        let row = of.ty.row_bytes(elements).unwrap_or_else(|| elements.saturating_mul(of.nb[0]));
        self.view(source, [elements, 1, 1, 1], [row, row, row], offset)
    }

    fn check(&mut self, fits: bool, what: &'static str) {
        if !fits {
            self.fault.get_or_insert(what);
        }
    }

    pub(crate) fn reshape(&mut self, source: Id, ne: [u64; 4]) -> Id {
        let elements = ne.iter().fold(1u64, |product, side| product.saturating_mul(*side));
        self.check(
            elements == self.get(source).elements(),
            "a tensor is taken for another number of elements",
        );
        let nb = Tensor::new(self.get(source).ty, ne).nb;
        self.view_of(Op::Reshape, source, ne, nb, 0)
    }

    pub(crate) fn reshape_2d(&mut self, source: Id, a: u64, b: u64) -> Id {
        self.reshape(source, [a, b, 1, 1])
    }

    pub(crate) fn reshape_3d(&mut self, source: Id, a: u64, b: u64, c: u64) -> Id {
        self.reshape(source, [a, b, c, 1])
    }

    /// Swaps the second and the third dimension, the only permutation that llama.cpp's attention uses.
    pub fn permute_0213(&mut self, source: Id) -> Id {
        let of = *self.get(source);
        let swap = |sides: [u64; 4]| [sides[0], sides[2], sides[1], sides[3]];
        self.view_of(Op::Permute, source, swap(of.ne), swap(of.nb), 0)
    }

    pub(crate) fn transpose(&mut self, source: Id) -> Id {
        let of = *self.get(source);
        let swap = |sides: [u64; 4]| [sides[1], sides[0], sides[2], sides[3]];
        self.view_of(Op::Transpose, source, swap(of.ne), swap(of.nb), 0)
    }

    // Ops whose result has the layout of a new tensor with the shape of the first source.

    fn like(&mut self, op: Op, src: &[Id]) -> Id {
        let first = src.first().copied().unwrap_or(Id(0));
        let (ty, ne) = (self.get(first).ty, self.get(first).ne);
        self.op(op, ty, ne, src)
    }

    /// Element-wise ops repeat the second operand to the shape of the first.
    fn check_repeats(&mut self, small: Id, large: Id) {
        let (small, large) = (self.get(small).ne, self.get(large).ne);
        let fits = small.iter().zip(&large).all(|(small, large)| large.checked_rem(*small) == Some(0));
        self.check(fits, "the shapes of two operands differ");
    }

    pub(crate) fn unary(&mut self, unary: Unary, a: Id) -> Id {
        self.like(Op::Unary(unary), &[a])
    }

    pub(crate) fn add2(&mut self, a: Id, b: Id) -> Id {
        self.check_repeats(b, a);
        self.like(Op::Add, &[a, b])
    }

    pub(crate) fn mul(&mut self, a: Id, b: Id) -> Id {
        self.check_repeats(b, a);
        self.like(Op::Mul, &[a, b])
    }

    pub(crate) fn div(&mut self, a: Id, b: Id) -> Id {
        self.like(Op::Div, &[a, b])
    }

    pub(crate) fn add_id(&mut self, a: Id, b: Id, ids: Id) -> Id {
        self.like(Op::AddId, &[a, b, ids])
    }

    pub(crate) fn scale(&mut self, a: Id) -> Id {
        self.like(Op::Scale, &[a])
    }

    /// Scales in place: the result is a view of its source.
    pub fn scale_in_place(&mut self, a: Id) -> Id {
        let of = *self.get(a);
        self.view_of(Op::Scale, a, of.ne, of.nb, 0)
    }

    pub(crate) fn clamp(&mut self, a: Id) -> Id {
        self.like(Op::Clamp, &[a])
    }

    pub(crate) fn same(&mut self, op: Op, a: Id) -> Id {
        self.like(op, &[a])
    }

    pub(crate) fn rope(&mut self, a: Id, positions: Id, factors: Option<Id>) -> Id {
        match factors {
            Some(factors) => self.like(Op::Rope, &[a, positions, factors]),
            None => self.like(Op::Rope, &[a, positions]),
        }
    }

    pub(crate) fn soft_max(&mut self, a: Id, mask: Option<Id>, sinks: Option<Id>) -> Id {
        let mut src = Sources::of(&[a]);
        [mask, sinks].into_iter().flatten().for_each(|id| src.push(id));
        self.like(Op::SoftMax, src.as_slice())
    }

    pub(crate) fn cont(&mut self, a: Id) -> Id {
        self.like(Op::Cont, &[a])
    }

    pub(crate) fn cont_2d(&mut self, a: Id, ne0: u64, ne1: u64) -> Id {
        let ty = self.get(a).ty;
        self.op(Op::Cont, ty, [ne0, ne1, 1, 1], &[a])
    }

    /// Copies into a tensor of another type (`ggml_cast`).
    pub fn cast(&mut self, a: Id, ty: GgmlType) -> Id {
        let ne = self.get(a).ne;
        let id = self.op(Op::Copy, ty, ne, &[a]);
        // ggml_cast names its own result as the second source.
        self.get_mut(id).src.push(id);
        id
    }

    /// Copies `a` into the memory of `b`.
    pub fn copy(&mut self, a: Id, b: Id) -> Id {
        let of = *self.get(b);
        let id = self.view_of(Op::Copy, b, of.ne, of.nb, 0);
        self.get_mut(id).src = Sources::of(&[a, b]);
        id
    }

    // Ops with a shape of their own.

    pub(crate) fn mul_mat(&mut self, a: Id, b: Id) -> Id {
        let (left, right) = (self.get(a).ne, self.get(b).ne);
        let repeats = |index: usize| right[index].checked_rem(left[index]) == Some(0);
        self.check(left[0] == right[0] && repeats(2) && repeats(3), "the widths of a product differ");
        self.op(Op::MulMat, GgmlType::F32, [left[1], right[1], right[2], right[3]], &[a, b])
    }

    pub(crate) fn mul_mat_id(&mut self, experts: Id, b: Id, ids: Id) -> Id {
        let ne = [self.get(experts).ne[1], self.get(ids).ne[0], self.get(b).ne[2], 1];
        self.check(
            self.get(experts).ne[0] == self.get(b).ne[0],
            "the widths of a product with experts differ",
        );
        self.op(Op::MulMatId, GgmlType::F32, ne, &[experts, b, ids])
    }

    pub(crate) fn get_rows(&mut self, a: Id, ids: Id) -> Id {
        let (ty, rows) = (self.get(a).ty, self.get(ids).ne);
        let ty = if ty == GgmlType::I32 { ty } else { GgmlType::F32 };
        let width = self.get(a).ne[0];
        self.op(Op::GetRows, ty, [width, rows[0], rows[1], rows[2]], &[a, ids])
    }

    /// Writes the rows `b` into `a` at `ids`; the result is a view of `a`.
    pub fn set_rows(&mut self, a: Id, b: Id, ids: Id) -> Id {
        let of = *self.get(a);
        let id = self.view_of(Op::SetRows, a, of.ne, of.nb, 0);
        self.get_mut(id).src = Sources::of(&[b, ids, a]);
        id
    }

    pub(crate) fn concat_rows(&mut self, a: Id, b: Id) -> Id {
        let (ty, mut ne) = (self.get(a).ty, self.get(a).ne);
        ne[0] = ne[0].saturating_add(self.get(b).ne[0]);
        self.op(Op::Concat, ty, ne, &[a, b])
    }

    pub(crate) fn repeat(&mut self, a: Id, ne: [u64; 4]) -> Id {
        let ty = self.get(a).ty;
        self.op(Op::Repeat, ty, ne, &[a])
    }

    pub(crate) fn pad_rows(&mut self, a: Id, more: u64) -> Id {
        let (ty, mut ne) = (self.get(a).ty, self.get(a).ne);
        ne[0] = ne[0].saturating_add(more);
        self.op(Op::Pad, ty, ne, &[a])
    }

    pub(crate) fn sum_rows(&mut self, a: Id) -> Id {
        let (ty, mut ne) = (self.get(a).ty, self.get(a).ne);
        ne[0] = 1;
        self.op(Op::SumRows, ty, ne, &[a])
    }

    /// The indices of the `k` largest of each row: a sort, and a view of its start.
    pub fn top_k(&mut self, a: Id, k: u64) -> Id {
        let ne = self.get(a).ne;
        let sorted = self.op(Op::Argsort, GgmlType::I32, ne, &[a]);
        let nb = self.get(sorted).nb;
        self.view(sorted, [k, ne[1], ne[2], ne[3]], [nb[1], nb[2], nb[3]], 0)
    }

    /// `activation(gate) * up` of two tensors.
    pub fn glu_split(&mut self, gate: Id, up: Id) -> Id {
        self.like(Op::Glu, &[gate, up])
    }

    /// `activation(first half) * second half` of one tensor.
    pub fn glu(&mut self, a: Id) -> Id {
        let (ty, mut ne) = (self.get(a).ty, self.get(a).ne);
        ne[0] /= 2;
        self.op(Op::Glu, ty, ne, &[a])
    }

    pub(crate) fn flash_attention(&mut self, q: Id, k: Id, v: Id, mask: Id, sinks: Option<Id>) -> Id {
        let (width, query) = (self.get(v).ne[0], self.get(q).ne);
        let mut src = Sources::of(&[q, k, v, mask]);
        sinks.into_iter().for_each(|id| src.push(id));
        self.op(Op::FlashAttention, GgmlType::F32, [width, query[2], query[1], query[3]], src.as_slice())
    }

    pub(crate) fn ssm_conv(&mut self, x: Id, kernel: Id) -> Id {
        let (ne, kernel_ne) = (self.get(x).ne, self.get(kernel).ne);
        let tokens = (ne[0] + 1).saturating_sub(kernel_ne[0]);
        self.op(Op::SsmConv, GgmlType::F32, [kernel_ne[1], tokens, ne[2], 1], &[x, kernel])
    }

    /// State-space scan: the outputs, and behind them the last states. `src` is states, x, dt, A, B, C, ids.
    pub fn ssm_scan(&mut self, src: [Id; 7]) -> Id {
        let [states, x, .., ids] = src;
        let state = self.get(states).ne;
        let sequences = self.get(ids).ne[0];
        let last = [state[0], state[1], state[2], sequences].iter().fold(1u64, |a, b| a.saturating_mul(*b));
        let elements = self.get(x).elements().saturating_add(last);
        self.op(Op::SsmScan, GgmlType::F32, [elements, 1, 1, 1], &src)
    }

    /// Gated delta rule: the outputs, and behind them the last states. `src` is q, k, v, gate, beta, state.
    pub fn gated_delta_net(&mut self, src: [Id; 6]) -> Id {
        let v = self.get(src[2]).ne;
        let rows = v[2].saturating_mul(v[3]).saturating_add(v[0].saturating_mul(v[3]));
        self.op(Op::GatedDeltaNet, GgmlType::F32, [v[0].saturating_mul(v[1]), rows, 1, 1], &src)
    }
}
