"""`torch.dtype` objects that remember whose they are.

torch's C++ takes any object of the type `torch.dtype` and reads its `scalar_type`, so a copy of such an object is as
good as the original, and its address says where it was read. Python compares dtypes by identity, which is why comparing
and hashing are replaced by those of the scalar type.
"""

import ctypes

import torch

_HASH_SLOT, _COMPARE_SLOT = 120, 200  # offsets of tp_hash and tp_richcompare in PyTypeObject, CPython 3.8 to 3.13
_SCALAR_TYPE = object.__basicsize__  # THPDtype's first field after the object's head
_EQUAL, _NOT_EQUAL = 2, 3

SHORT = {
    torch.bool: "bool",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.float32: "f32",
    torch.float64: "f64",
    torch.complex64: "c64",
}

# While a model is called, the function that says whether two tensors' dtypes are taken to differ where the model asks.
DIFFERING = []

_originals = {}
_origins = {}
_buffers = []
_slots = []


def _scalar_type(address):
    return ctypes.c_int8.from_address(address + _SCALAR_TYPE).value


def _install():
    """Dtypes compare by scalar type from now on, for the life of the process."""
    for dtype in {value for value in vars(torch).values() if isinstance(value, torch.dtype)}:
        _originals[_scalar_type(id(dtype))] = (dtype, object.__hash__(dtype))

    def hashed(one):
        return _originals[_scalar_type(id(one))][1]

    def compared(one, other, operation):
        if operation not in (_EQUAL, _NOT_EQUAL) or not isinstance(other, torch.dtype):
            return NotImplemented
        same = _scalar_type(id(one)) == _scalar_type(id(other))
        if operation == _NOT_EQUAL and same and DIFFERING and id(one) in _origins and id(other) in _origins:
            # `if x.dtype != y.dtype: x = x.to(y.dtype)`: autocast makes them differ, and else `.to` changes nothing.
            return DIFFERING[-1]()
        return same if operation == _EQUAL else not same

    hash_type = ctypes.PYFUNCTYPE(ctypes.c_ssize_t, ctypes.py_object)
    compare_type = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int)
    for offset, function in [(_HASH_SLOT, hash_type(hashed)), (_COMPARE_SLOT, compare_type(compared))]:
        address = ctypes.cast(function, ctypes.c_void_p).value
        ctypes.c_void_p.from_address(id(torch.dtype) + offset).value = address
        # The slot holds a bare pointer: the function must live as long as the process.
        _slots.append(function)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(torch.dtype))


def with_origin(dtype, origin):
    """A dtype equal to `dtype` that is written as `origin`."""
    if not _originals:
        _install()
    size = torch.dtype.__basicsize__
    buffer = ctypes.create_string_buffer(ctypes.string_at(id(dtype), size), size)
    # The count of references is so high that Python never frees memory that is not its own.
    ctypes.c_ssize_t.from_buffer(buffer).value = 1 << 30
    _buffers.append(buffer)
    made = ctypes.cast(ctypes.addressof(buffer), ctypes.py_object).value
    _origins[id(made)] = origin
    return made


def text_of(dtype):
    """A dtype as a program writes it."""
    return _origins.get(id(dtype)) or SHORT[dtype]


def plain(dtype):
    """The dtype that torch itself has."""
    return _originals[_scalar_type(id(dtype))][0] if _originals else dtype
