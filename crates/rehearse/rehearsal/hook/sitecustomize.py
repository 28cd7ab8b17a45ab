"""Python runs this at its start, in every process of a rehearsal. It must cost next to nothing."""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))


def _run_hidden():
    """Runs the environment's own sitecustomize, which this one hides."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize")
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


# The variable of `settings.py`, a module that is imported only once torch is.
if os.environ.get("BRIMFUL_REHEARSAL"):
    import brimful_rehearsal

    brimful_rehearsal.install()
# The hook is imported by now. Without its folder the search finds the sitecustomize that this one hides.
sys.path[:] = [folder for folder in sys.path if folder != _here]
_run_hidden()
