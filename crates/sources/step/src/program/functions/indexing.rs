//! `x[…]` (torch/csrc/autograd/python_variable_indexing.cpp, torch 2.15): one op after the other, from the first index to
//! the last.

use brimful_programs::Value as Plain;
use brimful_units::Dtype;

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::value::{Items, Value};
use crate::ops;
use crate::tensor::Tensor;

/// `x[index]`.
pub(super) fn get_item(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    let index = given.positional.get(1).ok_or_else(|| given.fault("no index"))?;
    let single = std::slice::from_ref(index);
    let items: &[Value] = match index {
        Value::Items(Items(items)) => items,
        _ => single,
    };
    let takes_dim = |item: &&Value| !matches!(item, Value::Ellipsis) && !item.is_none();
    let taken = items.iter().filter(takes_dim).count();
    let skipped = x.rank().checked_sub(taken).ok_or_else(|| given.fault("more indices than dimensions"))?;
    if let [Value::Tensor(first), Value::Tensor(second)] = items {
        return by_pairs(given, x, first, second);
    }
    let mut view: Option<Tensor> = None;
    let mut dim = 0;
    for item in items {
        let current = view.as_ref().unwrap_or(x);
        let next = match item {
            Value::Ellipsis => {
                dim += skipped;
                continue;
            }
            item if item.is_none() => {
                dim += 1;
                Some(ops::unsqueeze(current, dim - 1))
            }
            Value::Slice(parts) => {
                dim += 1;
                sliced(given, current, dim - 1, parts)?
            }
            Value::Plain(Plain::Integer(_)) => Some(ops::select(current, dim)),
            Value::Items(Items(places)) => {
                dim += 1;
                Some(at_places(given, current, dim - 1, places)?)
            }
            other => return Err(given.fault(format!("{} as an index", other.kind()))),
        };
        // `result` is bound to each view in turn.
        view = next.or(view);
    }
    // `x[...]` of nothing is an alias, which is a view as well.
    Ok(view.unwrap_or_else(|| ops::alias(x)))
}

/// `x[first, second]` of two lists of numbers: a row for each pair.
fn by_pairs(given: &Arguments<'_>, x: &Tensor, first: &Tensor, second: &Tensor) -> Result<Tensor, Fault> {
    let numbers = |index: &Tensor| index.dtype() == Dtype::I64 && index.rank() == 1;
    let fit = numbers(first) && numbers(second) && first.shape() == second.shape() && x.is_contiguous();
    if !fit {
        return Err(given.fault(format!("indices of {} and {}", first.shape(), second.shape())));
    }
    Ok(ops::index_pairs(x, first, second))
}

/// `x[:, [-1, 0]]`: Python's list becomes a tensor on the GPU, which goes when the values are there.
fn at_places(given: &Arguments<'_>, x: &Tensor, dim: usize, places: &[Value]) -> Result<Tensor, Fault> {
    let numbers = places.iter().all(|place| matches!(place, Value::Plain(Plain::Integer(_))));
    if !numbers || (x.requires_grad() && x.device().grad_enabled()) {
        return Err(given
            .fault("a list as an index of what wants a gradient, or a list of other things than numbers"));
    }
    let count = places.len() as u64;
    let index = ops::new_tensor(x.device(), "_to_copy", [count], Dtype::I64);
    let mut shape = x.shape().clone();
    shape[dim] = count;
    let taken = ops::new_tensor(x.device(), "index", shape, x.dtype());
    drop(index);
    Ok(taken)
}

/// A slice of a dimension; `None` where it is the whole (`applySlicing`).
fn sliced(
    given: &Arguments<'_>,
    x: &Tensor,
    dim: usize,
    parts: &[Option<i64>; 3],
) -> Result<Option<Tensor>, Fault> {
    let size = i64::try_from(x.dim(dim)).map_err(|_| given.fault("a dimension beyond 2^63"))?;
    let step = parts[2].unwrap_or(1);
    if step < 1 {
        return Err(given.fault("a step below 1"));
    }
    let place = |part: i64| if part < 0 { (part + size).max(0) } else { part.min(size) };
    let start = place(parts[0].unwrap_or(0));
    let end = place(parts[1].unwrap_or(size)).max(start);
    if start == 0 && end == size && step == 1 {
        return Ok(None);
    }
    let length = (end - start + step - 1) / step;
    Ok(Some(ops::slice_by(x, dim, length.unsigned_abs(), step.unsigned_abs())))
}
