"""Collectives whose values matter: objects, and DDP's check that all ranks have the same model.

The virtual GPU moves no bytes between ranks. PyTorch sends objects through tensors on the GPU: the tensors are made as
PyTorch makes them, since they take memory, and the objects go through the store by which the ranks have met. Ranks that
are imagined are taken to have sent what this rank sends.
"""
import pickle


def attach(torch, imagined):
    if not torch.distributed.is_available():
        return
    c10d = torch.distributed.distributed_c10d
    exchange = Exchange(torch, c10d, imagined)
    for name in ("all_gather_object", "gather_object", "broadcast_object_list", "scatter_object_list"):
        call = wrapped(c10d, getattr(c10d, name), getattr(exchange, name))
        setattr(c10d, name, call)
        setattr(torch.distributed, name, call)
    trust_models(torch)


def wrapped(c10d, original, own):
    """Groups on the host, of ranks that are there, exchange real bytes; outside of a group PyTorch says what to say."""

    def call(*place, group=None, **named):
        if c10d._rank_not_in_group(group) or not own.__self__.is_needed(group):
            return original(*place, group=group, **named)
        return own(*place, group=group, **named)

    call.__name__, call.__doc__ = original.__name__, original.__doc__
    return call


class Exchange:
    def __init__(self, torch, c10d, imagined):
        self.torch, self.c10d, self.imagined = torch, c10d, imagined
        self.rounds = {}

    def is_needed(self, group):
        return self.imagined or self.device(group).type == "cuda"

    def device(self, group):
        find = getattr(self.c10d, "_get_object_coll_device", None) or self.c10d._get_pg_default_device
        return self.torch.device(find(group))

    def sent(self, data, group, copies):
        """The tensors of an exchange: the object, its size, everybody's sizes, and everybody's objects."""
        torch, device = self.torch, self.device(group)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        held = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(device)
        size = torch.tensor([len(data)], dtype=torch.long).to(device)
        sizes = torch.zeros(copies, dtype=torch.long, device=device)
        everything = torch.empty(len(data) * copies, dtype=torch.uint8, device=device)
        return held, size, sizes, everything

    def everyone(self, data, group):
        """What each rank of the group sends, in their order."""
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
        """The place within the group of the rank that sends."""
        if group_src is not None:
            return group_src
        return self.c10d.get_process_group_ranks(group or self.c10d._get_default_group()).index(src or 0)

    def all_gather_object(self, object_list, obj, group=None, **named):
        data = pickle.dumps(obj)
        self.sent(data, group, self.c10d.get_world_size(group))
        object_list[:] = [pickle.loads(one) for one in self.everyone(data, group)]

    def gather_object(self, obj, object_gather_list=None, dst=None, group=None, **named):
        data = pickle.dumps(obj)
        self.sent(data, group, self.c10d.get_world_size(group))
        gathered = self.everyone(data, group)
        if object_gather_list is not None:
            object_gather_list[:] = [pickle.loads(one) for one in gathered]

    def broadcast_object_list(self, object_list, src=None, group=None, device=None, group_src=None, **named):
        data = pickle.dumps(object_list)
        self.sent(data, group, 1)
        object_list[:] = pickle.loads(self.everyone(data, group)[self.source(src, group, group_src)])

    def scatter_object_list(
        self, scatter_object_output_list, scatter_object_input_list=None, src=None, group=None, group_src=None, **named
    ):
        data = pickle.dumps(scatter_object_input_list)
        self.sent(data, group, 1)
        sent = pickle.loads(self.everyone(data, group)[self.source(src, group, group_src)])
        scatter_object_output_list[0] = sent[self.c10d.get_rank(group)] if sent else None


def trust_models(torch):
    """DDP reads back what each rank has of parameters; the virtual GPU reads zeros, and all ranks run one script."""
    from torch.distributed import utils
    from torch.nn.parallel import distributed

    for place in (utils, distributed):
        if hasattr(place, "_verify_param_shape_across_processes"):
            place._verify_param_shape_across_processes = lambda *place, **named: None
