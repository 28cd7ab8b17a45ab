"""What serving engines have in common: their figures, and the end of the rehearsal once the server listens.

An engine is several processes: one that listens, one that schedules, one for each GPU. Each hands over what it knows.
"""
import contextlib
import functools
import os
import signal

from . import imports

# Told to the processes that the server starts: it is a server, which would go on for ever.
SERVES = "BRIMFUL_REHEARSAL_SERVES"


def attach(here, settings):
    from . import sglang, uncompiled, vllm

    uncompiled.attach(here)
    vllm.attach(here, settings)
    sglang.attach(here, settings)
    if not settings["keep_serving"]:
        imports.after("uvicorn.server", lambda uvicorn: end_when_listening(here, uvicorn.Server))


def will_serve():
    os.environ[SERVES] = "1"


def end_when_listening(here, server):
    start = server.startup

    @functools.wraps(start)
    async def startup(self, *place, **named):
        await start(self, *place, **named)
        if os.environ.get(SERVES) and self.started:
            here.say("the server listens: the start-up is complete")
            self.should_exit = True
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # SGLang's watchdog: its processes are killed now

    server.startup = startup


def ready(here, settings):
    """This process has all the memory that it will have: its record is written before anybody ends it."""
    if os.environ.get(SERVES) and not settings["keep_serving"]:
        here.finish("ready")


def around(here, owner, name, after=None, before=None):
    """Calls `before`, and `after` with the object and what the method gave; keeps what it died of, which the engine may
    hide."""
    call = getattr(owner, name, None)
    if call is None:
        return

    @functools.wraps(call)
    def method(self, *place, **named):
        if before is not None:
            before()
        try:
            result = call(self, *place, **named)
        except Exception as error:
            here.keep_error(error)
            raise
        if after is not None:
            after(self, result, *place, **named)
        return result

    setattr(owner, name, method)


def constructed(here, settings, kind, figures=None, killed=False):
    """The process is ready once this has been made. What it died of is kept: at once, where the engine then has its whole
    tree killed."""
    start = kind.__init__

    @functools.wraps(start)
    def __init__(self, *place, **named):
        try:
            start(self, *place, **named)
        except Exception as error:
            here.keep_error(error)
            if killed:
                here.finish("error")
            raise
        if figures is not None:
            figures()
        ready(here, settings)

    kind.__init__ = __init__


def prepare(here, asked, model, tokenizer):
    """Weights and tokenizer that are not here are done without, and it is said."""
    if str(getattr(asked.load_format, "value", asked.load_format)) == "auto":
        asked.load_format = "dummy"
        here.note("dummy weights: --load-format dummy was added; the model is built from its config.json")
    place = tokenizer or model
    if not asked.skip_tokenizer_init and lacks_tokenizer(place, getattr(asked, "revision", None)):
        asked.skip_tokenizer_init = True
        here.note(f"no tokenizer: {place} has none here; --skip-tokenizer-init was added")


WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "tiktoken.model", "merges.txt")


def files_of(model, revision=None):
    """The files of a model: in its folder, or of its snapshot in the hub's cache; `None` where they are not here."""
    if os.path.isdir(model):
        return os.listdir(model)
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except Exception:
        return None
    return os.listdir(os.path.dirname(found)) if isinstance(found, str) else None


def lacks_tokenizer(model, revision=None):
    """Whether there is none. Of a model that is not here yet, the hub will tell."""
    files = files_of(model, revision)
    return files is not None and not any(file in TOKENIZERS or file.endswith(".tiktoken") for file in files)
