//! CUDA computes some chains of nodes in one kernel, and keeps their sources alive until its end;
//! `ggml_backend_cuda_graph_optimize`, ggml/src/ggml-cuda/ggml-cuda.cu, v0.5.0.

use std::collections::BTreeMap;

use brimful_gguf::GgmlType;

use super::graph::Graph;
use super::tensor::{Id, Op, Tensor, Unary};

/// The most experts of a token whose weighted sum is fused (`MOE_WEIGHTED_REDUCTION_MAX_EXPERTS`).
const MOST_EXPERTS: u64 = 15;

/// Nodes of one split.
struct Nodes<'a> {
    graph: &'a Graph,
    ids: &'a [Id],
}

impl<'a> Nodes<'a> {
    fn get(&self, index: usize) -> Option<&'a Tensor> {
        self.ids.get(index).map(|id| self.graph.get(*id))
    }

    fn op(&self, index: usize) -> Option<Op> {
        self.get(index).map(|tensor| tensor.op)
    }

    /// Is the source number `source` of node `index` the node `of`?
    fn reads(&self, index: usize, source: usize, of: usize) -> bool {
        let source = self.get(index).and_then(|tensor| tensor.src.get(source));
        source.is_some() && source == self.ids.get(of).copied()
    }

    /// Do the nodes from `start` on have these ops, and are all but `outputs` read by each other only?
    fn closed(&self, start: usize, ops: &[Op], outputs: &[usize]) -> bool {
        let range = start..start + ops.len();
        let Some(ids) = self.ids.get(range.clone()) else { return false };
        range.zip(ops).all(|(index, op)| {
            let Some(tensor) = self.get(index).filter(|tensor| tensor.op == *op) else { return false };
            if outputs.contains(&index) {
                return true;
            }
            let id = self.ids[index];
            let later = ids.iter().skip(index - start + 1);
            let inside = later
                .flat_map(|id| self.graph.get(*id).src.as_slice())
                .filter(|source| **source == id)
                .count();
            let uses = self.graph.uses.get(id.index()).copied().unwrap_or(0) as usize;
            let of_inside = tensor.view.is_none_or(|(of, _)| ids.contains(&of) || self.graph.get(of).weight);
            !tensor.output && inside == uses && of_inside
        })
    }
}

/// Adds to `kept`, by the node until which they live, the tensors that fused kernels keep.
pub(super) fn keep(graph: &Graph, ids: &[Id], kept: &mut BTreeMap<Id, Vec<Id>>) {
    let nodes = Nodes { graph, ids };
    let mut index = 0;
    while index < ids.len() {
        if let Some(sum) = weighted_sum(&nodes, index) {
            add(kept, ids[index + sum.length - 1], [sum.experts, sum.weights]);
            // The chain's last node is looked at again, as the start of a choice of experts.
            index += sum.length - 1;
        }
        if let Some(length) = choice(&nodes, index) {
            if let Some(until) = ids.get(index + length) {
                for node in &ids[index..index + length] {
                    add(kept, *until, [*node]);
                    add(kept, *until, graph.get(*node).src.as_slice().iter().copied());
                }
            }
            index += length - 1;
        }
        index += 1;
    }
}

fn add(kept: &mut BTreeMap<Id, Vec<Id>>, until: Id, ids: impl IntoIterator<Item = Id>) {
    let list = kept.entry(until).or_default();
    for id in ids {
        if !list.contains(&id) {
            list.push(id);
        }
    }
}

/// The weighted sum of experts' outputs.
struct WeightedSum {
    experts: Id,
    weights: Id,
    length: usize,
}

/// `experts * weights`, a view for each expert, and their sum (`ggml_cuda_match_moe_weighted_reduction`).
fn weighted_sum(nodes: &Nodes<'_>, start: usize) -> Option<WeightedSum> {
    let product = nodes.get(start).filter(|tensor| tensor.op == Op::Mul && tensor.ty == GgmlType::F32)?;
    let (experts, weights) = operands(nodes.graph, product)?;
    let used = product.ne[1];
    if !(2..=MOST_EXPERTS).contains(&used) || product.ne[2] == 0 {
        return None;
    }
    let used = used as usize;
    let length = 2 * used;
    let mut ops = vec![Op::Mul];
    let (mut views, mut sums) = (Vec::new(), Vec::<usize>::new());
    for index in start + 1..start + length {
        let node = nodes.get(index)?;
        ops.push(node.op);
        match node.op {
            Op::View if node.view.map(|(of, _)| of) == nodes.ids.get(start).copied() => views.push(index),
            Op::Add if views.len() >= 2 && sums.len() + 1 < views.len() => {
                let left = sums.last().copied().unwrap_or(views[0]);
                if !nodes.reads(index, 0, left) || !nodes.reads(index, 1, views[sums.len() + 1]) {
                    return None;
                }
                sums.push(index);
            }
            _ => return None,
        }
    }
    let whole = views.len() == used && sums.len() + 1 == used;
    (whole && nodes.closed(start, &ops, &[start + length - 1])).then_some(WeightedSum {
        experts,
        weights,
        length,
    })
}

