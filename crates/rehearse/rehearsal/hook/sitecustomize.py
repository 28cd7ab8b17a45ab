"""Python runs this at its start, in every process of a rehearsal. It must cost next to nothing."""
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))


def _next_one():
    """The environment's own sitecustomize, which this one hides."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize")
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


if os.environ.get("BRIMFUL_REHEARSAL"):
    import brimful_rehearsal

    brimful_rehearsal.install()
sys.path[:] = [folder for folder in sys.path if folder != _here]
_next_one()
