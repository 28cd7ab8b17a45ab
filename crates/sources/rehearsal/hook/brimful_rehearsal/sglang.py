"""SGLang's start-up: the figures of its model runner. It has no profile run: a share of the GPU is a rule of its own."""
import functools

from . import imports, serving

GIB = 1 << 30


def attach(here, settings):
    imports.after("sglang.srt.entrypoints.http_server", server)
    imports.after("sglang.srt.model_executor.model_runner", lambda module: runner(here, module.ModelRunner))
    imports.after("sglang.srt.managers.scheduler", lambda module: scheduler(here, settings, module.Scheduler))


def server(module):
    launch = module.launch_server

    @functools.wraps(launch)
    def launch_server(*place, **named):
        serving.will_serve()
        return launch(*place, **named)

    module.launch_server = launch_server


def arguments(kind):
    """Before they are resolved: in a step of its own (0.5.2x), or as they are made."""
    name = "resolve_once" if hasattr(kind, "resolve_once") else "__post_init__"
    complete = getattr(kind, name)

    @functools.wraps(complete)
    def prepared(self, *place, **named):
        from . import start

        if start.record_here is not None and not getattr(self, "_resolution_finished", False):
            prepare(start.record_here, self)
        return complete(self, *place, **named)

    setattr(kind, name, prepared)


def prepare(here, asked):
    if asked.load_format == "auto":
        asked.load_format = "dummy"
        here.note("dummy weights: --load-format dummy was added; the model is built from its config.json")
    place = asked.tokenizer_path or asked.model_path
    if not asked.skip_tokenizer_init and serving.lacks_tokenizer(place, getattr(asked, "revision", None)):
        asked.skip_tokenizer_init = True
        here.note(f"no tokenizer: {place} has none here; --skip-tokenizer-init was added")


def runner(here, kind):
    def loaded(self, *rest, **named):
        here.serve("sglang", weights=of_gib(self, "weight_load_mem_usage"), **load(self))

    def cached(self, *rest, **named):
        tokens = getattr(self, "max_total_num_tokens", None)
        length = getattr(self.model_config, "context_len", None)
        here.serve(
            "sglang",
            kv_tokens=tokens,
            kv_bytes=size_of(getattr(self, "token_to_kv_pool", None)),
            max_num_seqs=getattr(self, "max_running_requests", None),
            max_concurrency=tokens / length if tokens and length else None,
        )

    def captured(self, *rest, **named):
        here.serve("sglang", graphs=of_gib(self, "graph_mem_usage"))

    serving.around(here, kind, "load_model", loaded)
    for name in ("init_memory_pool", "alloc_memory_pool"):
        serving.around(here, kind, name, cached)
    for name in ("init_device_graphs", "init_cuda_graphs"):
        serving.around(here, kind, name, captured)


def scheduler(here, settings, kind):
    start = kind.__init__

    @functools.wraps(start)
    def __init__(self, *place, **named):
        try:
            start(self, *place, **named)
        except Exception as error:
            here.keep_error(error)
            here.finish("error")  # the launcher kills its whole tree at once
            raise
        if here.used_cuda():
            here.serve("sglang", allocated=here.torch.cuda.memory_allocated())
        serving.ready(here, settings)

    kind.__init__ = __init__


def load(runner):
    asked = runner.server_args
    return {
        "max_model_len": getattr(runner.model_config, "context_len", None),
        "max_num_batched_tokens": number(asked, "chunked_prefill_size"),
        "gpu_memory_utilization": getattr(asked, "mem_fraction_static", None),
        "kv_cache_dtype": str(getattr(asked, "kv_cache_dtype", "auto")),
    }


def size_of(pool):
    """A pool tells its size as K and V, or as one number, in bytes."""
    tell = getattr(pool, "get_kv_size_bytes", None)
    if tell is None:
        return None
    size = tell()
    return int(sum(size)) if isinstance(size, tuple) else int(size)


def of_gib(runner, name):
    value = getattr(runner, name, None)
    return int(value * GIB) if isinstance(value, (int, float)) else None


def number(asked, name):
    value = getattr(asked, name, None)
    return value if isinstance(value, int) and value > 0 else None
