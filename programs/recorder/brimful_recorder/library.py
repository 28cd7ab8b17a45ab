"""What a program writes as one instruction: transformers' masks, attention, caches; and switches of autocast."""

import functools
import inspect
import sys
from contextlib import ExitStack, contextmanager

import torch
import transformers.cache_utils as cache_utils
import transformers.integrations.sdpa_attention as sdpa_attention
import transformers.masking_utils as masking_utils
from transformers.activations import ClassInstantier
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import generic

from . import dtypes, routers
from .modules import activations, shown
from .symbols import GUARDS, CarryingInt, Integer
from .tracer import Refusal

_MASKS = {
    "create_causal_mask": ("causal", None),
    "create_sliding_window_causal_mask": ("sliding", ("window", "sliding_window")),
    "create_chunked_causal_mask": ("chunked", ("chunk", "attention_chunk_size")),
    "create_bidirectional_mask": ("bidirectional", None),
    "create_bidirectional_sliding_window_mask": ("bidirectional_sliding", ("window", "sliding_window")),
}


@contextmanager
def patched(tracer):
    """Inside, transformers' masks, attention and caches write their own instructions."""
    _find_places()
    with ExitStack() as undo:
        for name, (word, size) in _MASKS.items():
            _replace_everywhere(undo, getattr(masking_utils, name), _mask(tracer, name, word, size))
        _replace_everywhere(undo, generic.maybe_autocast, _autocast(tracer, generic.maybe_autocast))
        for module in _places["modeling"]:
            original = vars(module).get("repeat_kv")
            if original is not None:
                undo.callback(vars(module).__setitem__, "repeat_kv", original)
                vars(module)["repeat_kv"] = _repeated(tracer, original)
        attention = _attention(tracer, sdpa_attention.sdpa_attention_forward)
        _replace_everywhere(undo, sdpa_attention.sdpa_attention_forward, attention)
        mapping = type(ALL_ATTENTION_FUNCTIONS)._global_mapping
        undo.callback(mapping.__setitem__, "sdpa", mapping["sdpa"])
        mapping["sdpa"] = attention
        _patch_cache(undo, tracer)
        routers.patched(undo, tracer, _places["modeling"])
        for module in _places["modeling"]:
            undo.callback(vars(module).pop, "int", None)
            vars(module)["int"] = CarryingInt
            # `len(tensor)` would be a plain number: Python's own makes one of whatever a tensor answers.
            undo.callback(vars(module).pop, "len", None)
            vars(module)["len"] = _count
        undo.callback(activations(tracer, ClassInstantier))
        _set(undo, torch, "get_default_dtype", _default_dtype(torch.get_default_dtype))
        _patch_functions(undo, tracer)
        yield


def _count(value):
    return value.shape[0] if isinstance(value, torch.Tensor) else len(value)


def _set(undo, owner, name, value):
    undo.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


_places = {}


def _find_places():
    """Where modules hold these functions: modeling modules import them by name, and some keep them in a dict."""
    if _places.get("modules") == len(sys.modules):
        return
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("transformers")]
    wanted = [getattr(masking_utils, name) for name in _MASKS]
    wanted += [generic.maybe_autocast, sdpa_attention.sdpa_attention_forward]
    _places.clear()
    _places["modules"] = len(sys.modules)
    _places["modeling"] = [module for module in modules if _is_modeling(module.__name__)]
    by_id = {id(function): _places.setdefault(id(function), []) for function in wanted}
    for module in modules:
        space = vars(module)
        for name, value in list(space.items()):
            if id(value) in by_id:
                by_id[id(value)].append((space, name))
            elif type(value) is dict and name.isupper():
                for key, item in value.items():
                    if id(item) in by_id:
                        by_id[id(item)].append((value, key))


def _replace_everywhere(undo, original, replacement):
    for space, name in _places[id(original)]:
        undo.callback(space.__setitem__, name, original)
        space[name] = replacement


def _is_modeling(name):
    """Whether a module holds models' code."""
    modeling = ".modeling_" in name and name.startswith("transformers.models.")
    return modeling or name == "transformers.modeling_rope_utils"


