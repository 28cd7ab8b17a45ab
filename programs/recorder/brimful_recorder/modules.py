"""Where modules' forwards begin and end, and the modules that are one instruction."""

import functools

import torch
from torch import nn

from .tracer import tensors_in


def watch(tracer, model, layer_class=()):
    """Wraps the forward of every module below `model`; those of `layer_class` are written with their arguments."""
    places = {}
    for path, module in model.named_modules(remove_duplicate=False):
        places.setdefault(id(module), []).append(path)
    for path, module in model.named_modules():
        if path:
            module.forward = _wrapped(tracer, path, module, layer_class, places[id(module)])


def _wrapped(tracer, path, module, layer_class, places):
    inside = {nn.Linear: "linear", nn.Embedding: "embedding"}.get(type(module))
    if type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils":
        inside = "conv1d"
    if inside is not None:
        return _instruction(tracer, f"{inside} {path}", module, ("", ""))
    activation = module.__dict__.get("brimful_activation")
    if activation is not None:
        boundary = (f"enter {path} {type(module).__name__}", "leave")
        return _instruction(tracer, f"activation {activation} ", module, boundary)
    if isinstance(module, layer_class):
        return _layer(tracer, path, module)
    return _owner(tracer, places, module, _layer(tracer, path, module))


def _instruction(tracer, text, module, boundary):
    forward = module.forward
    before, after = boundary

    # The wrapper's frame holds the arguments exactly as `Module._call_impl` does, so that no lifetime changes.
    @functools.wraps(forward)
    def call(*args, **kwargs):
        if tracer.paused:
            return forward(*args, **kwargs)
        if before:
            tracer.emit(before)
        with tracer.pause():
            # A product's values do not matter, but 16-bit ones are slow on a CPU.
            result = (
                _like_product(module, args[0]) if isinstance(module, nn.Linear) and args else forward(*args, **kwargs)
            )
        result = tracer.bound(f"{text}({tracer.arguments(args, kwargs)})", result, args, kwargs)
        if after:
            tracer.emit(after)
        return result

    return call


def _like_product(linear, x):
    return torch.randn(*x.shape[:-1], linear.out_features, dtype=linear.weight.dtype)


def _owner(tracer, places, module, as_layer):
    forward = module.forward

    @functools.wraps(forward)
    def call(*args, **kwargs):
        if tracer.paused:
            return forward(*args, **kwargs)
        if tracer.checkpointed is module:
            tracer.checkpointed = None
            return as_layer(*args, **kwargs)
        # Layers may share a module, such as an activation: it is called at the place that is in the caller.
        caller = tracer.opened[-1:]
        path = next((place for place in places if [place.rpartition(".")[0]] == caller), places[0])
        tracer.emit(f"enter {path} {type(module).__name__}")
        tracer.opened.append(path)
        result = forward(*args, **kwargs)
        tracer.opened.pop()
        tracer.emit("leave")
        return result

    return call


def _layer(tracer, path, module):
    forward = module.forward
    line = f"enter {path} {type(module).__name__}"

    @functools.wraps(forward)
    def call(*args, **kwargs):
        if tracer.paused:
            return forward(*args, **kwargs)
        positional = ", ".join(shown(tracer, arg) for arg in args)
        # This switch is the config's: its key makes one layer of those with it and those without.
        switches = ("output_router_logits",)
        # Whether a cache is kept depends on checkpointing, and is no tensor.
        shown_plain = {"use_cache": "None"} if tracer.hides_use_cache else {}
        by_name = ", ".join(
            f"{key}={key if key in switches else shown_plain.get(key) or shown(tracer, arg)}"
            for key, arg in kwargs.items()
        )
        tracer.emit(f"{line} ({positional}{'; ' if by_name else ''}{by_name})")
        tracer.opened.append(path)
        result = forward(*args, **kwargs)
        tracer.opened.pop()
        tracer.emit(f"leave {shown(tracer, result)}")
        return result

    return call


def shown(tracer, value):
    """A value that crosses a module's boundary; what is neither tensor nor plain value is `None` to a program."""
    if isinstance(value, (tuple, list)):
        items = ", ".join(shown(tracer, item) for item in value)
        return f"({items}{',' if len(value) == 1 else ''})"
    known = isinstance(value, (torch.Tensor, bool, int, float, str)) or id(value) in tracer.names
    return tracer.text(value) if known else "None"


def activations(tracer, instantiator):
    """Marks the modules that `ACT2FN[key]` makes with their key; returns the function that undoes it."""
    lookup = instantiator.__getitem__

    def marked(self, key):
        with tracer.pause():
            made = lookup(self, str.__str__(key) if isinstance(key, str) else key)
        # What the model's own code names, and no config, is recorded as what it does.
        if getattr(key, "key", None):
            made.__dict__["brimful_activation"] = key.key
        return made

    instantiator.__getitem__ = marked
    return lambda: setattr(instantiator, "__getitem__", lookup)


__all__ = ["activations", "shown", "tensors_in", "watch"]
