"""DeepSpeed compiles its optimizers with nvcc (those on the CPU, too, want a CUDA toolkit) when they are first asked for.

These change tensors in place, and allocate nothing: on a GPU whose kernels do nothing, one that was never compiled does the
same. The states that they keep are made in Python. An operator that makes tensors itself (LAMB, quantisation) is compiled as
ever.
"""
import functools

from . import imports
from .flashinfer import Nothing

IN_PLACE = ("fused_adam", "fused_lion", "cpu_adam", "cpu_lion", "cpu_adagrad")


def attach(here):
    imports.after("deepspeed.ops.op_builder.builder", lambda module: leave_out(here, module.OpBuilder))


def leave_out(here, builder):
    load = builder.load

    @functools.wraps(load)
    def load_op(self, *place, **named):
        if self.name not in IN_PLACE:
            return load(self, *place, **named)
        here.note(f"DeepSpeed's {self.name} was not compiled: the optimizer's step changes no values")
        return Nothing()

    builder.load = load_op
