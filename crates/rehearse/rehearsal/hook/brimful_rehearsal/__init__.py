"""What a rehearsal adds to a Python process. Nothing is imported before the program imports it."""


def install():
    from . import imports

    imports.expect("datasets", "evaluate")
    imports.after("torch", _torch_is_here)
    # This one imports torch on its own way, and is not complete when torch is.
    imports.after("sglang.srt.server_args", _sglang_asks)


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


def _sglang_asks(module):
    from . import sglang

    sglang.arguments(module.ServerArgs)
