"""FlashInfer compiles its kernels with nvcc when they are first asked for. On a GPU whose kernels do nothing, a kernel that
was never compiled does the same, in no time: outputs and workspaces are made in Python, before the call."""
import functools

from . import imports


def attach(here):
    imports.after("flashinfer.jit.core", lambda module: leave_out(here, module.JitSpec))


class Kernels:
    """A module of kernels, each of which does nothing."""

    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return nothing


def nothing(*place, **named):
    return None


def leave_out(here, spec):
    build = getattr(spec, "build_and_load", None)
    if build is None:
        return

    @functools.wraps(build)
    def build_and_load(self, *place, **named):
        here.note(f"FlashInfer's {self.name} was not compiled: what it would allocate by itself is not seen")
        return Kernels(self.name)

    spec.build_and_load = build_and_load
