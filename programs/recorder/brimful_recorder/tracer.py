"""Sees every call of the torch API and the moment at which Python frees each tensor."""

import re
import sys
import weakref

import torch
from torch.overrides import TorchFunctionMode, resolve_name

from . import dtypes
from .symbols import GUARDS, Integer, Number, Shape, Text, float_text, text_of


class Refusal(Exception):  # noqa: N818 - what it is called everywhere else
    """The model does something that a program cannot say."""


# Questions about a tensor whose answers no instruction is needed for.
_SILENT = {
    "torch.Tensor." + name
    for name in [
        "device.__get__",
        "dim",
        "ndim.__get__",
        "ndimension",
        "is_cuda.__get__",
        "requires_grad.__get__",
        "is_floating_point",
        "layout.__get__",
        "is_nested.__get__",
        "is_sparse.__get__",
        "is_quantized.__get__",
        "is_meta.__get__",
        "is_contiguous",
        "names.__get__",
        "_base.__get__",
        "grad.__get__",
        "grad_fn.__get__",
        "is_leaf.__get__",
        "is_complex",
        "data_ptr",
        "stride",
        "element_size",
        "storage_offset",
        "is_mps.__get__",
        "is_xpu.__get__",
        "is_inference",
        "_is_view",
        "untyped_storage",
        "requires_grad.__set__",
        "requires_grad_",
        "retain_grad",
        "register_hook",
        "_version.__get__",
        "__hash__",
        "get_device",
    ]
} | {
    "torch.is_floating_point",
    "torch.is_tensor",
    "torch.is_complex",
    "torch.get_device",
    "torch.compiler.is_compiling",
}
# The size of what the caller passes.
_OF_INPUTS = re.compile(r"\b(pixel_values|input_features|(decoder_)?input_ids|labels|sample|encoder_hidden_states)\.\d")
# Functions that make no tensor of numbers.
_NO_TENSORS = {
    "device",
    "get_default_device",
    "result_type",
    "promote_types",
    "manual_seed",
    "initial_seed",
    "can_cast",
}
_VALUES = {"torch.Tensor.__bool__": "bool", "torch.Tensor.item": "item", "torch.Tensor.__int__": "item"}
_SCALES = {
    "." + name
    for name in ["mul", "div", "add", "sub", "__mul__", "__truediv__", "__rmul__", "__rtruediv__", "__rsub__"]
    + ["mul_", "div_", "add_", "sub_", "gt", "lt"]
}
_IN_PLACE_DUNDERS = {
    "__set__",
    "__setitem__",
    "__iadd__",
    "__isub__",
    "__imul__",
    "__itruediv__",
    "__iand__",
    "__ior__",
}


def function_name(function):
    """How a program writes a function of the torch API."""
    name = resolve_name(function) or getattr(function, "__name__", str(function))
    for prefix, short in [("torch.nn.functional.", "F."), ("torch.Tensor.", "."), ("torch._C._nn.", "F.")]:
        if name.startswith(prefix):
            name = short + name[len(prefix) :]
    return name.removesuffix(".__get__")


def in_place(name):
    """Whether the call changes its first argument and returns it."""
    last = name.rsplit(".", 1)[-1]
    return last in _IN_PLACE_DUNDERS or (last.endswith("_") and not last.endswith("__"))


