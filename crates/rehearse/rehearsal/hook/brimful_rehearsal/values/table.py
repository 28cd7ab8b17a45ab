"""The known values, by storage.

A value is kept as a tensor on the CPU with as many elements as the storage on the GPU, or with a single one if all are
equal. Its key is the address on the GPU. A weak reference to the storage's object distinguishes this storage from a
later one at the same address; it does not keep the memory that the storage holds.
"""

from .tags import Tags

# The most elements of a storage that is followed, for whole numbers and flags, and for floating-point numbers.
MOST_WHOLE, MOST_FLOAT = 1 << 16, 1 << 12
# The most elements from the host that are looked through for being all equal.
MOST_LOOKED_THROUGH = 1 << 20
# The most storages that are kept. Beyond it the oldest is forgotten.
MOST_KEPT = 1 << 13
# How often a known floating-point tensor may meet unknown ones, as a weight of ones does in each layer norm, before it
# is forgotten, so that the operators on it run at full speed.
MOST_MET = 64
# The uses of a storage that one tensor holds: the tensor's, and that of the object that asks.
ALONE = 2
# After so many new entries, those whose storages are gone are removed.
SWEEP_EVERY = 512


class Table:
    """What is known of storages on the GPU."""

    def __init__(self, torch, library):
        self.torch, self.aten = torch, torch.ops.aten
        self.library = library
        self.tags = Tags(torch)
        self.seen = library.unfollowed()
        self.known = {}
        self.added = 0

    def refresh(self):
        """Forgets everything after an event that may have written anywhere."""
        now = self.library.unfollowed()
        if now != self.seen:
            self.forget_all()
            self.seen = now

    def entry(self, tensor):
        """The entry of a tensor's storage; `None` if there is none. Tensors whose storage has none stay without an
        object for it in Python.
        """
        address = tensor.data_ptr()
        entry = self.known.get(address)
        if entry is None:
            offset = tensor.storage_offset()
            if not offset:
                return None
            address -= offset * tensor.element_size()
            entry = self.known.get(address)
            if entry is None:
                return None
        if tensor.untyped_storage()._cdata != entry.storage or not entry.is_current(tensor):
            # The address was handed out again, or something was written without a wrapper.
            self.remove(address)
            return None
        return entry

    def find(self, tensor):
        """The known value of a tensor on the GPU, as a tensor on the CPU with the same shape; `None` if it is
        unknown.
        """
        entry = self.entry(tensor)
        if entry is None:
            return self.empty_like(tensor) if tensor.numel() == 0 else None
        value = entry.value
        if value.dim() == 0:
            return self.aten.expand.default(value, tensor.shape) if value.dtype == tensor.dtype else None
        if value.dtype != tensor.dtype:
            value = self.aten.view.dtype(value, tensor.dtype)
        return self.aten.as_strided.default(value, tensor.shape, tensor.stride(), tensor.storage_offset())

    def empty_like(self, tensor):
        """A tensor without elements is known."""
        return self.aten.empty.memory_format(tensor.shape, dtype=tensor.dtype, device="cpu")

    def is_uniform(self, tensor):
        """Whether the value of this tensor is known as one number for all of its storage."""
        entry = self.entry(tensor)
        return entry is not None and entry.value.dim() == 0

    def covers(self, tensor):
        """Whether a tensor is the whole of its storage, so that writing it leaves nothing else there."""
        elements, storage = tensor.numel(), tensor.untyped_storage()
        return (
            elements > 0
            and elements * tensor.element_size() == storage.nbytes()
            and (tensor.is_contiguous() or self.is_dense(tensor))
        )

    def is_dense(self, tensor):
        """Whether the elements fill their memory without gaps or overlaps, in any order."""
        common = self.torch._prims_common
        # torch 2.15 has renamed the function.
        names = ("is_non_overlapping_and_dense_or_false", "is_non_overlapping_and_dense")
        return next(getattr(common, name) for name in names if hasattr(common, name))(tensor)

    def fits(self, tensor):
        """Whether a tensor is small enough to be followed element by element."""
        most = MOST_FLOAT if tensor.is_floating_point() or tensor.is_complex() else MOST_WHOLE
        return tensor.numel() <= most

    def put(self, tensor, value, is_fresh=False):
        """Keeps the value that a tensor has now. If it is a part of its storage, that has to be known, or fresh: nobody
        can read the rest of a storage that an operator has just made.
        """
        if value.shape != tensor.shape:
            value = self.aten.expand.default(value, tensor.shape)
        if not is_fresh and not self.covers(tensor):
            found = self.find(tensor)
            if found is None:
                return
            if self.is_uniform(tensor):
                self.forget(tensor)
                return
            self.aten.copy_.default(found, value)
            self.written(tensor)
            return
        if not self.fits(tensor):
            self.put_uniform(tensor, value)
            return
        if tensor.numel() == 0:
            return
        elements = tensor.untyped_storage().nbytes() // tensor.element_size()
        flat = self.aten.empty.memory_format([elements], dtype=tensor.dtype, device="cpu")
        shaped = self.aten.as_strided.default(flat, tensor.shape, tensor.stride(), tensor.storage_offset())
        self.aten.copy_.default(shaped, value)
        self.keep(tensor, flat)

    def put_uniform(self, tensor, value):
        """Keeps the value of a large tensor if all of its elements are equal."""
        if not all(stride == 0 for stride in value.stride()):
            if value.is_floating_point() or value.is_complex() or value.numel() > MOST_LOOKED_THROUGH:
                self.forget(tensor)
                return
            least, most = self.aten.aminmax.default(value)
            if self.aten._local_scalar_dense.default(least) != self.aten._local_scalar_dense.default(most):
                self.forget(tensor)
                return
            value = least
        one = self.aten.as_strided.default(value, [], [], value.storage_offset())
        single = self.aten.empty.memory_format([], dtype=tensor.dtype, device="cpu")
        self.keep(tensor, self.aten.copy_.default(single, one))

    def put_number(self, tensor, number):
        """Keeps that all elements of a tensor are this number."""
        if tensor.numel() == 0:
            return
        shape = [tensor.numel()] if self.fits(tensor) and self.covers(tensor) else []
        value = self.aten.full.default(shape, number, dtype=tensor.dtype, device="cpu")
        if shape:
            self.keep(tensor, value)
        else:
            self.put(tensor, value)

    def keep(self, tensor, value):
        """Adds an entry. Only tensors on a GPU have one: operators of the meta device may come through a wrapper."""
        if not tensor.is_cuda:
            return
        self.refresh()
        storage = tensor.untyped_storage()
        if tensor.is_inference() and self.torch._C._storage_Use_Count(storage._cdata) > ALONE:
            # Nobody counts the writes by way of other tensors, which may have no tag.
            self.forget(tensor)
            return
        address = storage.data_ptr()
        if address in self.known:
            self.remove(address)
        self.added += 1
        if self.added % SWEEP_EVERY == 0:
            self.sweep()
        self.known[address] = Entry(value, storage._weak_ref(), version(tensor))
        self.tags.add(tensor)

    def written(self, tensor):
        """Notes that the known value of a tensor was changed as the tensor was."""
        entry = self.entry(tensor)
        if entry is not None:
            entry.version = version(tensor)

    def forget(self, tensor):
        """Notes that something unknown was written to a tensor."""
        if self.entry(tensor) is not None:
            self.remove(tensor.untyped_storage().data_ptr())

    def meet(self, args):
        """Notes that known tensors met unknown ones in an operator."""
        for tensor in args:
            if isinstance(tensor, (list, tuple)):
                self.meet(tensor)
            elif isinstance(tensor, self.torch.Tensor) and tensor.is_cuda:
                entry = self.entry(tensor)
                if entry is None:
                    self.tags.remove(tensor)
                elif tensor.is_floating_point():
                    entry.met += 1
                    if entry.met > MOST_MET:
                        self.forget(tensor)
                        self.tags.remove(tensor)

    def remove(self, address):
        """Removes an entry and its weak reference."""
        self.torch.UntypedStorage._free_weak_ref(self.known.pop(address).storage)

    def forget_all(self):
        """Removes everything."""
        for address in list(self.known):
            self.remove(address)

    def sweep(self):
        """Removes what belongs to storages that are gone, and the oldest if there are still too many."""
        expired = self.torch.UntypedStorage._expired
        for address in [address for address, entry in self.known.items() if expired(entry.storage)]:
            self.remove(address)
        for address in list(self.known)[: max(0, len(self.known) - MOST_KEPT)]:
            self.remove(address)


class Entry:
    """The value of one storage, the address of the storage's object, and the version of the tensor that was written."""

    __slots__ = ("value", "storage", "version", "met")

    def __init__(self, value, storage, version):
        self.value, self.storage, self.version, self.met = value, storage, version, 0

    def is_current(self, tensor):
        """Whether nothing was written since. PyTorch counts a write after the operator that makes it, so one more is
        the entry's own the first time that it is looked at.
        """
        now = version(tensor)
        if self.version == now or now is None:
            return True
        if self.version is not None and now == self.version + 1:
            self.version = now
            return True
        return False


def version(tensor):
    """How often a tensor was written in place; `None` for one of inference mode, whose writes nobody counts."""
    return None if tensor.is_inference() else tensor._version
