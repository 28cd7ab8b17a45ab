"""Collectives whose values matter: objects, and DDP's check that all ranks have the same model.

The virtual GPU moves no bytes between ranks. PyTorch sends objects through tensors on the GPU: the tensors are made as
PyTorch makes them, since they take memory, and the objects go through the store by which the ranks have met. Ranks that
are imagined are taken to have sent what this rank sends.
"""

import pickle


def attach(torch, imagined):
    """Replaces the collectives of objects; `imagined` says whether the other ranks are."""
    if not torch.distributed.is_available():
        return
    c10d = torch.distributed.distributed_c10d
    exchange = Exchange(torch, c10d, imagined)
    for name in ("all_gather_object", "gather_object", "broadcast_object_list", "scatter_object_list"):
        call = if_needed(c10d, getattr(c10d, name), getattr(exchange, name))
        setattr(c10d, name, call)
        setattr(torch.distributed, name, call)
    trust_models(torch)


def if_needed(c10d, original, own):
    """The collective of this module for the groups that need it. A group on the host, of ranks that run, exchanges real
    bytes; a rank outside of the group gets PyTorch's own error.
    """

    def call(*args, group=None, **kwargs):
        if c10d._rank_not_in_group(group) or not own.__self__.is_needed(group):
            return original(*args, group=group, **kwargs)
        return own(*args, group=group, **kwargs)

    call.__name__, call.__doc__ = original.__name__, original.__doc__
    return call


class Exchange:
    """Collectives of objects over the store."""

    def __init__(self, torch, c10d, imagined):
        self.torch, self.c10d, self.imagined = torch, c10d, imagined
        self.rounds = {}

    def is_needed(self, group):
        """Whether PyTorch would send the objects over the virtual GPU, or to ranks that do not run."""
        return self.imagined or self.device(group).type == "cuda"

    def device(self, group):
        """The device on which PyTorch makes a group's tensors."""
        find = getattr(self.c10d, "_get_object_coll_device", None) or self.c10d._get_pg_default_device
        return self.torch.device(find(group))

    def make_tensors(self, data, group, copies):
        """The tensors of an exchange: the object, its size, all ranks' sizes, and all ranks' objects."""
        torch, device = self.torch, self.device(group)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        content = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(device)
        size = torch.tensor([len(data)], dtype=torch.long).to(device)
        sizes = torch.zeros(copies, dtype=torch.long, device=device)
        contents = torch.empty(len(data) * copies, dtype=torch.uint8, device=device)
        # All four are alive at the same time, as in PyTorch.
        return content, size, sizes, contents

    def exchange(self, data, group):
        """Sends this rank's bytes; returns those of each rank of the group, in their order."""
        c10d = self.c10d
        ranks = c10d.get_process_group_ranks(group or c10d._get_default_group())
        if self.imagined:
            return [data] * len(ranks)
        name = ",".join(map(str, ranks))
        number = self.rounds[name] = self.rounds.get(name, 0) + 1
        store, key = c10d._get_default_store(), f"brimful/{name}/{number}"
        store.set(f"{key}/{c10d.get_rank()}", data)
        return [store.get(f"{key}/{rank}") for rank in ranks]

    def source(self, src, group, group_src=None):
        """The number within the group of the rank that sends."""
        if group_src is not None:
            return group_src
        return self.c10d.get_process_group_ranks(group or self.c10d._get_default_group()).index(src or 0)

    def all_gather_object(self, object_list, obj, group=None, **kwargs):
        """As the function of this name in `torch.distributed`."""
        data = pickle.dumps(obj)
        self.make_tensors(data, group, self.c10d.get_world_size(group))
        object_list[:] = [pickle.loads(one) for one in self.exchange(data, group)]

    def gather_object(self, obj, object_gather_list=None, dst=None, group=None, **kwargs):
        """As the function of this name in `torch.distributed`."""
        data = pickle.dumps(obj)
        self.make_tensors(data, group, self.c10d.get_world_size(group))
        gathered = self.exchange(data, group)
        if object_gather_list is not None:
            object_gather_list[:] = [pickle.loads(one) for one in gathered]

    def broadcast_object_list(self, object_list, src=None, group=None, device=None, group_src=None, **kwargs):
        """As the function of this name in `torch.distributed`."""
        data = pickle.dumps(object_list)
        self.make_tensors(data, group, 1)
        object_list[:] = pickle.loads(self.exchange(data, group)[self.source(src, group, group_src)])

    def scatter_object_list(
        self, scatter_object_output_list, scatter_object_input_list=None, src=None, group=None, group_src=None, **kwargs
    ):
        """As the function of this name in `torch.distributed`."""
        data = pickle.dumps(scatter_object_input_list)
        self.make_tensors(data, group, 1)
        sent = pickle.loads(self.exchange(data, group)[self.source(src, group, group_src)])
        scatter_object_output_list[0] = sent[self.c10d.get_rank(group)] if sent else None


def trust_models(torch):
    """DDP reads back which parameters each rank has. The virtual GPU reads zeros, and all ranks run one script."""
    from torch.distributed import utils
    from torch.nn.parallel import distributed

    for module in (utils, distributed):
        if hasattr(module, "_verify_param_shape_across_processes"):
            module._verify_param_shape_across_processes = lambda *args, **kwargs: None
