"""DeepSpeed: optimizers that it would compile, and its checks that all ranks do the same.

DeepSpeed compiles its optimizers with nvcc at their first use (those on the CPU need a CUDA toolkit, too). They
change tensors in place, and allocate nothing: on a GPU whose kernels do nothing, one that was never compiled does the
same. The states that they keep are made in Python. An operator that makes tensors itself (LAMB, quantisation) is
compiled as ever.
"""

import functools
import os

from . import imports
from .uncompiled import Nothing

IN_PLACE = ("fused_adam", "fused_lion", "cpu_adam", "cpu_lion", "cpu_adagrad")


def attach(torch, record):
    """Watches DeepSpeed's imports."""
    imports.after("deepspeed.ops.op_builder.builder", lambda module: leave_out(record, module.OpBuilder))
    imports.after("deepspeed.runtime.zero.utils", lambda module: trust_order(torch, module))


def leave_out(record, builder):
    """Leaves out the compilation of the optimizers that work in place."""
    load = builder.load

    @functools.wraps(load)
    def load_op(self, *args, **kwargs):
        if self.name not in IN_PLACE:
            return load(self, *args, **kwargs)
        record.note(f"DeepSpeed's {self.name} was not compiled: the optimizer's step changes no values")
        return Nothing()

    builder.load = load_op


def trust_order(torch, utils):
    """ZeRO-3 reads back the order in which rank 0 uses its modules. No bytes move between ranks on the virtual GPU, and
    all ranks run one script. The tensors are made nevertheless, since they take memory.
    """

    def assert_ints_same_as_other_ranks(ints):
        for sent in (len(ints), ints):
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            utils.dist.broadcast(torch.tensor(sent, dtype=int, device=device), src=0, async_op=False)

    utils.assert_ints_same_as_other_ranks = assert_ints_same_as_other_ranks
