"""Calls a function as soon as the program has imported a module."""
import sys

_waiting = {}


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _waiting:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is _Finder or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                return _telling(name, spec)
        return None


def _telling(name, spec):
    execute = getattr(spec.loader, "exec_module", None)
    if execute is None:
        return spec

    def exec_module(module):
        execute(module)
        for call in _waiting.pop(name, ()):
            call(module)

    spec.loader.exec_module = exec_module
    return spec


def expect(*names):
    """Modules that may import torch, and so begin before anybody can ask for them: their imports are watched."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    for name in names:
        _waiting.setdefault(name, [])


def after(name, call):
    """Calls with the module: now where it is imported already, else once it is."""
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        call(module)
        return
    expect(name)
    _waiting[name].append(call)
