"""Values on the virtual GPU that are known: what the host sent, constants, and what follows from them.

The kernels of the virtual GPU do nothing. PyTorch's operators for it are wrapped: each calls PyTorch's own kernel,
which allocates what it allocates, and if all of its inputs are known and small, it is evaluated once more on the CPU. A
wrapper takes some microseconds, so only tensors whose value is known, and operators that make one from nothing, come
through it (`tags`). A mode of `__torch_dispatch__` would see every operator in one place, but PyTorch takes other paths
under one (`isTensorSubclassLike` is true then), which allocate other memory.
"""

from . import generation, gradients, threads

# The functions of torch without which no value is followed.
NEEDED = "get_kernel"


def attach(torch, record):
    """Wraps the operators as soon as the program uses CUDA, if this torch hands out its kernels."""
    if not hasattr(torch, "library"):
        return
    if not hasattr(torch.library, NEEDED):
        record.values.off = f"torch {torch.__version__} has no torch.library.{NEEDED}, which came with 2.9"
        return
    gradients.attach(record)
    generation.attach(torch, record)
    torch.cuda._lazy_call(lambda: _wrap(torch, record))


def _wrap(torch, record):
    """Wraps the operators. The program runs without values if that fails."""
    from .kernels import Kernels
    from .library import Library
    from .table import Table

    try:
        library = Library()
        kernels = Kernels(torch, Table(torch, library), library, record.values)
        kernels.register()
        record.values.know, record.values.find = kernels.know, kernels.find
        threads.attach(torch)
    except Exception as error:
        record.values.off = f"the operators of torch {torch.__version__} cannot be wrapped: {error}"
