"""Ranks that do not run: the process group comes up alone, and every other rank is taken to do what this rank does.

Collectives of tensors are NCCL's own code in PyTorch, over a library that answers at once.
"""

import os


def attach(torch):
    """Replaces the store by which ranks meet, and the process group on the host."""
    if not torch.distributed.is_available():
        return
    c10d = torch.distributed.distributed_c10d
    meet_alone(torch, c10d, lone_store(torch))
    replace_gloo(c10d)


def lone_store(torch):
    """The class of a store for one rank. It is made here, since its base class is PyTorch's."""

    class LoneStore(torch.distributed.Store):
        """Answers every request at once: with what this rank has set, or with what another rank might have set."""

        # The identifier that another rank would have made: NCCL's has 128 bytes.
        unknown = bytes(128)

        # C++ keeps its half of a store alive, but not Python's.
        alive = []

        def __init__(self):
            super().__init__()
            self.known = {}
            self.alive.append(self)

        def set(self, key, value):
            """Keeps a value."""
            self.known[key] = value if isinstance(value, bytes) else str(value).encode()

        def get(self, key):
            """The value of a key."""
            return self.known.get(key, self.unknown)

        def add(self, key, amount):
            """Adds to a counter; returns the sum."""
            total = int(self.known.get(key, b"0")) + amount
            self.known[key] = str(total).encode()
            return total

        def compare_set(self, key, expected, desired):
            """Sets a value if the present one is as expected; returns the value after that."""
            if self.known.get(key, b"") == (expected if isinstance(expected, bytes) else expected.encode()):
                self.set(key, desired)
            return self.get(key)

        def append(self, key, value):
            """Appends to a value."""
            self.known[key] = self.known.get(key, b"") + value

        def multi_get(self, keys):
            """The values of several keys."""
            return [self.get(key) for key in keys]

        def multi_set(self, keys, values):
            """Keeps several values."""
            for key, value in zip(keys, values):
                self.set(key, value)

        def check(self, keys):
            """Whether all keys have been set."""
            return all(key in self.known for key in keys)

        def wait(self, keys, timeout=None):
            """Returns at once: nobody else sets a key."""

        def delete_key(self, key):
            """Forgets a key; returns whether it was known."""
            return self.known.pop(key, None) is not None

        def num_keys(self):
            """The number of keys."""
            return len(self.known)

        def has_extended_api(self):
            """Whether `append`, `multi_get` and `multi_set` exist."""
            return True

        def clone(self):
            """The same store: one process uses it."""
            return self

    return LoneStore


def meet_alone(torch, c10d, store):
    """Has every rendezvous use the store, which waits for nobody."""

    def rendezvous(url, rank=-1, world_size=-1, **kwargs):
        rank = rank if rank >= 0 else int(os.environ["RANK"])
        world_size = world_size if world_size > 0 else int(os.environ["WORLD_SIZE"])
        yield store(), rank, world_size

    c10d.rendezvous = rendezvous
    torch.distributed.rendezvous = rendezvous
    for name in ("TCPStore", "FileStore"):
        for module in (torch.distributed, c10d):
            if hasattr(module, name):
                setattr(module, name, lambda *args, **kwargs: store())


def replace_gloo(c10d):
    """Gloo would look for its peers; PyTorch's fake group leaves this rank's numbers as they are."""
    if not hasattr(c10d, "ProcessGroupGloo"):
        return
    from torch._C._distributed_c10d import FakeProcessGroup

    class LoneGloo:
        """A fake group under the name of Gloo's."""

        def __new__(cls, store, rank, size, *args, **kwargs):
            make = getattr(FakeProcessGroup, "_create_internal", FakeProcessGroup)
            return make(rank, size)

        class _Options:
            """The options of Gloo, if this PyTorch does not export them."""

    LoneGloo.Options = getattr(c10d.ProcessGroupGloo, "Options", LoneGloo._Options)
    LoneGloo._Options = getattr(c10d.ProcessGroupGloo, "_Options", LoneGloo._Options)
    LoneGloo.create_default_device = staticmethod(lambda *args, **kwargs: None)
    LoneGloo.create_device = staticmethod(lambda *args, **kwargs: None)
    c10d.ProcessGroupGloo = LoneGloo
