"""Which blocks are parameters, gradients and states of the optimizer, at the end of the first steps."""
import time
from array import array

# Steps whose blocks are marked: gradients are other blocks in each.
STEPS = 4
KINDS = ("parameter", "gradient", "optimizer")


class Marks:
    """Numbers only: objects that are kept would move the moments at which Python collects garbage."""

    def __init__(self):
        self.numbers = array("Q")

    def add(self, optimizer):
        now = time.time_ns() // 1000
        for group in optimizer.param_groups if hasattr(optimizer, "param_groups") else ():
            for parameter in group["params"]:
                self.put(now, 0, parameter)
                self.put(now, 1, getattr(parameter, "grad", None))
                states = optimizer.state.get(parameter, ())
                for name in states:
                    self.put(now, 2, states[name] if isinstance(states, dict) else None)

    def put(self, now, kind, tensor):
        # A sharded tensor's own part.
        tensor = getattr(tensor, "_local_tensor", tensor)
        if getattr(tensor, "is_cuda", False):
            try:
                address = tensor.untyped_storage().data_ptr()
            except (AttributeError, NotImplementedError, RuntimeError):
                return  # a tensor without a storage of its own
            self.numbers.extend((now, kind, address))

    def annotations(self):
        """As named ranges of a snapshot, where they are of the moment."""
        rows = zip(*[iter(self.numbers)] * 3)
        named = ((now, f"brimful:{KINDS[kind]}:{address:x}") for now, kind, address in rows)
        return [{"name": name, "stage": "START", "device": 0, "time_us": now} for now, name in named]
