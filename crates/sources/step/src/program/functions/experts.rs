//! What mixtures of experts call: routers, tokens sorted by expert, grouped products, and the way back
//! (`grouped_mm_experts_forward` in transformers/integrations/moe.py, 5.23).

use brimful_programs::Value as Plain;
use brimful_units::Dtype;

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::model::State;
use super::super::value::{Items, Value};
use super::Outcome;
use super::indexing::get_item;
use crate::autocast::active_dtype;
use crate::ops;
use crate::tensor::Tensor;

/// The function `name`, if it is one of these.
pub(super) fn call(_state: &State, name: &str, given: &Arguments<'_>) -> Outcome {
    let outcome = match name {
        "topk" => return Some(topk(given)),
        "max" => return Some(max(given)),
        "sort" => return Some(sort(given)),
        "histc" => histogram(given),
        "cumsum" if given.get(usize::MAX, "dtype").is_some() => running_sum(given),
        "__floordiv__" | "floor_divide" => floor_divide(given),
        "__getitem__" if indexed_by_tensor(given) => rows(given),
        "__setitem__" if matches!(given.positional.get(2), Some(Value::Host)) => part_from_host(given),
        "__setitem__" if by_number(given) => filled_part(given),
        "__setitem__" if by_place(given) => copied_part(given),
        "__setitem__" => set_rows(given),
        "_grouped_mm" | "F.grouped_mm" => grouped_mm(given),
        "sum" => sum(given),
        "div" | "__truediv__" if by_tensor(given) => quotient(given),
        "div_" | "__itruediv__" if by_tensor(given) => quotient_in_place(given),
        "add_" | "__iadd__" if by_tensor(given) => sum_in_place(given),
        "mul_" | "__imul__" if !by_tensor(given) => given.tensor(0, "self").map(ops::scale_in_place),
        "copy_" if given.positional.first().and_then(Value::tensor).is_some_and(Tensor::is_view) => {
            copy(given)
        }
        "bool" => given.tensor(0, "input").map(|x| ops::to(x, Dtype::Bool)),
        "new_empty" => new_like(given, "new_empty"),
        "new_zeros" => new_like(given, "new_zeros"),
        "sigmoid" | "F.sigmoid" => given.tensor(0, "input").map(ops::sigmoid),
        "gather" => gather(given),
        "scatter_" | "masked_fill_" => written(given),
        "masked_fill" => masked_fill(given),
        "clamp" => clamp(given),
        "F.one_hot" | "one_hot" => one_hot(given),
        _ => return None,
    };
    Some(outcome.map(Value::Tensor))
}

/// Whether autograd records what is done with one of the tensors.
fn recorded(tensors: &[&Tensor]) -> bool {
    tensors.iter().any(|x| x.requires_grad() && x.device().grad_enabled())
}

fn by_tensor(given: &Arguments<'_>) -> bool {
    given.get(usize::MAX, "rounding_mode").is_none()
        && given.get(1, "other").and_then(Value::tensor).is_some()
}

/// `torch.topk(x, k, dim=-1)`.
fn topk(given: &Arguments<'_>) -> Result<Value, Fault> {
    let x = given.tensor(0, "input")?;
    let k = u64::try_from(given.integer(1, "k")?).map_err(|_| given.fault("a negative number of values"))?;
    let last = match given.get(2, "dim") {
        None => x.rank() > 0,
        Some(_) => given.dim(2, "dim", x.rank())? + 1 == x.rank(),
    };
    if !last {
        return Err(given.fault("another dimension than the last"));
    }
    let (values, indices) = largest(given, x, k)?;
    Ok(Value::Items(Items(vec![values.into(), indices.into()])))
}

/// The `k` largest of each row, and where they are.
pub(super) fn largest(given: &Arguments<'_>, x: &Tensor, k: u64) -> Result<(Tensor, Tensor), Fault> {
    /// From here on rows may be divided among thread blocks (`should_use_multiblock` in TensorTopK.cu).
    const LONG_ROW: u64 = 400;
    if x.rank() == 0 || k > x.last(0) || !x.is_contiguous() {
        return Err(given.fault("more values than there are"));
    }
    if x.last(0) >= LONG_ROW {
        return Err(given.fault(format!("{} values a row", x.last(0))));
    }
    Ok(ops::topk_last(x, k))
}

