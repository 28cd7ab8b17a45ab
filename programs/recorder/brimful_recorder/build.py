"""Records a model's constructor: parameters, buffers and what computes them, in the order in which they are made."""

import functools
import re
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from .symbols import ATOM, SUM, Integer, Shape, text_of
from .tracer import Refusal, Tracer, in_place, tensors_in

# Calls that copy their last argument into the first, or into a part of it.
_FILLING = (".__setitem__", ".copy_")
_FACTORIES = {"torch." + name for name in ("empty", "ones", "zeros", "randn", "rand", "full")}


class BuildTracer(Tracer):
    """A tracer that knows the modules under construction, which get their paths afterwards."""

    def __init__(self, orders_ties=False):
        """Nothing is built yet. `orders_ties` writes each tie of two parameters where it happens."""
        super().__init__()
        self.orders_ties = orders_ties
        self.modules = {}
        self.made = {}
        # The sizes of tables and of Linears' weights, as texts.
        self.known_sizes = {}
        self.made_sizes = {}
        self.sources = {}

    def module(self, module):
        """Stands for the module's path until it is known."""
        # Modules are kept so that no later one gets the same address.
        self.modules[id(module)] = module
        return f"<{id(module)}>"

    def sizes(self, tensor, dim=None):
        """The sizes of a tensor as symbols; those of a table are what its constructor was given."""
        known = self.known_sizes.get(id(tensor))
        if known is None or len(known) != tensor.dim():
            return super().sizes(tensor, dim)
        sizes = zip(torch.Tensor.size(tensor), known)
        shape = Shape(Integer(size, text, ATOM if text.isidentifier() else SUM) for size, text in sizes)
        return shape if dim is None else shape[dim]

    def _call(self, name, function, args, kwargs):
        # What only writes into a parameter or a buffer allocates nothing. It says whose the lines before it are.
        changed = next(tensors_in([args, kwargs]), None)
        # A parameter's `.data` is another tensor afterwards.
        if name in _FILLING and args and isinstance(args[-1], torch.Tensor) and id(args[-1]) not in self.names:
            # What no function of torch made, such as a table of numpy's, lies in host memory, as large as the part.
            self.emit(f"{name}({self.arguments(args[:-1], kwargs)}, host)")
            return function(*args, **kwargs)
        written = in_place(name) and not name.endswith(".data.__set__")
        if written and (path := self.names.get(id(changed), "%"))[0] != "%":
            self.lines.append(f"write {path}")
            return function(*args, **kwargs)
        result = super()._call(name, function, args, kwargs)
        if name in _FACTORIES:
            self.made[self.names[id(result)]] = (_sizes(args, kwargs), kwargs.get("dtype"))
            self.made_sizes[self.names[id(result)]] = _sizes_of(args, kwargs)
        return result


def _sizes(args, kwargs):
    return "[" + ", ".join(_sizes_of(args, kwargs)) + "]"


def _sizes_of(args, kwargs):
    sizes = kwargs.get("size", args)
    if sizes and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    return [text_of(size) for size in sizes if isinstance(size, int)]


@contextmanager
def watched(tracer, conv1d=None):
    """Inside, modules that are one instruction write it, and parameters and buffers write theirs."""
    with ExitStack() as undo:
        _set(undo, nn.Linear, "__init__", _linear(tracer, nn.Linear.__init__))
        _set(undo, nn.Embedding, "__init__", _embedding(tracer, nn.Embedding.__init__))
        if conv1d is not None:
            _set(undo, conv1d, "__init__", _conv1d(tracer, conv1d, conv1d.__init__))
        _set(undo, nn.Module, "register_parameter", _parameter(tracer, nn.Module.register_parameter))
        _set(undo, nn.Module, "register_buffer", _buffer(tracer, nn.Module.register_buffer))
        _set(undo, nn.Parameter, "__new__", _source(tracer, nn.Parameter.__new__))
        # It draws again until every value lies within bounds, and the weights of a checkpoint are not drawn at all.
        _set(undo, nn.init, "_no_grad_trunc_normal_", lambda tensor, *args, **kwargs: tensor)
        yield


def _set(undo, owner, name, value):
    undo.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def _single(tracer, cls, original, describe):
    @functools.wraps(original)
    def initialise(self, *args, **kwargs):
        if tracer.paused or type(self) is not cls:
            return original(self, *args, **kwargs)
        line = describe(tracer.module(self), *args, **kwargs)
        with tracer.pause():
            original(self, *args, **kwargs)
        tracer.emit(line)
        for name, parameter in self.named_parameters(recurse=False):
            tracer.fix(parameter, f"{tracer.module(self)}.{name}")
        if cls is nn.Embedding:
            tracer.known_sizes[id(self.weight)] = re.search(r" rows=(.*) width=(.*) padding=", line).groups()
        return None

    return initialise


def _linear(tracer, original):
    def describe(path, in_features, out_features, bias=True, **kwargs):
        return f"linear {path} in={text_of(in_features)} out={text_of(out_features)} bias={str(bool(bias)).lower()}"

    return _single(tracer, nn.Linear, original, describe)


