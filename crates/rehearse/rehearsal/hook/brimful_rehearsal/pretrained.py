"""Weights by URL or by name that are missing: the model keeps those that it was built with."""

import functools

from . import imports


def attach(torch, record):
    """Replaces the loaders of torch.hub and timm."""
    replace_hub(torch, record)
    imports.after("timm.models._builder", lambda builder: replace_timm(record, builder))


class Absent(dict):
    """A checkpoint without tensors, from which a program may remove any key."""

    def __missing__(self, key):
        return None

    def __delitem__(self, key):
        dict.pop(self, key, None)

    def pop(self, key, default=None):
        """Any key is there to be removed; its value is the default."""
        return dict.pop(self, key, default)


def replace_hub(torch, record):
    """torchvision, and every other library that loads with `torch.hub`."""
    fetch, load = torch.hub.load_state_dict_from_url, torch.nn.Module.load_state_dict

    @functools.wraps(fetch)
    def load_state_dict_from_url(url, *args, **kwargs):
        try:
            return fetch(url, *args, **kwargs)
        except (OSError, RuntimeError):
            record.note(f"dummy weights: {url} is not here; the model keeps the weights that it was built with")
            return Absent()

    @functools.wraps(load)
    def load_state_dict(self, state_dict, *args, **kwargs):
        if isinstance(state_dict, Absent):
            return torch.nn.modules.module._IncompatibleKeys([], [])
        return load(self, state_dict, *args, **kwargs)

    torch.hub.load_state_dict_from_url = load_state_dict_from_url
    torch.nn.Module.load_state_dict = load_state_dict


def replace_timm(record, builder):
    """Timm's models by name."""
    load = builder.load_pretrained

    @functools.wraps(load)
    def load_pretrained(model, *args, **kwargs):
        try:
            load(model, *args, **kwargs)
        except (OSError, RuntimeError):
            name = type(model).__name__
            record.note(f"dummy weights: {name} has no checkpoint here; it keeps the weights that it was built with")

    builder.load_pretrained = load_pretrained