/// `x.max(dim, keepdim=True)`.
fn max(given: &Arguments<'_>) -> Result<Value, Fault> {
    let x = given.tensor(0, "input")?;
    let dim = given.dim(1, "dim", x.rank())?;
    if !given.flag(2, "keepdim", false)? || ops::divides_outputs(x, dim) {
        return Err(given.fault("a dimension that goes, or is divided among thread blocks"));
    }
    let (values, indices) = ops::max_kept(x, dim);
    Ok(Value::Items(Items(vec![values.into(), indices.into()])))
}

/// `torch.sort(x)` of a list of indices.
fn sort(given: &Arguments<'_>) -> Result<Value, Fault> {
    let x = given.tensor(0, "input")?;
    if x.rank() != 1 || x.dtype() != ops::INDEX {
        return Err(given.fault("another tensor than a list of indices"));
    }
    let (values, indices) = ops::sort_indices(x);
    Ok(Value::Items(Items(vec![values.into(), indices.into()])))
}

/// transformers counts in fp32 on the CPU, where programs are recorded, and in 32-bit integers on a GPU: both have the same
/// size, and what is counted has the second dtype.
fn histogram(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let bins =
        u64::try_from(given.integer(1, "bins")?).map_err(|_| given.fault("a negative number of bins"))?;
    if x.dtype().size() != Dtype::I32.size() {
        return Err(given.fault("elements of another size than 4 bytes"));
    }
    Ok(ops::histogram(x, bins))
}

/// `torch.cumsum(counts, dim=0, dtype=torch.int32)`.
fn running_sum(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let dtype = given.optional_dtype(2, "dtype")?;
    if x.rank() != 1 || x.dtype() != Dtype::I32 || dtype != Some(Dtype::I32) {
        return Err(given.fault("another tensor than a list of 32-bit integers"));
    }
    Ok(ops::running_sum(x))
}

fn floor_divide(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    if x.dtype().is_floating() || given.optional_integer(1, "other")?.is_none() {
        return Err(given.fault("fractions or a divisor that is a tensor"));
    }
    Ok(ops::floor_divide(x))
}

fn indexed_by_tensor(given: &Arguments<'_>) -> bool {
    given.positional.get(1).is_some_and(|index| index.tensor().is_some())
}

/// `x[index]`: rows by their number.
fn rows(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, index) = (given.tensor(0, "self")?, given.tensor(1, "index")?);
    if index.dtype() != ops::INDEX || x.rank() == 0 {
        return Err(given.fault("a mask as an index, whose number of rows depends on values"));
    }
    Ok(ops::index_rows(x, index))
}

/// `x[index] = values` of integers or without gradient: written where `x` is.
fn set_rows(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, index) = (given.tensor(0, "self")?, given.tensor(1, "index")?);
    let values = given.tensor(2, "value")?;
    if index.dtype() != ops::INDEX || values.dtype() != x.dtype() || recorded(&[x, values]) {
        return Err(given.fault("a mask, another dtype, or a tensor that wants a gradient"));
    }
    Ok(x.clone())
}

/// Whether `x[index] = value` has a number as its value and no tensor in its index.
fn by_number(given: &Arguments<'_>) -> bool {
    by_place(given) && matches!(given.positional.get(2), Some(Value::Plain(_)))
}

/// Whether `x[index] = value` has no tensor in its index.
fn by_place(given: &Arguments<'_>) -> bool {
    let plain = |value: &Value| matches!(value, Value::Plain(_) | Value::Slice(_) | Value::Ellipsis);
    match given.positional.get(1) {
        Some(Value::Items(Items(items))) => items.iter().all(plain),
        Some(index) => plain(index),
        None => false,
    }
}

