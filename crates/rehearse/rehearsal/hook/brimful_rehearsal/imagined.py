"""Ranks that are not there: the process group comes up alone, and everybody else is taken to do what this rank does.

Collectives of tensors are NCCL's own code in PyTorch, over a library that answers at once.
"""
import os


def attach(torch, here):
    if not torch.distributed.is_available():
        return
    c10d = torch.distributed.distributed_c10d
    store = lone_store(torch)
    meet_alone(torch, c10d, store)
    answer_on_the_host(torch, c10d)


def lone_store(torch):
    class LoneStore(torch.distributed.Store):
        """Has an answer to everything, at once: what this rank put in, or what no rank can tell."""

        # An identifier that another rank would have made: NCCL's has 128 bytes.
        unknown = bytes(128)

        # C++ keeps its half of a store, and not the half that is here.
        alive = []

        def __init__(self):
            super().__init__()
            self.known = {}
            self.alive.append(self)

        def set(self, key, value):
            self.known[key] = value if isinstance(value, bytes) else str(value).encode()

        def get(self, key):
            return self.known.get(key, self.unknown)

        def add(self, key, amount):
            total = int(self.known.get(key, b"0")) + amount
            self.known[key] = str(total).encode()
            return total

        def compare_set(self, key, expected, desired):
            if self.known.get(key, b"") == (expected if isinstance(expected, bytes) else expected.encode()):
                self.set(key, desired)
            return self.get(key)

        def append(self, key, value):
            self.known[key] = self.known.get(key, b"") + value

        def multi_get(self, keys):
            return [self.get(key) for key in keys]

        def multi_set(self, keys, values):
            for key, value in zip(keys, values):
                self.set(key, value)

        def check(self, keys):
            return all(key in self.known for key in keys)

        def wait(self, keys, timeout=None):
            pass

        def delete_key(self, key):
            return self.known.pop(key, None) is not None

        def num_keys(self):
            return len(self.known)

        def has_extended_api(self):
            return True

        def clone(self):
            return self

    return LoneStore


def meet_alone(torch, c10d, store):
    def rendezvous(url, rank=-1, world_size=-1, **rest):
        rank = rank if rank >= 0 else int(os.environ["RANK"])
        world_size = world_size if world_size > 0 else int(os.environ["WORLD_SIZE"])
        yield store(), rank, world_size

    c10d.rendezvous = rendezvous
    torch.distributed.rendezvous = rendezvous
    for name in ("TCPStore", "FileStore"):
        for place in (torch.distributed, c10d):
            if hasattr(place, name):
                setattr(place, name, lambda *place, **named: store())


def answer_on_the_host(torch, c10d):
    """Gloo would look for its peers; a fake group leaves this rank's numbers as they are."""
    if not hasattr(c10d, "ProcessGroupGloo"):
        return
    from torch._C._distributed_c10d import FakeProcessGroup

    class LoneGloo:
        def __new__(cls, store, rank, size, *rest, **named):
            make = getattr(FakeProcessGroup, "_create_internal", FakeProcessGroup)
            return make(rank, size)

        class _Options:
            pass

    LoneGloo.Options = getattr(c10d.ProcessGroupGloo, "Options", LoneGloo._Options)
    LoneGloo._Options = getattr(c10d.ProcessGroupGloo, "_Options", LoneGloo._Options)
    LoneGloo.create_default_device = staticmethod(lambda *place, **named: None)
    LoneGloo.create_device = staticmethod(lambda *place, **named: None)
    c10d.ProcessGroupGloo = LoneGloo