class Tracer(TorchFunctionMode):
    """One recording: its lines, and the names that are alive."""

    def __init__(self):
        """Nothing is recorded before the mode is entered."""
        super().__init__()
        self.lines = []
        self.names = {}
        self.references = {}
        self.bases = {}
        self.count = 0
        self.paused = 0
        # The paths of the modules whose forwards run, the innermost last.
        self.opened = []
        # The paths of parameters that stand in several places.
        self.places = {}
        self.grad = True
        self.conditions = {}
        self.unmasked = False
        # Whether numbers that were computed are written as they are, and not as what they were computed of.
        self.literal = False
        # The module that a checkpoint calls next.
        self.checkpointed = None
        self.hides_use_cache = False

    # Lines and names.

    def emit(self, line):
        """Writes a line, after the drops of bases that only their views keep."""
        self.poll()
        self.lines.append(line)

    def fix(self, value, text):
        """A name that no drop ends: an input, a parameter, a buffer."""
        self.names[id(value)] = text
        self.references[id(value)] = value

    def bind(self, value):
        """The name of an object, a new one if it has none."""
        key = id(value)
        if key in self.names:
            return self.names[key]
        name = f"%{self.count}"
        self.count += 1
        self.names[key] = name
        self.references[key] = weakref.ref(value, lambda _, key=key, name=name: self._freed(key, name))
        return name

    def _freed(self, key, name):
        self.poll()
        self.bases.pop(key, None)
        if self.names.get(key) == name:
            del self.names[key], self.references[key]
            self.lines.append(f"drop {name}")

    def poll(self):
        """Writes the drops of bases whose Python object is left to their views."""
        for key, name in list(self.bases.items()):
            base = self.references[key]()
            if base is None:  # its own callback comes next
                continue
            # `base`, and the argument of getrefcount; C++ counts as one where it shares the tensor.
            held = sys.getrefcount(base) - 2 - (1 if base._use_count() > 1 else 0)
            if held == 0:
                del self.bases[key], self.names[key], self.references[key]
                self.lines.append(f"drop {name}")

    def name(self, tensor):
        """The name of a tensor that was seen before."""
        name = self.names.get(id(tensor))
        if name is None:
            raise Refusal(f"a tensor of shape {list(tensor.shape)} comes from nowhere")
        # A tied parameter is called by the place in the module that runs: without the tie it is another one.
        inside = (place for place in self.places.get(id(tensor), []) if [place.rpartition(".")[0]] == self.opened[-1:])
        return next(inside, name)

    def text(self, value):
        """An argument, as a program writes it."""
        if isinstance(value, torch.Tensor) or id(value) in self.names:
            return self.name(value)
        if value is None or isinstance(value, bool):
            return str(value)
        if isinstance(value, (Integer, Number)):
            return value.text if isinstance(value, Integer) or _is_key(value) else f"float({value.text})"
        if isinstance(value, float):
            # Literals of this size are limits of a type, which differ with it.
            return "float(limit)" if 1e4 < abs(value) < 1e309 else float_text(value)
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, str):
            return f'"{str.__str__(value)}"'
        return self._compound(value)

    def _compound(self, value):
        if isinstance(value, torch.dtype):
            return dtypes.text_of(value)
        if value in (bool, int, float):
            # torch takes Python's types for types of its own.
            return {bool: "bool", int: "i64", float: "f64"}[value]
        if isinstance(value, list):
            return "[" + ", ".join(map(self.text, value)) + "]"
        if isinstance(value, tuple):
            return "(" + ", ".join(map(self.text, value)) + ("," if len(value) == 1 else "") + ")"
        if isinstance(value, slice):
            ends = ["" if end is None else self.text(end) for end in (value.start, value.stop, value.step)]
            return ":".join(ends if value.step is not None else ends[:2])
        if value is Ellipsis:
            return "..."
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key}={self.text(item)}" for key, item in value.items()) + "}"
        if isinstance(value, (torch.Generator, torch.memory_format, torch.layout)):
            return str(value).removeprefix("torch.")
        raise Refusal(f"an argument of type {type(value).__name__}")

    def scaled(self, args):
        """The arguments of a product or a sum with a float: its value does not matter."""
        return tuple(FREE if isinstance(arg, float) and not _is_key(arg) else arg for arg in args)

    def arguments(self, args, kwargs):
        """All arguments but devices."""
        shown = [self.text(arg) for arg in args if not isinstance(arg, torch.device)]
        shown += [f"{key}={self.text(arg)}" for key, arg in kwargs.items() if key != "device"]
        return ", ".join(shown)

    def check(self, text, result):
        """Writes a comparison that the recording depends on; one of the config alone is a condition of the whole."""
        if self.paused:
            return
        if "log(" in text:  # sizes of yarn's ramp, which decide about no tensor
            return
        # The sizes of what the caller passes are not the config's.
        if re.search(r"%\d", text) or text == "past" or "logits_to_keep" in text or _OF_INPUTS.search(text):
            self.emit(f"check {text} {str(result).lower()}")
        else:
            self.conditions.setdefault(text, result)

    # Calls.

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """One call of the torch API."""
        kwargs = kwargs or {}
        name = resolve_name(function) or getattr(function, "__name__", str(function))
        own = name == "torch.Tensor.requires_grad.__set__" and self.names.get(id(args[0]), "")[:1] == "%"
        if own and not self.paused:
            # It is written only: under a graph of autograd Python's objects would live longer.
            self.emit(f".requires_grad.__set__({self.name(args[0])}, {args[1]})")
            return None
        if self.paused or name in _SILENT:
            return function(*args, **kwargs)
        with GUARDS.silent():
            answer = self._answered(name, function, args, kwargs)
            if answer is not _CALL:
                return answer
            return self._call(function_name(function), function, args, kwargs)

    def _answered(self, name, function, args, kwargs):
        """Questions about sizes, types and values, and switches; `_CALL` for everything else."""
        if name in ("torch.Tensor.shape.__get__", "torch.Tensor.size"):
            return self.sizes(args[0], *args[1:], **kwargs)
        if name in ("torch.Tensor.numel", "torch.Tensor.nelement", "torch.numel"):
            return Integer(function(*args), f"numel({self.name(args[0])})")
        if name == "torch.Tensor.__len__":
            return Integer(function(*args), f"{self.name(args[0])}.0")
        if name == "torch.Tensor.dtype.__get__":
            return dtypes.with_origin(function(*args), f"{self.name(args[0])}.dtype")
        if name.endswith("_set_grad_enabled"):
            return self._set_grad(function, args[0])
        if self.literal and name == "torch.Tensor.tolist":
            return function(*args, **kwargs)
        if name.endswith("_assert"):
            # Its condition was compared, or is a number.
            return function(*args, **kwargs)
        if name in _VALUES:
            value = function(*args, **kwargs)
            text = f"{_VALUES[name]}({self.name(args[0])})"
            if isinstance(value, bool):
                self.check(text, value)
                return value
            return (Integer if isinstance(value, int) else Number)(value, text)
        return _CALL

    def sizes(self, tensor, dim=None):
        """The sizes of a tensor as symbols."""
        name = self.name(tensor)
        shape = Shape(Integer(size, f"{name}.{index}") for index, size in enumerate(torch.Tensor.size(tensor)))
        return shape if dim is None else shape[dim]

    def _set_grad(self, function, enabled):
        if enabled != self.grad:
            self.emit("grad restore" if enabled else "grad off")
            self.grad = enabled
        return function(enabled)

    def _call(self, name, function, args, kwargs):
        if name in (".to", ".cuda", ".cpu") and only_devices(args[1:], kwargs):
            return args[0]
        if name in (".to", ".type_as") and len(args) > 1 and isinstance(args[1], str):
            raise Refusal(f"{name} with a text")
        if not any(True for _ in tensors_in([args, kwargs])) and name.rsplit(".", 1)[-1] in _NO_TENSORS:
            return function(*args, **kwargs)
        text = f"{name}({self.arguments(self.scaled(args) if name in _SCALES else args, kwargs)})"
        result = function(*args, **kwargs)
        if isinstance(result, bool):
            self.check(text, result)
            return result
        if in_place(name) or kwargs.get("out") is not None:
            self.emit(text)
            return result
        return self.bound(text, result, args, kwargs)

    def bound(self, text, result, args=(), kwargs=None):
        """Writes the call with its results; a result that is an argument gets a name of its own."""
        given = {id(value) for value in tensors_in([args, kwargs or {}])}
        if isinstance(result, torch.Tensor):
            if id(result) in given or id(result) in self.names:
                result = torch.Tensor.detach(result)
            results = [result]
        else:
            results = list(tensors_in(result))
            if not results:
                raise Refusal(f"{text} gives no tensor")
        self.poll()
        self.lines.append(", ".join(self.bind(one) for one in results) + f" = {text}")
        self._watch_bases(results)
        return result

    def _watch_bases(self, results):
        for result in results:
            base = result._base
            name = self.names.get(id(base))
            if base is not None and name is not None and name.startswith("%") and name[1:].isdigit():
                self.bases[id(base)] = name

    def pause(self):
        """Calls inside a `with` of this are no instructions."""
        return _Paused(self)


class _Paused:
    def __init__(self, tracer):
        self.tracer = tracer

    def __enter__(self):
        self.tracer.paused += 1
        GUARDS.off += 1

    def __exit__(self, *_):
        self.tracer.paused -= 1
        GUARDS.off -= 1


_CALL = object()
FREE = Number(0.0, "0")
FREE.whole = None


def _is_key(value):
    """Whether a number is a config key as it is."""
    return isinstance(value, Number) and value.whole is False and value.text.replace(".", "").replace("_", "").isalnum()


def only_devices(args, kwargs):
    """Whether a `.to` names a device and nothing that changes the tensor."""
    named = all(arg is None or isinstance(arg, (torch.device, bool)) or arg in ("cpu", "cuda") for arg in args)
    return named and set(kwargs) <= {"device", "non_blocking", "copy"} and bool(args or kwargs)


def tensors_in(value):
    """The tensors in lists, tuples and dicts, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


__all__ = ["Refusal", "Text", "Tracer", "in_place", "only_devices", "tensors_in", "text_of"]
