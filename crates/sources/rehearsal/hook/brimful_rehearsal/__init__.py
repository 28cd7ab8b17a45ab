"""What a rehearsal adds to a Python process. Nothing is imported before the program imports it."""


def install():
    from . import imports

    imports.expect("datasets", "evaluate")
    imports.after("torch", _torch_is_here)


def _torch_is_here(torch):
    """The program goes on whatever becomes of this."""
    try:
        from . import start

        start.begin(torch)
    except Exception:
        import sys
        import traceback

        print("brimful: this process cannot be recorded", file=sys.stderr)
        traceback.print_exc()