/// `x[index] = number` without gradient: written where `x` is.
fn filled_part(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    if recorded(&[x]) {
        return Err(given.fault("a tensor that wants a gradient"));
    }
    Ok(x.clone())
}

/// `x[index] = tensor` of a tensor in host memory, without gradient: what lies in several runs is filled through a copy of its own
/// (`copy_kernel_cuda` in aten/src/ATen/native/cuda/Copy.cu). Dtypes are converted in host memory.
fn part_from_host(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    if recorded(&[x]) {
        return Err(given.fault("a tensor that wants a gradient"));
    }
    let part = get_item(given)?;
    if !part.is_contiguous() {
        let _op = x.device().op("copy_");
        drop(Tensor::empty(x.device(), part.shape().clone(), x.dtype()));
    }
    Ok(x.clone())
}

/// `x[index] = tensor` of one dtype without gradient: copied where `x` is.
fn copied_part(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, values) = (given.tensor(0, "self")?, given.tensor(2, "value")?);
    if values.dtype() != x.dtype() || recorded(&[x, values]) {
        return Err(given.fault("another dtype, or a tensor that wants a gradient"));
    }
    Ok(x.clone())
}

/// `torch._grouped_mm(x, weight, offs=offsets)`.
fn grouped_mm(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, weight) = (given.tensor(0, "mat_a")?, given.tensor(1, "mat_b")?);
    let offsets = given.tensor(2, "offs")?;
    if given.get(3, "bias").is_some() || given.get(4, "out_dtype").is_some() {
        return Err(given.fault("a bias or an out_dtype"));
    }
    if x.rank() != 2 || weight.rank() != 3 || x.dim(1) != weight.dim(1) || x.dtype() != weight.dtype() {
        return Err(given.fault("other tensors than rows and one matrix per group, both of one dtype"));
    }
    // `check_valid_strides_and_return_transposed`: rows begin at multiples of 16 bytes, or PyTorch refuses them.
    let aligned = |width: u64| (width * x.dtype().size()).is_multiple_of(16);
    let rows = |matrix: &Tensor, dims: [usize; 2]| {
        let [a, b] = dims.map(|at| matrix.strides()[at]);
        aligned(a.max(b))
    };
    if !rows(x, [0, 1]) || !rows(weight, [1, 2]) || !aligned(weight.dim(2)) {
        return Err(given.fault("rows that do not begin at multiples of 16 bytes, which PyTorch refuses"));
    }
    if weight.device().properties().compute_capability < (8, 0)
        || weight.device().properties().compute_capability.0 >= 10
    {
        return Err(given.fault("a GPU of another compute capability than 8 and 9"));
    }
    Ok(ops::grouped_mm(x, weight, offsets))
}

/// `x.sum(dim=…)`. Autocast sums in fp32.
fn sum(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let lowered = active_dtype(x.device()).is_some() && matches!(x.dtype(), Dtype::F16 | Dtype::Bf16);
    let only = match given.get(1, "dim") {
        Some(Value::Plain(Plain::Integer(_))) => Some(given.dim(1, "dim", x.rank())?),
        Some(Value::Items(Items(items))) if items.len() == 1 => {
            given.integers(1, "dim")?.first().map(|dim| given.resolved(*dim, x.rank())).transpose()?
        }
        _ => None,
    };
    let dim = only.ok_or_else(|| given.fault("other dims than one"))?;
    let keep = given.flag(2, "keepdim", false)?;
    let natural = if lowered { Dtype::F32 } else { x.dtype() };
    let dtype = given.optional_dtype(3, "dtype")?.unwrap_or(natural);
    if !x.dtype().is_floating() && !keep && given.get(3, "dtype").is_none() {
        return Ok(ops::count(x, dim));
    }
    // Half precision is summed up in fp32 without a copy (`make_reduction_from_out_ty` in ReduceOpsUtils.h).
    if !x.dtype().is_floating() || (dtype != Dtype::F32 && dtype != x.dtype()) {
        return Err(given.fault("integers, or a dtype other than fp32"));
    }
    Ok(ops::sum(x, dim, keep, dtype))
}

