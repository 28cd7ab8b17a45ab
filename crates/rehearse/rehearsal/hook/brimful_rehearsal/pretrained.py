"""Weights by URL or by name that are not there: the model keeps those that it was built with."""
from . import imports


def attach(torch, here):
    by_url(torch, here)
    imports.after("timm.models._builder", lambda builder: timm(here, builder))


class Absent(dict):
    """A checkpoint without tensors, of which a program may take away whatever it likes."""

    def __missing__(self, key):
        return None

    def __delitem__(self, key):
        dict.pop(self, key, None)

    def pop(self, key, default=None):
        return dict.pop(self, key, default)


def by_url(torch, here):
    """torchvision, and whatever else loads with `torch.hub`."""
    fetch, load = torch.hub.load_state_dict_from_url, torch.nn.Module.load_state_dict

    def load_state_dict_from_url(url, *place, **named):
        try:
            return fetch(url, *place, **named)
        except (OSError, RuntimeError):
            here.note(f"dummy weights: {url} is not here; the model keeps the weights that it was built with")
            return Absent()

    def load_state_dict(self, state_dict, *place, **named):
        if isinstance(state_dict, Absent):
            return torch.nn.modules.module._IncompatibleKeys([], [])
        return load(self, state_dict, *place, **named)

    torch.hub.load_state_dict_from_url = load_state_dict_from_url
    torch.nn.Module.load_state_dict = load_state_dict


def timm(here, builder):
    load = builder.load_pretrained

    def load_pretrained(model, *place, **named):
        try:
            load(model, *place, **named)
        except (OSError, RuntimeError):
            name = type(model).__name__
            here.note(f"dummy weights: {name} has no checkpoint here; it keeps the weights that it was built with")

    builder.load_pretrained = load_pretrained
