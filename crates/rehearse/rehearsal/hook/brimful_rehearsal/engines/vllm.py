"""vLLM's start-up: the figures that it computes, in its own classes (the V1 engine, 0.8 and later)."""

import contextlib
import functools
import logging
import re

from .. import imports
from . import startup
from .registry import register


@register
def attach(record):
    """Watches vLLM's imports, and one of its loggers."""
    imports.after("vllm.engine.arg_utils", lambda module: watch_arguments(record, module.EngineArgs))
    imports.after("vllm.v1.worker.gpu_worker", lambda module: watch_worker(record, module))
    imports.after("vllm.v1.engine.core", lambda module: startup.ready_once_made(record, module.EngineCore))
    logging.getLogger("vllm.v1.core.kv_cache_utils").addFilter(functools.partial(read_log, record))


def watch_arguments(record, cls):
    """Prepares the arguments before the engine checks them."""
    create = cls.create_engine_config

    @functools.wraps(create)
    def create_engine_config(self, usage_context=None, *args, **kwargs):
        if str(getattr(usage_context, "name", "")).endswith("API_SERVER"):
            startup.will_serve()
        startup.prepare(record, self, self.model, getattr(self, "tokenizer", None))
        return create(self, usage_context, *args, **kwargs)

    cls.create_engine_config = create_engine_config


def watch_worker(record, module):
    """Reads the figures of the process of a GPU, after each part of its start-up."""
    profiled = keep_profiles(module)

    def loaded(self, *args, **kwargs):
        record.serve("vllm", weights=number(self.model_runner, "model_memory_usage"))

    def measured(self, available, *args, **kwargs):
        profile = profiled[-1] if profiled else None
        record.serve(
            "vllm",
            weights=number(profile, "weights_memory"),
            activation_peak=number(profile, "torch_peak_increase"),
            non_torch=number(profile, "non_torch_increase"),
            graphs_estimate=number(self, "cudagraph_memory_estimate"),
            budget=number(self, "requested_memory"),
            **configured(self.vllm_config),
        )

    def cached(self, result, config, *args, **kwargs):
        tensors = getattr(config, "kv_cache_tensors", ())
        tensors = tensors.values() if isinstance(tensors, dict) else tensors
        kv_bytes = sum(tensor.size for tensor in tensors)
        record.serve("vllm", kv_bytes=kv_bytes, kv_blocks=number(config, "num_blocks"))

    def warm(self, *args, **kwargs):
        record.serve("vllm", allocated=record.torch.cuda.memory_allocated())
        startup.ready(record)

    cls = module.Worker
    startup.around(record, cls, "init_device")
    startup.around(record, cls, "load_model", loaded)
    startup.around(record, cls, "determine_available_memory", measured)
    startup.around(record, cls, "initialize_from_config", cached)
    watch_graphs(record, cls)
    startup.around(record, cls, "compile_or_warm_up_model", warm)


def keep_profiles(module):
    """Keeps the results of `memory_profiling`, as the worker leaves them. Returns their list."""
    profiled, profile = [], getattr(module, "memory_profiling", None)
    if profile is not None:

        @contextlib.contextmanager
        @functools.wraps(profile)
        def memory_profiling(*args, **kwargs):
            with profile(*args, **kwargs) as result:
                profiled.append(result)
                yield result

        module.memory_profiling = memory_profiling
    return profiled


def watch_graphs(record, cls):
    """Reads the memory of the capture of CUDA graphs, which the model runner returns to its worker."""
    warm_up = cls.compile_or_warm_up_model

    @functools.wraps(warm_up)
    def compile_or_warm_up_model(self):
        capture = self.model_runner.capture_model

        def capture_model(*args, **kwargs):
            taken = capture(*args, **kwargs)
            record.serve("vllm", graphs=taken if isinstance(taken, int) else None)
            return taken

        self.model_runner.capture_model = capture_model
        try:
            return warm_up(self)
        finally:
            del self.model_runner.capture_model

    cls.compile_or_warm_up_model = compile_or_warm_up_model


# Two lines, or one for both, by version.
TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
CONCURRENCY = re.compile(r"Maximum concurrency for [\d,]+ tokens per request: ([\d,.]+)x")


def read_log(record, line):
    """A filter of vLLM's logger, which passes every line. Reads how many tokens the cache holds, and how many requests
    of full length at once.
    """
    text = line.getMessage()
    tokens, concurrency = TOKENS.search(text), CONCURRENCY.search(text)
    if tokens:
        record.serve("vllm", kv_tokens=int(tokens[1].replace(",", "")))
    if concurrency:
        record.serve("vllm", max_concurrency=float(concurrency[1].replace(",", "")))
    return True


def configured(config):
    """The load that the engine is configured for."""
    return {
        "max_model_len": number(config.model_config, "max_model_len"),
        "max_num_seqs": number(config.scheduler_config, "max_num_seqs"),
        "max_num_batched_tokens": number(config.scheduler_config, "max_num_batched_tokens"),
        "gpu_memory_utilization": getattr(config.cache_config, "gpu_memory_utilization", None),
        "kv_cache_dtype": str(config.cache_config.cache_dtype),
    }


def number(owner, name):
    """An attribute as a whole number; `None` if it is absent or no number."""
    value = getattr(owner, name, None)
    return int(value) if isinstance(value, (int, float)) else None