/// The sources of a product of experts' outputs with one weight for each.
fn operands(graph: &Graph, product: &Tensor) -> Option<(Id, Id)> {
    let (first, second) = (product.src.get(0)?, product.src.get(1)?);
    let weights = |id: Id| {
        let tensor = graph.get(id);
        tensor.ty == GgmlType::F32
            && tensor.contiguous()
            && tensor.ne[0] == 1
            && tensor.ne[1..] == product.ne[1..]
    };
    let experts = |id: Id| {
        let tensor = graph.get(id);
        tensor.ty == GgmlType::F32 && tensor.contiguous() && tensor.ne == product.ne
    };
    if experts(first) && weights(second) {
        Some((first, second))
    } else if experts(second) && weights(first) {
        Some((second, first))
    } else {
        None
    }
}

/// The length of a choice of experts that begins with its gating function (`ggml_cuda_topk_moe_fusion`).
fn choice(nodes: &Nodes<'_>, start: usize) -> Option<usize> {
    let gate = match nodes.op(start)? {
        Op::SoftMax => vec![Op::SoftMax],
        Op::Unary(Unary::Sigmoid) => vec![Op::Unary(Unary::Sigmoid)],
        Op::Unary(Unary::Softplus)
            if nodes.op(start + 1) == Some(Op::Sqrt) && nodes.reads(start + 1, 0, start) =>
        {
            vec![Op::Unary(Unary::Softplus), Op::Sqrt]
        }
        // A softmax of the chosen logits is matched too, but not kept alive longer.
        _ => return None,
    };
    let probabilities = start + gate.len() - 1;
    let reshaped = probabilities + 1;
    let mut ops = gate;
    if nodes.op(reshaped)? != Op::Reshape || !nodes.reads(reshaped, 0, probabilities) {
        return None;
    }
    ops.push(Op::Reshape);
    let mut next = reshaped + 1;
    let biased = nodes.op(next) == Some(Op::Add) && nodes.reads(next, 0, probabilities);
    if biased {
        ops.push(Op::Add);
        next += 1;
    }
    let sorted_of = if biased { next - 1 } else { probabilities };
    let sorted = nodes.op(next) == Some(Op::Argsort) && nodes.reads(next, 0, sorted_of);
    let chosen = nodes.op(next + 1) == Some(Op::View) && nodes.reads(next + 1, 0, next);
    let gathered = nodes.op(next + 2) == Some(Op::GetRows)
        && nodes.reads(next + 2, 0, reshaped)
        && nodes.reads(next + 2, 1, next + 1);
    if !(sorted && chosen && gathered) {
        return None;
    }
    ops.extend([Op::Argsort, Op::View, Op::GetRows]);
    let chosen = next + 1;
    normalised(nodes, start, &mut ops);
    let ids = nodes.get(chosen)?;
    let experts = ids.nb[1] / ids.nb[0].max(1);
    let known = experts.is_power_of_two() && experts <= 512 || matches!(experts, 288 | 576);
    let simple = nodes.get(start)?.src.as_slice().len() == 1;
    let fused = known && simple && nodes.closed(start, &ops, &[chosen, start + ops.len() - 1]);
    fused.then_some(ops.len())
}

/// Adds the ops that make the weights' sum 1, and the one that scales them, if they follow.
fn normalised(nodes: &Nodes<'_>, start: usize, ops: &mut Vec<Op>) {
    let at = start + ops.len();
    let chain = [Op::Reshape, Op::SumRows, Op::Clamp];
    let follows = |index: usize, op: Op| nodes.op(index) == Some(op) && nodes.reads(index, 0, index - 1);
    if nodes.op(at) == Some(Op::Reshape) {
        if !chain.iter().enumerate().all(|(step, op)| follows(at + step, *op)) {
            return;
        }
        let divided =
            nodes.op(at + 3) == Some(Op::Div) && nodes.reads(at + 3, 1, at + 2) && nodes.reads(at + 3, 0, at);
        if !divided {
            return;
        }
        ops.extend([Op::Reshape, Op::SumRows, Op::Clamp, Op::Div, Op::Reshape]);
    }
    let at = start + ops.len();
    if follows(at, Op::Scale) {
        ops.push(Op::Scale);
    }
}
