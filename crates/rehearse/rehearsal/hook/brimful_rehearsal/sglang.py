"""SGLang's start-up: the figures of its model runner. It has no profile run: a share of the GPU is a rule of its own."""
import contextlib
import functools

from . import imports, serving

GIB = 1 << 30


def attach(here, settings):
    imports.after("sglang.srt.entrypoints.http_server", functools.partial(server, settings))
    free = []  # before each model was loaded, with what PyTorch had cached, in bytes
    imports.after("sglang.srt.model_executor.model_runner", lambda module: runner(here, module.ModelRunner, free))
    imports.after("sglang.srt.managers.scheduler", lambda module: scheduler(here, settings, module.Scheduler, free))


def server(settings, module):
    if not settings["keep_serving"]:
        module._wait_and_warmup = lambda *place, **named: None  # it asks a server that has ended by then
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

        here = start.record_here
        if here is not None and not getattr(self, "_resolution_finished", False):
            serving.prepare(here, self, self.model_path, self.tokenizer_path)
        return complete(self, *place, **named)

    setattr(kind, name, prepared)


def runner(here, kind, free):
    def loaded(self, *rest, **named):
        share, before = getattr(self, "mem_fraction_static", None), getattr(self, "pre_model_load_memory", None)
        budget = in_bytes(share * before) if share and before else None
        here.serve("sglang", weights=in_bytes(getattr(self, "weight_load_mem_usage", None)), budget=budget, **load(self))

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
        took = getattr(self, "graph_memory_usage", None)  # by phase; one number in 0.5.1x and before
        took = sum(took.values()) if took else getattr(self, "graph_mem_usage", None)
        here.serve("sglang", graphs=in_bytes(took))

    serving.around(here, kind, "load_model", loaded, before=lambda: free.append(for_pytorch(here.torch.cuda)))
    for name in ("init_memory_pool", "alloc_memory_pool"):
        serving.around(here, kind, name, cached)
    for name in ("init_device_graphs", "init_cuda_graphs"):
        serving.around(here, kind, name, captured)


def scheduler(here, settings, kind, free):
    def figures():
        if here.used_cuda():
            beside = free[0] - for_pytorch(here.torch.cuda) if free else None
            here.serve("sglang", allocated=here.torch.cuda.memory_allocated(), non_torch=beside)

    serving.constructed(here, settings, kind, figures, killed=True)


def for_pytorch(cuda):
    """What the GPU has for PyTorch: free, or reserved already."""
    return cuda.mem_get_info()[0] + cuda.memory_reserved()


def load(runner):
    return {
        "max_model_len": getattr(runner.model_config, "context_len", None),
        "max_num_batched_tokens": positive(resolved(runner.server_args, "chunked_prefill_size")),
        "gpu_memory_utilization": getattr(runner, "mem_fraction_static", None),
        "kv_cache_dtype": str(getattr(runner.server_args, "kv_cache_dtype", "auto")),
    }


def resolved(asked, name):
    """What was asked for, or what SGLang made of it: 0.5.2x leaves the arguments as they were given."""
    value = getattr(asked, name, None)
    if value is None:
        with contextlib.suppress(ImportError):
            from sglang.srt.arg_groups.overrides import resolving_view

            value = getattr(resolving_view(asked), name, None)
    return value


def size_of(pool):
    """A pool tells its size as K and V, or as one number, in bytes."""
    tell = getattr(pool, "get_kv_size_bytes", None)
    if tell is None:
        return None
    size = tell()
    return int(sum(size)) if isinstance(size, tuple) else int(size)


def in_bytes(gib):
    return int(gib * GIB) if isinstance(gib, (int, float)) else None


def positive(value):
    return value if isinstance(value, int) and value > 0 else None
