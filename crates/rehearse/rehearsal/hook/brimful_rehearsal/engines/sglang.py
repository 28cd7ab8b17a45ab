"""SGLang's start-up: the figures of its model runner. It has no profile run: its budget is a share of the GPU."""

import contextlib
import functools

from .. import imports
from . import startup
from .registry import register

GIB = 1 << 30


@register
def attach(record):
    """Watches SGLang's imports."""
    imports.after("sglang.srt.server_args", lambda module: watch_arguments(record, module.ServerArgs))
    imports.after("sglang.srt.entrypoints.http_server", functools.partial(watch_server, record))
    # The bytes that PyTorch could have before each model was loaded.
    free = []
    imports.after(
        "sglang.srt.model_executor.model_runner", lambda module: watch_runner(record, module.ModelRunner, free)
    )
    imports.after("sglang.srt.managers.scheduler", lambda module: watch_scheduler(record, module.Scheduler, free))


def watch_server(record, module):
    """Notes that a server starts, and leaves out the request that would warm it up."""
    if not record.settings.keep_serving:
        # The server has ended when this request would reach it.
        module._wait_and_warmup = lambda *args, **kwargs: None
    launch = module.launch_server

    @functools.wraps(launch)
    def launch_server(*args, **kwargs):
        startup.will_serve()
        return launch(*args, **kwargs)

    module.launch_server = launch_server


def watch_arguments(record, cls):
    """Prepares the arguments before they are resolved: in a step of its own (0.5.2x), or when they are made."""
    name = "resolve_once" if hasattr(cls, "resolve_once") else "__post_init__"
    complete = getattr(cls, name)

    @functools.wraps(complete)
    def prepared(self, *args, **kwargs):
        if not getattr(self, "_resolution_finished", False):
            startup.prepare(record, self, self.model_path, self.tokenizer_path)
        return complete(self, *args, **kwargs)

    setattr(cls, name, prepared)


def watch_runner(record, cls, free):
    """Reads the figures of the process of a GPU, after each part of its start-up."""

    def loaded(self, *args, **kwargs):
        share, before = getattr(self, "mem_fraction_static", None), getattr(self, "pre_model_load_memory", None)
        budget = in_bytes(share * before) if share and before else None
        weights = in_bytes(getattr(self, "weight_load_mem_usage", None))
        record.serve("sglang", weights=weights, budget=budget, **configured(self))

    def cached(self, *args, **kwargs):
        tokens = getattr(self, "max_total_num_tokens", None)
        length = getattr(self.model_config, "context_len", None)
        record.serve(
            "sglang",
            kv_tokens=tokens,
            kv_bytes=size_of(getattr(self, "token_to_kv_pool", None)),
            max_num_seqs=getattr(self, "max_running_requests", None),
            max_concurrency=tokens / length if tokens and length else None,
        )

    def captured(self, *args, **kwargs):
        # A dict by phase; one number in 0.5.1x and before.
        by_phase = getattr(self, "graph_memory_usage", None)
        taken = sum(by_phase.values()) if by_phase else getattr(self, "graph_mem_usage", None)
        record.serve("sglang", graphs=in_bytes(taken))

    cuda = record.torch.cuda
    startup.around(record, cls, "load_model", loaded, before=lambda: free.append(available_to_torch(cuda)))
    for name in ("init_memory_pool", "alloc_memory_pool"):
        startup.around(record, cls, name, cached)
    for name in ("init_device_graphs", "init_cuda_graphs"):
        startup.around(record, cls, name, captured)


def watch_scheduler(record, cls, free):
    """Reads what PyTorch has, and what else was taken from the GPU, once the scheduler is made."""

    def figures():
        if record.used_cuda():
            cuda = record.torch.cuda
            non_torch = free[0] - available_to_torch(cuda) if free else None
            record.serve("sglang", allocated=cuda.memory_allocated(), non_torch=non_torch)

    startup.ready_once_made(record, cls, figures, killed=True)


def available_to_torch(cuda):
    """The bytes of the GPU that PyTorch can have: those that are free, and those that it has reserved."""
    return cuda.mem_get_info()[0] + cuda.memory_reserved()


def configured(runner):
    """The load that the engine is configured for."""
    return {
        "max_model_len": getattr(runner.model_config, "context_len", None),
        "max_num_batched_tokens": positive(resolved(runner.server_args, "chunked_prefill_size")),
        "gpu_memory_utilization": getattr(runner, "mem_fraction_static", None),
        "kv_cache_dtype": str(getattr(runner.server_args, "kv_cache_dtype", "auto")),
    }


def resolved(arguments, name):
    """An argument as it was given, else as SGLang resolved it: 0.5.2x leaves the arguments as they were given."""
    value = getattr(arguments, name, None)
    if value is None:
        with contextlib.suppress(ImportError):
            from sglang.srt.arg_groups.overrides import resolving_view

            value = getattr(resolving_view(arguments), name, None)
    return value


def size_of(pool):
    """The bytes of a KV pool, which reports K and V, or one number; `None` if it reports none."""
    get_size = getattr(pool, "get_kv_size_bytes", None)
    if get_size is None:
        return None
    size = get_size()
    return int(sum(size)) if isinstance(size, tuple) else int(size)


def in_bytes(gib):
    """GiB as bytes; `None` for what is no number."""
    return int(gib * GIB) if isinstance(gib, (int, float)) else None


def positive(value):
    """A number above zero, else `None`: SGLang writes -1 for "not set"."""
    return value if isinstance(value, int) and value > 0 else None
