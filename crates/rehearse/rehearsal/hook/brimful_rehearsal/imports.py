"""Calls a function as soon as the program has imported a module."""

import sys

# The functions to call after the import of a module, by its name.
_waiting = {}


class _Finder:
    """Finds the modules that are waited for as the other finders do, with a loader that calls back."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """The spec of a module that is waited for; `None` for any other, which the next finder then finds."""
        if name not in _waiting:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is _Finder or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                return _calling_back(name, spec)
        return None


def _calling_back(name, spec):
    """The spec, whose loader calls what waits for the module once its code has run."""
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
    """Watches the imports of these modules. `after` does it, too, unless the module's own import imports torch: that
    import has then begun before `after` can be called.
    """
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    for name in names:
        _waiting.setdefault(name, [])


def after(name, call):
    """Calls a function with the module: now if it is imported already, else once it is."""
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        call(module)
        return
    expect(name)
    _waiting[name].append(call)