def _patch_functions(undo, tracer):
    """`torch.autograd.Function.apply`: autograd does not see its forward, and its backward is Python of its own."""
    base = torch.autograd.Function
    original = vars(base)["apply"]

    def apply(cls, *args, **kwargs):
        run = original.__get__(None, cls)
        if tracer.paused:
            return run(*args, **kwargs)
        with tracer.pause():
            result = run(*args, **kwargs)
        return tracer.bound(f"function {cls.__name__}({tracer.arguments(args, kwargs)})", result, args, kwargs)

    base.apply = classmethod(apply)
    undo.callback(setattr, base, "apply", original)


def _default_dtype(original):
    return lambda: dtypes.with_origin(original(), "default")


def _mask(tracer, name, word, size):
    original = getattr(masking_utils, name)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def create(*args, **kwargs):
        if tracer.paused:
            return original(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        config = given["config"]
        parts = []
        for key, value in given.items():
            default = signature.parameters[key].default
            if key in ("config", "kwargs") or value is default:
                continue
            # The decoder of a model with an encoder has no mask of the caller's.
            of_decoder = word == "causal" and getattr(config, "is_encoder_decoder", False)
            if key == "attention_mask" and value is None and tracer.unmasked and not of_decoder:
                # The caller passed no mask: the name stands for `None` then, and both calls are written alike.
                parts.append("attention_mask=attention_mask")
                continue
            if callable(value):
                raise Refusal(f"{name} with {key}")
            parts.append(f"{key}={shown(tracer, value)}")
        if size is not None:
            parts.append(f"{size[0]}={tracer.text(getattr(config, size[1]))}")
        with tracer.pause():
            made = _placeholder(given, config)
        return tracer.bound(f"mask {word}({', '.join(parts)})", made)

    return create


def _repeated(tracer, original):
    """`repeat_kv`, which hands its argument back where there are as many heads of keys as heads: both are written."""

    @functools.wraps(original)
    def repeat(hidden_states, n_rep):
        if tracer.paused or not isinstance(n_rep, Integer) or int(n_rep) == 1:
            return original(hidden_states, n_rep)
        tracer.emit(f"when {n_rep.text} != 1")
        with GUARDS.silent():
            repeated = original(hidden_states, n_rep)
        tracer.lines += ["end", f"when {n_rep.text} == 1"]
        tracer.lines += [f"copy {tracer.name(repeated)} {tracer.name(hidden_states)}", "end"]
        return repeated

    return repeat


def _placeholder(given, config):
    """Stands for the mask in the recording: zeros to add, of the shape that a mask has."""
    embeds = given["inputs_embeds"]
    queries, keys = embeds.shape[1], embeds.shape[1]
    encoder = given.get("encoder_hidden_states")
    cache = given.get("past_key_values")
    if encoder is not None:
        keys = encoder.shape[1]
    elif cache is not None:
        keys = cache.get_mask_sizes(queries, 0)[0]
    elif given.get("attention_mask") is not None:
        keys = given["attention_mask"].shape[-1]
    return torch.zeros(embeds.shape[0], 1, queries, keys, dtype=embeds.dtype)


def _attention(tracer, original):
    @functools.wraps(original)
    def attend(module, query, key, value, attention_mask, dropout=0.0, scaling=None, is_causal=None, **kwargs):
        if tracer.paused:
            return original(module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs)
        causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
        bias = kwargs.get("position_bias")
        extra = "" if bias is None else f", bias={tracer.name(bias)}"
        parts = ", ".join(tracer.text(part) for part in (query, key, value, attention_mask))
        text = f"attention sdpa({parts}, dropout={tracer.text(dropout)}, causal={causal}{extra})"
        with tracer.pause():
            # Values do not matter, but the call is slow on a CPU.
            result = torch.randn(query.shape[0], query.shape[2], query.shape[1], value.shape[3], dtype=query.dtype)
        return tracer.bound(text, result), None

    return attend


def _patch_cache(undo, tracer):
    for cls, word in [(cache_utils.DynamicCache, "dynamic")]:
        _set(undo, cls, "__init__", _made_cache(tracer, cls.__init__, word))
    both = cache_utils.EncoderDecoderCache
    _set(undo, both, "__init__", _both_caches(tracer, both.__init__))
    _set(undo, cache_utils.Cache, "update", _update(tracer, cache_utils.Cache.update))
    for name in ("update_conv_state", "update_recurrent_state", "update_indexer"):
        _set(undo, cache_utils.Cache, name, _state(tracer, name, getattr(cache_utils.Cache, name)))
    _set(undo, cache_utils.Cache, "get_seq_length", _length(tracer, cache_utils.Cache.get_seq_length))
    _set(undo, cache_utils.DynamicLayer, "get_mask_sizes", _mask_sizes(cache_utils.DynamicLayer.get_mask_sizes, tracer))


def _made_cache(tracer, original, word):
    @functools.wraps(original)
    def initialise(self, *args, **kwargs):
        if tracer.paused:
            return original(self, *args, **kwargs)
        with tracer.pause():
            original(self, *args, **kwargs)
        tracer.emit(f"{tracer.bind(self)} = cache {word}()")
        return None

    return initialise


def _both_caches(tracer, original):
    @functools.wraps(original)
    def initialise(self, *caches):
        if tracer.paused:
            return original(self, *caches)
        names = ", ".join(tracer.text(cache) for cache in caches)
        with tracer.pause():
            original(self, *caches)
        tracer.emit(f"{tracer.bind(self)} = cache encoder_decoder({names})")
        return None

    return initialise


def _layer_index(index):
    return f"@{int(index)}@"


def _update(tracer, original):
    @functools.wraps(original)
    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        if tracer.paused:
            return original(self, key_states, value_states, layer_idx, *args, **kwargs)
        names = f"{tracer.text(self)}, {tracer.name(key_states)}, {tracer.name(value_states)}"
        with tracer.pause():
            results = original(self, key_states, value_states, layer_idx, *args, **kwargs)
            # The cache holds what it returns: the names of the model get objects of their own.
            results = tuple(torch.Tensor.detach(result) for result in results)
        tracer.bound(f"cache update({names}, {_layer_index(layer_idx)})", results)
        return results

    return update


def _state(tracer, name, original):
    @functools.wraps(original)
    def update(self, states, layer_idx, *args, **kwargs):
        if tracer.paused:
            return original(self, states, layer_idx, *args, **kwargs)
        more = "".join(f", {tracer.text(arg)}" for arg in args) + "".join(
            f", {key}={tracer.text(arg)}" for key, arg in kwargs.items()
        )
        text = f"cache {name}({tracer.text(self)}, {tracer.name(states)}, {_layer_index(layer_idx)}{more})"
        with tracer.pause():
            result = torch.Tensor.detach(original(self, states, layer_idx, *args, **kwargs))
        return tracer.bound(text, result)

    return update


def _length(tracer, original):
    @functools.wraps(original)
    def length(self, *args, **kwargs):
        with tracer.pause():
            value = original(self, *args, **kwargs)
        return value if tracer.paused or id(self) not in tracer.names else Integer(int(value), "past")

    return length


def _mask_sizes(original, tracer):
    @functools.wraps(original)
    def sizes(self, query_length):
        if tracer.paused:
            return original(self, query_length)
        with tracer.pause():
            past = int(self.get_seq_length())
        return Integer(past, "past") + query_length, 0

    return sizes


class _Switch:
    """An autocast region that only turns autocast off."""

    def __init__(self, tracer, inner):
        self.tracer, self.inner = tracer, inner

    def __enter__(self):
        self.tracer.emit("autocast off")
        return self.inner.__enter__()

    def __exit__(self, *error):
        result = self.inner.__exit__(*error)
        self.tracer.emit("autocast restore")
        return result


def _autocast(tracer, original):
    @functools.wraps(original)
    def switch(device_type, dtype=None, enabled=True, cache_enabled=None):
        with GUARDS.silent():
            inner = original(str(device_type), dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)
        if tracer.paused:
            return inner
        if enabled:
            raise Refusal("a region that turns autocast on")
        return _Switch(tracer, inner)

    return switch
