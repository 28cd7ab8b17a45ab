"""FlashInfer compiles its kernels with nvcc when they are first asked for. On a GPU whose kernels do nothing, a kernel that
was never compiled does the same, in no time: outputs and workspaces are made in Python, before the call."""
import functools

from . import imports


def attach(here):
    imports.after("flashinfer.jit.core", lambda module: leave_out(here, module.JitSpec))


class Nothing:
    """A module of kernels, a kernel, what one gives back: whatever is done with it gives nothing again."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *place, **named):
        return self

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0

    def __index__(self):
        return 0


def leave_out(here, spec):
    build = getattr(spec, "build_and_load", None)
    if build is None:
        return

    @functools.wraps(build)
    def build_and_load(self, *place, **named):
        here.note(f"FlashInfer's {self.name} was not compiled: what it would allocate by itself is not seen")
        return Nothing()

    spec.build_and_load = build_and_load
