"""Which blocks are parameters, gradients and states: after the first forward of a model and the first steps."""

import time
from array import array

# Steps whose blocks are marked: the gradients of each step are other blocks.
STEPS = 4
# The purposes of blocks, by their number in the array.
PURPOSES = ("parameter", "gradient", "optimizer", "frozen")
PARAMETER, GRADIENT, STATE, FROZEN = range(4)


class Marks:
    """Times, purposes and addresses, as numbers in one array. Python's garbage collector counts objects: if marks were
    objects, the program's tensors would be freed at other moments.
    """

    def __init__(self):
        self.numbers = array("Q")

    def add_model(self, model):
        """Marks the blocks of a model's parameters, and says which get no gradient."""
        now = time.time_ns() // 1000
        for parameter in model.parameters():
            self.put(now, PARAMETER if parameter.requires_grad else FROZEN, parameter)

    def add(self, optimizer):
        """Marks the blocks of an optimizer's parameters, of their gradients, and of its states."""
        now = time.time_ns() // 1000
        for group in optimizer.param_groups if hasattr(optimizer, "param_groups") else ():
            for parameter in group["params"]:
                self.put(now, PARAMETER, parameter)
                self.put(now, GRADIENT, getattr(parameter, "grad", None))
                states = optimizer.state.get(parameter, ())
                for name in states:
                    self.put(now, STATE, states[name] if isinstance(states, dict) else None)

    def put(self, now, purpose, tensor):
        """Marks the block of a tensor, if it is a tensor on a GPU."""
        # The block of a sharded tensor is this rank's part.
        tensor = getattr(tensor, "_local_tensor", tensor)
        if getattr(tensor, "is_cuda", False):
            try:
                address = tensor.untyped_storage().data_ptr()
            except (AttributeError, NotImplementedError, RuntimeError):
                return  # a tensor without a storage of its own
            self.numbers.extend((now, purpose, address))

    def annotations(self):
        """The marks in the form of a snapshot's named ranges."""
        rows = zip(*[iter(self.numbers)] * 3)
        named = ((now, f"brimful:{PURPOSES[purpose]}:{address:x}") for now, purpose, address in rows)
        return [{"name": name, "stage": "START", "device": 0, "time_us": now} for now, name in named]
