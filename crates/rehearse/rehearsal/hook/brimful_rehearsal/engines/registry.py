"""The registered engines."""

_attachers = []


def register(attach):
    """Registers an engine, as a decorator: the function is called with the record of a process."""
    _attachers.append(attach)
    return attach


def attach_all(record):
    """Has each engine watch its own imports."""
    for attach in _attachers:
        attach(record)
