"""Which threads run the wrappers, and when: the program's own, outside of the backward pass."""

import functools
import threading

from .kernels import KEY


def attach(torch):
    """Includes the wrappers' dispatch key in this thread and in those that the program starts from now on."""
    include(torch, True)
    start = threading.Thread._bootstrap_inner

    def bootstrap(self):
        include(torch, True)
        start(self)

    threading.Thread._bootstrap_inner = bootstrap
    from torch.autograd import graph
    from torch.utils import checkpoint

    leave_backward_alone(torch, graph)
    follow_recomputation(torch, checkpoint)


def include(torch, is_included):
    """Includes the key in this thread's keys; returns whether it was before."""
    key = torch._C._dispatch_key_parse(KEY)
    before = torch._C._dispatch_tls_is_dispatch_key_included(key)
    torch._C._dispatch_tls_set_dispatch_key_included(key, is_included)
    return before


def with_key(torch, call, is_included):
    """A function that runs with the key or without it."""

    @functools.wraps(call)
    def within(*args, **kwargs):
        before = include(torch, is_included)
        try:
            return call(*args, **kwargs)
        finally:
            include(torch, before)

    return within


def leave_backward_alone(torch, graph):
    """PyTorch's engine carries this thread's keys into its own threads."""
    without = with_key(torch, graph._engine_run_backward, False)
    graph._engine_run_backward = without
    torch.autograd._engine_run_backward = without


def follow_recomputation(torch, checkpoint):
    """A forward pass that is run again within the backward pass takes the sizes that it took before."""
    function = checkpoint.CheckpointFunction
    function.backward = staticmethod(with_key(torch, function.backward, True))
    frame = getattr(checkpoint, "_CheckpointFrame", None)
    if frame is None:
        return
    begin = frame.__init__

    @functools.wraps(begin)
    def init(self, recompute, *args, **kwargs):
        begin(self, with_key(torch, recompute, True), *args, **kwargs)

    frame.__init__ = init