def _conv1d(tracer, cls, original):
    def describe(path, nf, nx):
        return f"conv1d {path} in={text_of(nx)} out={text_of(nf)} bias=true"

    return _single(tracer, cls, original, describe)


def _embedding(tracer, original):
    def describe(path, num_embeddings, embedding_dim, padding_idx=None, **kwargs):
        padding = "none" if padding_idx is None else text_of(padding_idx)
        return f"embedding {path} rows={text_of(num_embeddings)} width={text_of(embedding_dim)} padding={padding}"

    return _single(tracer, nn.Embedding, original, describe)


def _source(tracer, original):
    def new(cls, data=None, requires_grad=True):
        name = None if data is None else tracer.names.get(id(data))
        with tracer.pause():
            made = original(cls, data, requires_grad)
        if name is not None:
            tracer.sources[id(made)] = name
        return made

    return new


def _parameter(tracer, original):
    @functools.wraps(original)
    def register(self, name, param):
        original(self, name, param)
        if tracer.paused or param is None:
            return
        if id(param) in tracer.names:  # the same parameter in a second place
            if tracer.orders_ties:
                tracer.emit(f"tie {tracer.module(self)}.{name} {tracer.names[id(param)]}")
            return
        source = tracer.sources.get(id(param))
        if source is None:
            raise Refusal(f"a parameter {name} of {type(self).__name__} comes from nowhere")
        path = f"{tracer.module(self)}.{name}"
        if source in tracer.made_sizes:
            tracer.known_sizes[id(param)] = tracer.made_sizes[source]
        tracer.emit(f"parameter {path} {source}")
        # `nn.Parameter(f(x))`: Python drops `f(x)` before the module takes the parameter, which shares its memory.
        if tracer.lines[-2:-1] == [f"drop {source}"]:
            tracer.lines[-2:] = reversed(tracer.lines[-2:])
        tracer.fix(param, path)

    return register


def _buffer(tracer, original):
    @functools.wraps(original)
    def register(self, name, tensor, persistent=True):
        original(self, name, tensor, persistent=persistent)
        if tracer.paused or tensor is None:
            return
        path = f"{tracer.module(self)}.{name}"
        tracer.emit(f"buffer {path} {tracer.name(tensor)}")
        tracer.bases.pop(id(tensor), None)
        tracer.fix(tensor, path)

    return register


def finished(tracer, model):
    """The constructor's lines, with the modules' paths."""
    paths = {id(module): path for path, module in model.named_modules(remove_duplicate=False)}

    def path(match):
        known = paths.get(int(match.group(1)))
        return f"<{match.group(1)}>" if known is None else known

    lines = [re.sub(r"<(\d+)>", path, line) for line in _without_factories(tracer)]
    lines = [line.replace(" .", " ") if line.startswith(("parameter .", "buffer .")) else line for line in lines]
    lines = [line.replace("write .", "write ") for line in lines]
    lines = _without_idle_writes(_without_nothing([line for line in lines if not re.search(r"<\d+>", line)]))
    # Whether a parameter is trained changes no allocation of the constructor, so that the end says it.
    return lines + [f"freeze {path}" for path, one in model.named_parameters() if not one.requires_grad]


def _without_idle_writes(lines):
    """Lines without the writes into parameters and buffers for which nothing was computed."""
    kept, computed = [], False
    for line in lines:
        if line.startswith("write "):
            if computed:
                kept.append(line)
            computed = False
        else:
            kept.append(line)
            owned = line.split(" ", 1)[0] in ("linear", "conv1d", "embedding", "parameter", "buffer")
            computed = not owned and (computed or " = " in line)
    return _without_nothing(kept)


def _without_nothing(lines):
    """Lines without empty tensors, with which transformers asks for the current device, and without empty regions."""
    kept = []
    for line in lines:
        opening = f"{line[5:]} = torch.tensor([])" if line.startswith("drop ") else "grad off"
        if kept[-1:] == [opening] and line.startswith(("drop ", "grad restore")):
            kept.pop()
        else:
            kept.append(line)
    return kept


def _without_factories(tracer):
    """A parameter that a factory makes is written with its sizes, without the factory."""
    uses = {}
    for line in tracer.lines:
        for name in re.findall(r"%\d+", line):
            uses[name] = uses.get(name, 0) + 1
    # Made, became a parameter, dropped.
    only = {name for name in tracer.made if uses.get(name) == 3}
    only &= {line.split()[-1] for line in tracer.lines if line.startswith("parameter ")}
    for line in tracer.lines:
        words = line.split()
        if words[0] in only or (words[0] == "drop" and words[1] in only):
            continue
        if words[0] == "parameter" and words[2] in only:
            sizes, dtype = tracer.made[words[2]]
            kind = "" if dtype is None else tracer.text(dtype)
            yield f"parameter {words[1]} {sizes}" + ("" if kind in ("", "default") else f" {kind}")
        else:
            yield line


def ties(model):
    """Parameters that stand in two places: the later place and the first."""
    first, found = {}, []
    for path, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in first:
            found.append((path, first[id(parameter)]))
        first.setdefault(id(parameter), path)
    return found


__all__ = ["BuildTracer", "finished", "ties", "watched"]
