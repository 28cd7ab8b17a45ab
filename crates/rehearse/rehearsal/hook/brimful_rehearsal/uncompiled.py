"""Leaves out the compilation of kernels that a library compiles at their first use.

They need nvcc, or a compiler and a CUDA runtime of their own. On a GPU whose kernels do nothing, a kernel that was
never compiled does the same, in no time: outputs and workspaces are made in Python, before the call.
"""

import functools

from . import imports

# The module, the class if it is a method, the name of the function that compiles, and whose kernels these are.
COMPILERS = (
    ("flashinfer.jit.core", "JitSpec", "build_and_load", "FlashInfer"),
    ("cutlass.base_dsl.compiler", "CompileCallable", "__call__", "CuTe"),
    ("sglang.kernels.jit.utils.compile.loader", None, "load_jit", "SGLang"),  # 0.5.2x
    ("sglang.jit_kernel.utils", None, "load_jit", "SGLang"),
)


def attach(record):
    """Leaves out the compilers, and what depends on a kernel's result."""
    for module, owner, name, library in COMPILERS:
        imports.after(module, functools.partial(leave_out, record, owner, name, library))
    imports.after("flashinfer.prefill", accept_lengths)


class Nothing:
    """A module of kernels, a kernel, or its result: every attribute and every call of it is nothing again."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        """Nothing, whatever the arguments."""
        return self

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0

    def __index__(self):
        return 0


def leave_out(record, owner, name, library, module):
    """Replaces a function that compiles, if this version of the library has it."""
    holder = getattr(module, owner, None) if owner else module
    compiler = getattr(holder, name, None)
    if compiler is None:
        return

    @functools.wraps(compiler)
    def left_out(*args, **kwargs):
        record.note(f"{library}'s kernels were not compiled: what they would allocate by themselves is not seen")
        return Nothing()

    setattr(holder, name, left_out)


class Unread(int):
    """A count that was read from a GPU that computed nothing: it equals every number."""

    __hash__ = int.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


def accept_lengths(module):
    """FlashInfer compares the number of query rows with a sum on the GPU, which no kernel has computed."""
    for name in ("BatchPrefillWithPagedKVCacheWrapper", "BatchPrefillWithRaggedKVCacheWrapper"):
        wrapper = getattr(module, name, None)
        if wrapper is not None:
            wrapper._qo_indptr_last = property(lambda self: Unread(), lambda self, count: None)
