"""The start-up of an engine: what all engines have in common.

An engine is several processes: one that listens, one that schedules, and one for each GPU. Each hands over the figures
that it knows.
"""

import functools
import os

# Set in a process that starts a server, and inherited by the server's processes.
SERVES = "BRIMFUL_REHEARSAL_SERVES"


def will_serve():
    """Notes for this process and its children that the engine is a server, which would continue for ever."""
    os.environ[SERVES] = "1"


def ready(record):
    """Writes the record of a process that has all the memory that it will have, before the server ends it."""
    if os.environ.get(SERVES) and not record.settings.keep_serving:
        record.finish("ready")


def around(record, owner, name, after=None, before=None):
    """Calls `before()` before a method, and `after(self, result, …)` after it, if this version of the engine has the
    method. Keeps the error that the method raised, which the engine may hide.
    """
    call = getattr(owner, name, None)
    if call is None:
        return

    @functools.wraps(call)
    def method(self, *args, **kwargs):
        if before is not None:
            before()
        try:
            result = call(self, *args, **kwargs)
        except Exception as error:
            record.keep_error(error)
            raise
        if after is not None:
            after(self, result, *args, **kwargs)
        return result

    setattr(owner, name, method)


def ready_once_made(record, cls, figures=None, killed=False):
    """Takes the process as ready once an object of this class has been made. Keeps the error if that fails, and writes
    it at once if the engine then has all its processes killed.
    """
    start = cls.__init__

    @functools.wraps(start)
    def __init__(self, *args, **kwargs):
        try:
            start(self, *args, **kwargs)
        except Exception as error:
            record.keep_error(error)
            if killed:
                record.finish("error")
            raise
        if figures is not None:
            figures()
        ready(record)

    cls.__init__ = __init__


def prepare(record, arguments, model, tokenizer):
    """Changes the engine's arguments so that missing weights and a missing tokenizer are not needed, and notes it."""
    if str(getattr(arguments.load_format, "value", arguments.load_format)) == "auto":
        arguments.load_format = "dummy"
        record.note("dummy weights: --load-format dummy was added; the model is built from its config.json")
    source = tokenizer or model
    if not arguments.skip_tokenizer_init and lacks_tokenizer(source, getattr(arguments, "revision", None)):
        arguments.skip_tokenizer_init = True
        record.note(f"no tokenizer: {source} has none here; --skip-tokenizer-init was added")


TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "tiktoken.model",
    "merges.txt",
)


def files_of(model, revision=None):
    """The files of a model, in its folder or in the Hub's cache; `None` if it is in neither."""
    if os.path.isdir(model):
        return os.listdir(model)
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except Exception:
        return None
    return os.listdir(os.path.dirname(found)) if isinstance(found, str) else None


def lacks_tokenizer(model, revision=None):
    """Whether the model's files hold no tokenizer. A model that was not loaded yet is taken to have one on the Hub."""
    files = files_of(model, revision)
    return files is not None and not any(file in TOKENIZERS or file.endswith(".tiktoken") for file in files)
