"""What a rehearsal adds to a Python process. It imports nothing before the program imports torch."""


def install():
    """Watches for the program's own import of torch; until then the process runs as if it were not rehearsed."""
    from . import imports

    # These modules import torch themselves. The hook begins within that import, too late to watch theirs.
    imports.expect("sglang.srt.server_args")
    # A program that imports its data first has bound their loaders by then.
    imports.after("datasets", _stand_in)
    imports.after("evaluate", _stand_in)
    imports.after("torch", _begin)
    # A program that computes with one of these alone is named for what it is.
    for name in ("jax", "tensorflow", "cupy"):
        imports.after(name, _note_beside)


def _stand_in(module):
    """Has the loaders of a library give rows that the user stated, if there are any."""
    from . import synthetic

    synthetic.begin(module)


def _note_beside(module):
    """Leaves a file with the name of a library that takes GPU memory beside PyTorch."""
    import contextlib
    import json
    import os

    folder = json.loads(os.environ["BRIMFUL_REHEARSAL"])["folder"]
    # After the rehearsal its folder is gone.
    with contextlib.suppress(OSError):
        open(os.path.join(folder, module.__name__ + ".beside"), "w").close()


def _begin(torch):
    """Begins the rehearsal of this process. The program continues even if that fails."""
    try:
        from . import start

        start.begin(torch)
    except Exception:
        import sys
        import traceback

        print("brimful: this process cannot be recorded", file=sys.stderr)
        traceback.print_exc()