fn quotient(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, other) = (given.tensor(0, "input")?, given.tensor(1, "other")?);
    if !x.dtype().is_floating() || !other.dtype().is_floating() {
        return Err(given.fault("integers"));
    }
    Ok(ops::divide(x, other))
}

/// A write into what autograd records: a view would hand its history to its base.
fn refuse_views(given: &Arguments<'_>, x: &Tensor) -> Result<(), Fault> {
    if x.is_view() && x.device().grad_enabled() {
        return Err(given.fault("a view that wants a gradient"));
    }
    Ok(())
}

fn quotient_in_place(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, other) = (given.tensor(0, "self")?, given.tensor(1, "other")?);
    if recorded(&[x, other]) {
        refuse_views(given, x)?;
    }
    Ok(ops::divide_in_place(x, other))
}

fn sum_in_place(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, other) = (given.tensor(0, "self")?, given.tensor(1, "other")?);
    if recorded(&[x, other]) {
        refuse_views(given, x)?;
    }
    Ok(ops::add_in_place(x, other))
}

/// `view.copy_(source)`.
fn copy(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (view, source) = (given.tensor(0, "self")?, given.tensor(1, "src")?);
    let base = view.base().ok_or_else(|| given.fault("no view"))?;
    if base.is_leaf() && recorded(&[base]) {
        return Err(given.fault("a part of a parameter"));
    }
    ops::copy_into_part(base, view, source);
    Ok(view.clone())
}

/// `x.new_empty(sizes)`.
fn new_like(given: &Arguments<'_>, op: &'static str) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    let size = |size: i64| u64::try_from(size).map_err(|_| given.fault(format!("the size {size}")));
    let shape =
        given.integers(1, "size")?.into_iter().map(size).collect::<Result<brimful_units::Shape, _>>()?;
    let dtype = given.optional_dtype(usize::MAX, "dtype")?.unwrap_or(x.dtype());
    Ok(ops::new_tensor(x.device(), op, shape, dtype))
}

/// `x.gather(dim, index)`, or `torch.gather(x, dim, index)`.
fn gather(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, index) = (given.tensor(0, "input")?, given.tensor(2, "index")?);
    if given.flag(3, "sparse_grad", false)? {
        return Err(given.fault("sparse_grad"));
    }
    Ok(ops::gather(x, index))
}

/// A write without gradient.
fn written(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "self")?;
    let tensors: Vec<&Tensor> = given.positional.iter().filter_map(Value::tensor).collect();
    if recorded(&tensors) {
        return Err(given.fault("a tensor that wants a gradient"));
    }
    Ok(x.clone())
}

/// `x.masked_fill(mask, number)`.
fn masked_fill(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let (x, mask) = (given.tensor(0, "input")?, given.tensor(1, "mask")?);
    if given.get(2, "value").and_then(Value::tensor).is_some() {
        return Err(given.fault("a value that is a tensor"));
    }
    Ok(ops::masked_fill(x, mask))
}

/// `x.clamp(min, max)` of numbers.
fn clamp(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let tensors = [given.get(1, "min"), given.get(2, "max")].map(|bound| bound.and_then(Value::tensor));
    if let [Some(least), Some(most)] = tensors {
        if least.rank() > 0 || most.rank() > 0 || recorded(&[least, most]) {
            return Err(given.fault("bounds that are no scalars, or that want a gradient"));
        }
        return Ok(ops::clamp_by_tensors(x, least, most));
    }
    let bounds = [given.optional_number(1, "min")?, given.optional_number(2, "max")?];
    Ok(ops::clamp(x, bounds.iter().flatten().count()))
}

/// `torch.nn.functional.one_hot(x, num_classes)`.
fn one_hot(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let x = given.tensor(0, "input")?;
    let classes = u64::try_from(given.integer(1, "num_classes")?);
    Ok(ops::one_hot(x, classes.map_err(|_| given.fault("a number of classes that depends on values"))?))
}
