"""What a rehearsal adds to a Python process. Nothing is imported before the program imports it."""


def install():
    from . import imports

    imports.expect("datasets", "evaluate")
    imports.after("torch", _torch_is_here)


def _torch_is_here(torch):
    from . import start

    start.begin(torch)
