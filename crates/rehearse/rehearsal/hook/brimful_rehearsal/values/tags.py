"""Tags on tensors whose value is known: a dispatch key in the tensor's own set, by which its operators reach the
wrappers.

Views, `detach` and `.data` hand the key on. A tensor without the key never comes through Python, so that following
values costs nothing where none is known.
"""

import ctypes

# A key that no tensor of a program for CUDA has.
KEY = "Vulkan"
# The words of a `TensorImpl` among which its key set is looked for: fewer than any release of torch has.
WORDS = 24


class Tags:
    """Adds the key to tensors, and takes it away."""

    def __init__(self, torch):
        self.key = torch._C.DispatchKeySet(torch._C._dispatch_key_parse(KEY)).raw_repr()
        probe = torch.empty(0, device="cpu")
        keys = torch._C._dispatch_keys(probe).raw_repr()
        words = (ctypes.c_uint64 * WORDS).from_address(probe._cdata)
        places = [at * 8 for at in range(WORDS) if words[at] == keys]
        if len(places) != 1:
            raise RuntimeError("the key set of a tensor was not found")
        self.offset = places[0]
        self.add(probe)
        if torch._C._dispatch_keys(probe).raw_repr() != keys | self.key:
            raise RuntimeError("the key set of a tensor cannot be changed")
        self.remove(probe)

    def add(self, tensor):
        """Marks a tensor as known."""
        ctypes.c_uint64.from_address(tensor._cdata + self.offset).value |= self.key

    def remove(self, tensor):
        """Takes the mark away."""
        ctypes.c_uint64.from_address(tensor._cdata + self.offset).value &= ~self.key
