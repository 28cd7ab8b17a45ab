"""Which threads run the wrappers, and when: the program's own, outside of the backward pass."""

import functools
import threading

from .kernels import KEY
from .tags import KEY as TAG


def attach(torch):
    """Runs the wrappers in this thread and in those that the program starts from now on."""
    switch(torch, True)
    start = threading.Thread._bootstrap_inner

    def bootstrap(self):
        switch(torch, True)
        start(self)

    threading.Thread._bootstrap_inner = bootstrap
    from torch.autograd import graph
    from torch.utils import checkpoint

    leave_backward_alone(torch, graph)
    follow_recomputation(torch, checkpoint)


def switch(torch, is_on):
    """Has this thread run the wrappers, or not; returns whether it did before."""
    key = torch._C._dispatch_key_parse(KEY)
    before = torch._C._dispatch_tls_is_dispatch_key_included(key)
    torch._C._dispatch_tls_set_dispatch_key_included(key, is_on)
    torch._C._dispatch_tls_set_dispatch_key_excluded(torch._C._dispatch_key_parse(TAG), not is_on)
    return before


def switched(torch, call, is_on):
    """A function that runs with the wrappers or without them."""

    @functools.wraps(call)
    def within(*args, **kwargs):
        before = switch(torch, is_on)
        try:
            return call(*args, **kwargs)
        finally:
            switch(torch, before)

    return within


def leave_backward_alone(torch, graph):
    """Switches the wrappers off in the backward pass: a gradient that has an object in Python is not added to in place
    (`can_accumulate_inplace` in torch/csrc/autograd/input_buffer.cpp, torch 2.15). PyTorch's engine carries this
    thread's keys into its own threads.
    """
    without = switched(torch, graph._engine_run_backward, False)
    graph._engine_run_backward = without
    torch.autograd._engine_run_backward = without


def follow_recomputation(torch, checkpoint):
    """A forward pass that is run again within the backward pass takes the sizes that it took before."""
    function = checkpoint.CheckpointFunction
    function.backward = staticmethod(switched(torch, function.backward, True))
    frame = getattr(checkpoint, "_CheckpointFrame", None)
    if frame is None:
        return
    begin = frame.__init__

    @functools.wraps(begin)
    def init(self, recompute, *args, **kwargs):
        begin(self, switched(torch, recompute, True), *args, **kwargs)

    frame.__init__ = init
