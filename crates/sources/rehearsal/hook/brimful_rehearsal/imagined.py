"""Ranks that are not there: the process group comes up alone, and everybody else is taken to do what this rank does.

Collectives of tensors are NCCL's own code in PyTorch, over a library that answers at once. Whatever PyTorch sends as
objects cannot come from ranks that are not there: each of them is taken to have sent what this rank sends.
"""
import os
import pickle


def attach(torch, here):
    if not torch.distributed.is_available():
        return
    c10d = torch.distributed.distributed_c10d
    store = lone_store(torch)
    meet_alone(torch, c10d, store)
    answer_on_the_host(torch, c10d)
    echo_objects(torch, c10d)


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


def echo_objects(torch, c10d):
    """The tensors that carry an object are made as PyTorch makes them: they take memory on the GPU."""

    def in_group(group):
        return not c10d._rank_not_in_group(group)

    def sent(data, group, copies):
        """The tensors of an exchange of one object with so many others."""
        device = c10d._get_object_coll_device(group) if hasattr(c10d, "_get_object_coll_device") else c10d._get_pg_default_device(group)
        held = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(device)
        sizes = torch.zeros(copies, dtype=torch.long, device=device)
        size = torch.tensor([len(data)], dtype=torch.long).to(device)
        everything = torch.empty(len(data) * copies, dtype=torch.uint8, device=device)
        return held, sizes, size, everything

    def all_gather_object(object_list, obj, group=None, *rest, **named):
        if in_group(group):
            data = pickle.dumps(obj)
            sent(data, group, c10d.get_world_size(group))
            for place in range(len(object_list)):
                object_list[place] = pickle.loads(data)

    def gather_object(obj, object_gather_list=None, *place, group=None, **named):
        if in_group(group):
            data = pickle.dumps(obj)
            sent(data, group, c10d.get_world_size(group) if object_gather_list else 1)
            for at in range(len(object_gather_list or ())):
                object_gather_list[at] = pickle.loads(data)

    def broadcast_object_list(object_list, *place, group=None, **named):
        if in_group(group):
            sent(pickle.dumps(object_list), group, 1)

    def scatter_object_list(output, inputs=None, *place, group=None, **named):
        if in_group(group) and inputs:
            output[0] = pickle.loads(pickle.dumps(inputs[c10d.get_rank(group) % len(inputs)]))
            sent(pickle.dumps(output[0]), group, 1)

    for call in (all_gather_object, gather_object, broadcast_object_list, scatter_object_list):
        setattr(c10d, call.__name__, call)
        setattr(torch.distributed, call.__name__, call)
