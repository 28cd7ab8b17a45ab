"""Kernels that a library compiles when they are first asked for, with nvcc or with a compiler and a CUDA runtime of its own.
On a GPU whose kernels do nothing, one that was never compiled does the same, in no time: outputs and workspaces are made
in Python, before the call."""
import functools

from . import imports

# Module, the class where it is a method, the name of what compiles, whose kernels these are.
COMPILERS = (
    ("flashinfer.jit.core", "JitSpec", "build_and_load", "FlashInfer"),
    ("cutlass.base_dsl.compiler", "CompileCallable", "__call__", "CuTe"),
    ("sglang.kernels.jit.utils.compile.loader", None, "load_jit", "SGLang"),  # 0.5.2x
    ("sglang.jit_kernel.utils", None, "load_jit", "SGLang"),
)


def attach(here):
    for module, owner, name, whose in COMPILERS:
        imports.after(module, functools.partial(leave_out, here, owner, name, whose))
    imports.after("flashinfer.prefill", accept_lengths)


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


def leave_out(here, owner, name, whose, module):
    place = getattr(module, owner, None) if owner else module
    compile = getattr(place, name, None)
    if compile is None:
        return

    @functools.wraps(compile)
    def left_out(*place, **named):
        here.note(f"{whose}'s kernels were not compiled: what they would allocate by themselves is not seen")
        return Nothing()

    setattr(place, name, left_out)


class Unread(int):
    """A count that was read from a GPU that computed nothing: it may be any other."""

    __hash__ = int.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


def accept_lengths(module):
    """FlashInfer holds the queries' rows against their count on the GPU, a sum that nobody has made."""
    for name in ("BatchPrefillWithPagedKVCacheWrapper", "BatchPrefillWithRaggedKVCacheWrapper"):
        wrapper = getattr(module, name, None)
        if wrapper is not None:
            wrapper._qo_indptr_last = property(lambda self: Unread(), lambda self, count: None)
