"""What the library of the virtual GPU exports for this hook (`virtual-gpu/src/device/hook.rs`)."""

import ctypes


class Library:
    """The library that the process has loaded already."""

    def __init__(self):
        # The virtual GPU's library is preloaded under this name.
        library = ctypes.CDLL("libcuda.so.1")
        self._unfollowed = ctypes.c_uint64.in_dll(library, "brimful_unfollowed")
        self._unknown = ctypes.c_uint64.in_dll(library, "brimful_unknown")
        self._count = library.brimful_count
        self._count.argtypes, self._count.restype = [ctypes.c_int64], None

    def unfollowed(self):
        """How often something happened after which no value on the GPU is known."""
        return self._unfollowed.value

    def unknown(self):
        """How often memory was read whose content the library did not know."""
        return self._unknown.value

    def count(self, rows):
        """Has reads of one whole number return this one; -1 ends it."""
        self._count(rows)
