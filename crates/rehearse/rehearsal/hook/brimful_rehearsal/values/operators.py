"""Which operators are followed, by the names in PyTorch's `native_functions.yaml`."""

# One element of the result depends on one element of each input.
POINTWISE = frozenset(
    [
        "abs",
        "add",
        "bitwise_and",
        "bitwise_left_shift",
        "bitwise_not",
        "bitwise_or",
        "bitwise_right_shift",
        "bitwise_xor",
        "ceil",
        "clamp",
        "clamp_max",
        "clamp_min",
        "cos",
        "div",
        "eq",
        "exp",
        "floor",
        "floor_divide",
        "fmod",
        "ge",
        "gt",
        "isnan",
        "le",
        "log",
        "logical_and",
        "logical_not",
        "logical_or",
        "logical_xor",
        "lt",
        "masked_fill",
        "maximum",
        "minimum",
        "mul",
        "ne",
        "neg",
        "pow",
        "reciprocal",
        "remainder",
        "round",
        "rsqrt",
        "rsub",
        "sign",
        "sin",
        "sqrt",
        "sub",
        "trunc",
        "where",
        "__lshift__",
        "__rshift__",
    ]
)
# Reductions that return the common value of elements that are all equal.
IDEMPOTENT = frozenset(["all", "any", "amax", "amin", "max", "min"])
# The others.
OTHERS = frozenset(
    [
        "argmax",
        "argmin",
        "aminmax",
        "arange",
        "bincount",
        "bucketize",
        "cat",
        "count_nonzero",
        "cummax",
        "cummin",
        "cumprod",
        "cumsum",
        "eye",
        "flip",
        "gather",
        "index",
        "index_add",
        "index_copy",
        "index_fill",
        "index_put",
        "_index_put_impl",
        "index_select",
        "isin",
        "linspace",
        "logspace",
        "masked_scatter",
        "masked_select",
        "mean",
        "prod",
        "range",
        "repeat_interleave",
        "roll",
        "scatter",
        "scatter_add",
        "scatter_reduce",
        "searchsorted",
        "sort",
        "sum",
        "take",
        "topk",
        "trace",
        "tril",
        "tril_indices",
        "triu",
        "triu_indices",
    ]
)
FOLLOWED = POINTWISE | IDEMPOTENT | OTHERS
# What `eq`, `ne` and `isnan` find in floating-point numbers that are not known, if the run is a sound one.
CHECKS = frozenset(["aten::eq.Tensor", "aten::ne.Tensor", "aten::eq.Scalar", "aten::ne.Scalar", "aten::isnan"])
# Operators whose result has as many rows as the data decides, and how many these are at most.
SELECTING = {
    "aten::nonzero": lambda tensor, *rest: tensor.numel(),
    "aten::_unique": lambda tensor, *rest: tensor.numel(),
    "aten::_unique2": lambda tensor, *rest: tensor.numel(),
    "aten::unique_consecutive": lambda tensor, *rest: (
        tensor.numel() if not rest[2:3] or rest[2] is None else tensor.size(rest[2])
    ),
    "aten::unique_dim": lambda tensor, dim, *rest: tensor.size(dim),
    "aten::unique_dim_consecutive": lambda tensor, dim, *rest: tensor.size(dim),
}
# Arguments that an operator writes although its schema does not say so: the running statistics.
UNDECLARED = {
    "aten::native_batch_norm": (3, 4),
    "aten::cudnn_batch_norm": (3, 4),
    "aten::miopen_batch_norm": (3, 4),
    "aten::batch_norm_gather_stats": (3, 4),
    "aten::batch_norm_gather_stats_with_counts": (3, 4),
}
# Operators that PyTorch calls with a number as a tensor on the GPU (`wrapped_scalar_tensor` with a device), which it
# cannot hand to Python.
UNWRAPPABLE = frozenset(["aten::pow.Tensor_Tensor_out", "aten::isin.Tensor_Tensor_out"])
# Operators that change what a tensor refers to, and no element.
HARMLESS = frozenset(
    [
        "as_strided_",
        "detach_",
        "record_stream",
        "resize_",
        "resize_as_",
        "set_",
        "squeeze_",
        "swapaxes_",
        "swapdims_",
        "t_",
        "transpose_",
        "unsqueeze_",
    ]
)


def base(name):
    """The name of an operator without its namespace, its overload, and the mark of the form that works in place."""
    name = name.split("::")[1].split(".")[0]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name
