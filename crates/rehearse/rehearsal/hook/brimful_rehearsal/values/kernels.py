"""The wrappers around PyTorch's own kernels for CUDA tensors."""

import functools
import math

from .operators import CHECKS, FOLLOWED, HARMLESS, IDEMPOTENT, POINTWISE, SELECTING, UNDECLARED, UNWRAPPABLE, base
from .tags import KEY as TAG

UNKNOWN, NOWHERE, PERHAPS = object(), object(), object()
NUMBERS = frozenset((bool, int, float, complex))
# The dispatch key of the wrappers of operators that make a known value where none was. No tensor has it; a thread that
# includes it in its own keys runs them. Operators that need a known value have the key of tags, so tensors that are not
# known never come through Python.
KEY = "FPGA"
# Composite kernels, which PyTorch would take for a key before the kernel for CUDA.
COMPOSITES = ("CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional", "CompositeImplicitAutograd")


class Kernels:
    """Registers a wrapper for each operator that is followed, and for each one that writes to an argument."""

    def __init__(self, torch, table, library, reads):
        self.torch, self.aten, self.table = torch, torch.ops.aten, table
        self.library, self.reads = library, reads
        self.tensor = torch.Tensor
        self.numbers = {}
        # PyTorch drops the kernels of a Library that nobody holds.
        self.registered = torch.library.Library("aten", "IMPL")
        self.others = {"_": torch.library.Library("_", "IMPL")}
        self.key = torch._C._dispatch_key_parse(KEY)
        self.is_included = torch._C._dispatch_tls_is_dispatch_key_included
        self.include = torch._C._dispatch_tls_set_dispatch_key_included
        self.keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
        self.modes, self.unseen = torch._C._len_torch_function_stack, torch._C.DisableTorchFunction

    def register(self):
        """Wraps the operators of this torch."""
        fall_through = self.torch.library.fallthrough_kernel
        for key in (KEY, TAG):
            self.others["_"].fallback(fall_through, key)
        for schema in self.torch._C._jit_get_all_schemas():
            name = f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name
            if not schema.name.startswith("aten::"):
                self.pass_by(name)
                continue
            # Operators without a kernel of their own for CUDA call others, which have wrappers.
            if name != "aten::copy_" and not self.has_kernel(name):
                continue
            make = self.wrapper_of(name, schema)
            key = None if make is None else self.key_of(make, name, schema)
            if make is not None:
                call = functools.partial(self.torch.library.get_kernel(name, "CUDA").call_boxed, self.keys)
                self.registered.impl(name[6:], make(name, schema, call), key)
            if any(self.has_kernel(name, composite) for composite in COMPOSITES):
                for other in {KEY, TAG} - {key}:
                    self.registered.impl(name[6:], fall_through, other)

        self.pass_by_later_ones()

    def pass_by(self, name):
        """Has an operator of another library run its kernel for the device of its tensors, where PyTorch would take a
        composite kernel for the keys of the wrappers.
        """
        if any(self.has_kernel(name, composite) for composite in COMPOSITES):
            space = name.partition("::")[0]
            if space not in self.others:
                self.others[space] = self.torch.library.Library(space, "IMPL")
            for key in (KEY, TAG):
                if not self.has_kernel(name, key):
                    self.others[space].impl(name, self.torch.library.fallthrough_kernel, key)

    def pass_by_later_ones(self):
        """Does so for operators that Python registers from now on."""
        library, passed = self.torch.library.Library, self.pass_by
        register = library.impl

        @functools.wraps(register)
        def impl(own, op_name, fn, dispatch_key="", **options):
            register(own, op_name, fn, dispatch_key, **options)
            if own.ns not in ("aten", "_") and (dispatch_key or own.dispatch_key or COMPOSITES[-1]) in COMPOSITES:
                name = op_name if isinstance(op_name, str) else op_name._name
                passed(name if "::" in name else f"{own.ns}::{name}")

        library.impl = impl

    def key_of(self, make, name, schema):
        """The dispatch key of an operator's wrapper."""
        if make in (self.selecting, self.reading):
            # A size that the forward pass has read has to be the same in the backward pass.
            return "CUDA"
        reads_tensors = any("Tensor" in str(one.type) and not is_written(one) for one in schema.arguments)
        return TAG if reads_tensors and make != self.copying and name not in CHECKS else KEY

    def has_kernel(self, name, key="CUDA"):
        """Whether PyTorch has a kernel of this operator that is for one dispatch key only."""
        try:
            return self.torch._C._dispatch_has_kernel_for_dispatch_key(name, key)
        except RuntimeError:
            # An operator of TorchScript's, which has no dispatcher.
            return False

    def wrapper_of(self, name, schema):
        """The function that makes an operator's wrapper; `None` for an operator that needs none."""
        special = {
            "aten::_local_scalar_dense": self.reading,
            "aten::copy_": self.copying,
            "aten::_amp_foreach_non_finite_check_and_unscale_": self.unscaling,
            "aten::_amp_update_scale_": self.scaling,
        }.get(name)
        if special is not None:
            return special
        if name in UNWRAPPABLE:
            return None
        if name in SELECTING:
            return self.selecting
        if any(is_written(argument) for argument in schema.arguments) or name in UNDECLARED:
            return None if schema.name[6:] in HARMLESS else self.writing
        if base(name) in FOLLOWED and all(argument.alias_info is None for argument in schema.arguments):
            return self.following
        return None

    def elsewhere(self, operator, args, kwargs):
        """Calls an operator for tensors that are not on a GPU."""
        if self.modes():
            # A script's modes for functions of torch see what the script calls, and not what kernels do.
            with self.unseen():
                return self.without_key(operator, args, kwargs)
        return self.without_key(operator, args, kwargs)

    def without_key(self, operator, args, kwargs):
        """Calls an operator without the wrappers for known values."""
        if not self.is_included(self.key):
            return operator(*args, **kwargs)
        self.include(self.key, False)
        try:
            return operator(*args, **kwargs)
        finally:
            self.include(self.key, True)

    def look(self, args):
        """Where an operator's tensors are: `NOWHERE` if none is on a GPU, `UNKNOWN` if the value of one there is not
        known, and `PERHAPS` if they may all be known. Most calls end here at their first tensor.
        """
        known, found = self.table.known, NOWHERE
        for argument in args:
            if isinstance(argument, self.tensor):
                if argument.is_cuda:
                    if not known:
                        return UNKNOWN
                    if argument.data_ptr() not in known and not argument.storage_offset() and argument.numel():
                        return UNKNOWN
                    found = PERHAPS
            elif argument.__class__ is list:
                inner = self.look(argument)
                if inner is UNKNOWN:
                    return UNKNOWN
                if inner is PERHAPS:
                    found = PERHAPS
        return found

    def operator(self, name):
        """PyTorch's own function for an operator, which runs on the CPU for tensors there."""
        packet, _, overload = name[6:].partition(".")
        return getattr(getattr(self.aten, packet), overload or "default")

    # Values of arguments.

    def on_host(self, argument):
        """An argument with its known values in place of tensors on the GPU; `UNKNOWN` if one of them is not known."""
        if isinstance(argument, self.tensor):
            if not argument.is_cuda:
                return argument
            value = self.table.find(argument)
            return UNKNOWN if value is None else value
        if isinstance(argument, (list, tuple)):
            values = [self.on_host(one) for one in argument]
            return UNKNOWN if any(value is UNKNOWN for value in values) else values
        return argument

    def all_on_host(self, args, kwargs):
        """Both kinds of arguments, as `on_host` returns them; `None` if one is not known."""
        self.table.refresh()
        values = []
        for argument in args:
            value = self.on_host(argument)
            if value is UNKNOWN:
                return None
            values.append(value)
        named = {}
        for name, argument in kwargs.items():
            value = self.on_host(argument)
            if value is UNKNOWN:
                return None
            named[name] = value
        if "device" in named:
            named["device"] = "cpu"
        if "pin_memory" in named:
            named["pin_memory"] = False
        return values, named

    def tensors_for_numbers(self, schema):
        """A function that puts tensors in place of numbers that were given for tensors. PyTorch hands `x + 1` to a
        kernel as a tensor of a special kind, which becomes a number on its way through Python.
        """
        places = [at for at, argument in enumerate(schema.arguments) if str(argument.type) == "Tensor"]
        if len(places) < 2:
            return None

        def put(args):
            for at in places:
                if at < len(args) and args[at].__class__ in NUMBERS:
                    others = [args[other] for other in places if other < len(args) and other != at]
                    args = list(args)
                    args[at] = self.tensor_of(args[at], others[0] if others else None)
            return args

        return put

    def tensor_of(self, number, other):
        """A tensor on the CPU for a number beside a tensor. Its dtype is one that leaves PyTorch's choice for the
        result as it is for a number: that of the other tensor if it can hold the number's kind, else the default of its
        kind.
        """
        # A script may change the default dtype, as transformers does while it builds a model.
        key = (number, number.__class__, getattr(other, "dtype", None), self.torch.get_default_dtype())
        found = self.numbers.get(key)
        # A zero has a sign, and NaN is no key.
        if found is None or number == 0:
            if len(self.numbers) > 1024:
                self.numbers.clear()
            kind = self.dtype_of(number.__class__)
            if isinstance(other, self.tensor) and category(kind) <= category(other.dtype):
                kind = other.dtype
            found = self.numbers[key] = self.elsewhere(
                self.aten.full.default, ([], number), {"dtype": kind, "device": "cpu"}
            )
        return found

    def dtype_of(self, cls):
        """The dtype of a number in PyTorch."""
        torch = self.torch
        if cls is float:
            return torch.get_default_dtype()
        if cls is complex:
            return torch.complex128 if torch.get_default_dtype() == torch.float64 else torch.complex64
        return torch.bool if cls is bool else torch.int64

    def find(self, tensor):
        """The known value of a tensor on the GPU, as a tensor on the CPU; `None` if it is unknown."""
        return self.elsewhere(self.value, (tensor,), {})

    def know(self, tensor, number):
        """Keeps that all elements of a tensor, and of the one that it is a view of, are this number."""
        if not tensor.is_cuda:
            return
        whole = tensor if tensor._base is None else tensor._base
        self.elsewhere(self.table.put_number, (whole, number), {})
        # A view has a tag only if its base had one when the view was made.
        self.table.tags.add(tensor)

    # Evaluation.

    def evaluate(self, operator, values):
        """The result of an operator on the CPU; `None` if it has none there."""
        try:
            return operator(*values[0], **values[1])
        except Exception:
            # The operator on the GPU has succeeded, so this is a dtype or a form that the CPU does not have.
            return None

    def keep(self, results, found):
        """Keeps what was found on the CPU as the values of results on the GPU."""
        pairs = zip(results, found) if isinstance(results, (list, tuple)) else [(results, found)]
        for result, value in pairs:
            are_tensors = isinstance(result, self.tensor) and isinstance(value, self.tensor) and result.is_cuda
            if are_tensors and result.shape == value.shape and result.dtype == value.dtype:
                self.table.put(result, value, is_fresh=True)

    def small(self, args):
        """Whether all tensors of the arguments are small enough to be evaluated element by element."""
        for argument in args:
            if isinstance(argument, self.tensor):
                if argument.is_cuda and not self.table.fits(argument):
                    return False
            elif isinstance(argument, (list, tuple)) and not self.small(argument):
                return False
        return True

    # Wrappers.

    def following(self, name, schema, call):
        """For an operator that writes to no argument."""
        operator, put = self.operator(name), self.tensors_for_numbers(schema)
        is_check, table = name in CHECKS, self.table

        def kernel(*args, **kwargs):
            where = self.look(args)
            if where is NOWHERE:
                return self.elsewhere(operator, args, kwargs)
            given = args if put is None else put(args)
            if where is UNKNOWN:
                table.meet(args)
                result = call(*given, **kwargs)
                if is_check and self.is_check(name, args):
                    # Numbers that are not known are taken to be finite.
                    self.elsewhere(table.put_number, (result, self.finds(name, args)), {})
                return result
            values = self.elsewhere(self.all_on_host, (args, kwargs), {})
            result = call(*given, **kwargs)
            if values is not None:
                self.elsewhere(self.follow, (name, operator, args, values, result), {})
            elif is_check and self.is_check(name, args):
                self.elsewhere(table.put_number, (result, self.finds(name, args)), {})
            return result

        return kernel

    def follow(self, name, operator, args, values, result):
        """Evaluates an operator whose inputs are known."""
        if isinstance(result, self.tensor) and not self.table.fits(result) or not self.small(args):
            self.follow_uniform(name, operator, args, values, result)
            return
        found = self.evaluate(operator, values)
        if found is not None:
            self.keep(result, found)

    def follow_uniform(self, name, operator, args, values, result):
        """Evaluates an operator on large tensors whose elements are all equal: one element is enough."""
        if not isinstance(result, self.tensor):
            return
        tensors = [value for value in values[0] if isinstance(value, self.tensor)]
        if any(value.numel() > 1 and any(value.stride(at) for at in range(value.dim())) for value in tensors):
            return
        kind = base(name)
        if kind in POINTWISE:
            ones = [
                self.aten.as_strided.default(v, [1], [1], v.storage_offset()) if isinstance(v, self.tensor) else v
                for v in values[0]
            ]
            found = self.evaluate(operator, (ones, values[1]))
        elif kind in IDEMPOTENT and result.numel() > 0:
            found = self.aten.as_strided.default(tensors[0], [1], [1], tensors[0].storage_offset())
            found = (
                self.aten._to_copy.default(found, dtype=result.dtype)
                if kind not in ("all", "any")
                else self.aten.ne.Scalar(found, 0)
            )
        elif kind == "sum" and result.numel() > 0 and not result.is_floating_point():
            one = self.aten._local_scalar_dense.default(
                self.aten.as_strided.default(tensors[0], [], [], tensors[0].storage_offset())
            )
            self.table.put_number(result, one * (args[0].numel() // result.numel()))
            return
        else:
            return
        if found is not None and found.dtype == result.dtype:
            self.table.put(result, self.aten.as_strided.default(found, [], [], 0))

    def same(self, args):
        """Whether the first two arguments are one tensor."""
        first, second = args[0], args[1]
        return (
            isinstance(second, self.tensor)
            and first.data_ptr() == second.data_ptr()
            and first.shape == second.shape
            and first.stride() == second.stride()
        )

    def is_check(self, name, args):
        """Whether a comparison asks if floating-point numbers are NaN or infinite."""
        if not args[0].is_floating_point():
            return False
        if name == "aten::isnan":
            return True
        other = args[1]
        if isinstance(other, self.tensor):
            return self.same(args)
        return isinstance(other, float) and math.isinf(other)

    def finds(self, name, args):
        """What such a comparison finds in finite numbers."""
        if name == "aten::isnan":
            return False
        return (name[6:8] == "eq") == isinstance(args[1], self.tensor)

    def writing(self, name, schema, call):
        """For an operator that writes to arguments."""
        put = self.tensors_for_numbers(schema)
        places = [at for at, argument in enumerate(schema.arguments) if is_written(argument)] or list(UNDECLARED[name])
        names = [argument.name for argument in schema.arguments]
        written = [(at, names[at]) for at in places]
        is_followed, replaces = base(name) in FOLLOWED | {"fill", "zero"}, replaces_all(name, schema)
        operator, table = self.operator(name), self.table
        inputs = self.without(places, names)

        def kernel(*args, **kwargs):
            targets = [args[at] if at < len(args) else kwargs.get(word) for at, word in written]
            if self.look(targets) is NOWHERE:
                return self.elsewhere(operator, args, kwargs)
            given = args if put is None else put(args)
            values = None
            if is_followed and (replaces or table.known) and self.small(args):
                values = self.elsewhere(self.all_on_host, inputs(args, kwargs), {})
            result = call(*given, **kwargs)
            if values is None or not self.elsewhere(self.write, (operator, replaces, written, targets, values), {}):
                self.forget(targets)
            return result

        is_filling = base(name) in ("fill", "zero") and schema.name.endswith("_")
        return self.filling(schema, name, call) if is_filling else kernel

    def without(self, places, names):
        """A function that leaves out the arguments that are written to."""
        words = {names[at] for at in places}

        def inputs(args, kwargs):
            named = {word: value for word, value in kwargs.items() if word not in words}
            return [None if at in places else value for at, value in enumerate(args)], named

        return inputs

    def write(self, operator, replaces, written, targets, values):
        """Evaluates an operator that writes to arguments; returns whether their values are known."""
        fresh = []
        for (at, word), target in zip(written, targets):
            if not isinstance(target, self.tensor) or not target.is_cuda:
                return False
            if self.table.is_uniform(target) or not self.table.fits(target):
                return False
            found = self.table.find(target)
            if found is None or replaces and self.table.covers(target):
                if not replaces or not self.table.covers(target):
                    return False
                found = self.aten.empty.memory_format(target.shape, dtype=target.dtype, device="cpu")
                fresh.append((target, found))
            if at < len(values[0]):
                values[0][at] = found
            else:
                values[1][word] = found
        if self.evaluate(operator, values) is None:
            return False
        for target in targets:
            self.table.written(target)
        for target, found in fresh:
            if found.shape != target.shape:
                return False
            self.table.put(target, found)
        return True

    def filling(self, schema, name, call):
        """For `fill_` and `zero_`."""
        table, operator = self.table, self.operator(name)

        def kernel(target, *number):
            if not target.is_cuda:
                return self.elsewhere(operator, (target, *number), {})
            result = call(target, *number)
            value = self.elsewhere(self.number, number, {}) if number else 0
            if value is UNKNOWN:
                table.forget(target)
            else:
                self.elsewhere(table.put_number, (target, value), {})
            return result

        return kernel

    def number(self, value):
        """A number, or the value of a tensor with one element."""
        if isinstance(value, self.tensor):
            value = self.on_host(value)
            return value if value is UNKNOWN else self.aten._local_scalar_dense.default(value)
        return value

    def forget(self, targets):
        """Forgets arguments that were written to."""
        for target in targets:
            if isinstance(target, self.tensor):
                if target.is_cuda:
                    self.table.forget(target)
                    self.table.tags.remove(target)
            elif isinstance(target, (list, tuple)):
                self.forget(target)

    def copying(self, name, schema, call):
        """For `copy_`, which copies between the host and GPUs."""
        table, reads, operator = self.table, self.reads, self.operator(name)

        def kernel(target, source, non_blocking=False):
            if not isinstance(source, self.tensor):
                source = self.tensor_of(source, target)
            if not source.is_cuda:
                if not target.is_cuda:
                    return self.elsewhere(operator, (target, source, non_blocking), {})
                call(target, source, non_blocking)
                self.elsewhere(table.put, (target, source), {})
                return target
            value = None if self.look((source,)) is UNKNOWN else self.elsewhere(self.value, (source,), {})
            if target.is_cuda:
                call(target, source, non_blocking)
                table.forget(target) if value is None else self.elsewhere(table.put, (target, value), {})
                return target
            before = self.library.unknown()
            call(target, source, non_blocking)
            if value is not None:
                self.elsewhere(operator, (target, value), {})
            elif source.numel() and self.library.unknown() != before:
                reads.read("copy", source.dtype, source.numel())
            return target

        return kernel

    def value(self, tensor):
        """The known value of a tensor on the GPU; `None` if it is unknown."""
        self.table.refresh()
        return self.table.find(tensor)

    def reading(self, name, schema, call):
        """For `item`, `int`, `float`, `bool`, and `if` of one element."""
        table, reads = self.table, self.reads

        def kernel(source):
            value = self.elsewhere(self.value, (source,), {}) if table.known else None
            before = self.library.unknown()
            result = call(source)
            if value is not None:
                return self.elsewhere(self.number, (value,), {})
            if self.library.unknown() != before:
                reads.read("number", source.dtype, 1)
            return result

        return kernel

    def selecting(self, name, schema, call):
        """For an operator whose result has as many rows as the data decides: the right number if the values are known,
        else the most that there can be.
        """
        operator, most = self.operator(name), SELECTING[name]
        table, library, reads = self.table, self.library, self.reads

        def kernel(*args, **kwargs):
            values = found = None
            if table.known:
                values = self.elsewhere(self.all_on_host, (args, kwargs), {})
            if values is not None and self.small(args):
                found = self.elsewhere(self.evaluate, (operator, values), {})
            if found is not None:
                first = found[0] if isinstance(found, (list, tuple)) else found
                rows = first.size(args[1]) if "dim" in name else first.size(0)
            elif values is not None and name == "aten::nonzero" and table.is_uniform(args[0]):
                # All elements are equal: all are chosen, or none is.
                rows = most(*args) if self.elsewhere(self.number, (values[0][0].flatten()[:1],), {}) else 0
            else:
                rows = most(*args)
                reads.size(name[6:])
            library.count(rows)
            try:
                result = call(*args, **kwargs)
            finally:
                library.count(-1)
            if found is not None:
                self.elsewhere(self.keep, (result, found), {})
            return result

        return kernel

    def unscaling(self, name, schema, call):
        """For GradScaler's look at the gradients, which are taken to be finite: what it found stays as it is."""

        def kernel(gradients, found, scale):
            result = call(gradients, found, scale)
            self.forget(gradients)
            return result

        return kernel

    def scaling(self, name, schema, call):
        """For GradScaler's update, which has no kernel on the CPU."""
        aten, table = self.aten, self.table

        def update(scale, tracker, found, growth, backoff, interval):
            values = [self.on_host(one) for one in (scale, tracker, found)]
            if any(value is UNKNOWN for value in values):
                self.forget([scale, tracker])
                return
            now, steps, bad = [aten._local_scalar_dense.default(value) for value in values]
            if bad:
                now, steps = now * backoff, 0
            elif steps + 1 == interval:
                now, steps = now * growth, 0
            else:
                steps += 1
            table.put_number(scale, now)
            table.put_number(tracker, steps)

        def kernel(*args):
            result = call(*args)
            self.elsewhere(update, args, {})
            return result

        return kernel


def is_written(argument):
    """Whether an operator writes to this argument."""
    return argument.alias_info is not None and argument.alias_info.is_write


def replaces_all(name, schema):
    """Whether an operator writes every element of the arguments that it writes to: `out=` of a functional one does."""
    is_in_place = schema.name.endswith("_") and not schema.name.endswith("__")
    return (
        base(name) in ("fill", "zero")
        and is_in_place
        or "out" in name.partition(".")[2]
        or any(argument.is_out for argument in schema.arguments)
    )


def category(dtype):
    """The rank of a dtype's kind in type promotion: flags, whole numbers, floating-point, complex."""
    if dtype.is_complex:
        return 3
    if dtype.is_floating_point:
        return 2
    return 0 if str(dtype) == "torch.bool" else 1
