"""vLLM's start-up: the figures that it computes by itself, in its own classes (the V1 engine, 0.8 and later)."""
import contextlib
import functools
import logging
import re

from . import imports, serving


def attach(here, settings):
    imports.after("vllm.engine.arg_utils", lambda module: arguments(here, module.EngineArgs))
    imports.after("vllm.v1.worker.gpu_worker", lambda module: worker(here, settings, module))
    imports.after("vllm.v1.engine.core", lambda module: serving.constructed(here, settings, module.EngineCore))
    logging.getLogger("vllm.v1.core.kv_cache_utils").addFilter(functools.partial(heard, here))


def arguments(here, arguments):
    create = arguments.create_engine_config

    @functools.wraps(create)
    def create_engine_config(self, usage_context=None, *place, **named):
        if str(getattr(usage_context, "name", "")).endswith("API_SERVER"):
            serving.will_serve()
        serving.prepare(here, self, self.model, getattr(self, "tokenizer", None))
        return create(self, usage_context, *place, **named)

    arguments.create_engine_config = create_engine_config


def worker(here, settings, module):
    profiled = listen_to_profile(module)

    def loaded(self, *rest, **named):
        here.serve("vllm", weights=number(self.model_runner, "model_memory_usage"))

    def measured(self, available, *rest, **named):
        found = profiled[-1] if profiled else None
        here.serve(
            "vllm",
            weights=number(found, "weights_memory"),
            activation_peak=number(found, "torch_peak_increase"),
            non_torch=number(found, "non_torch_increase"),
            graphs_estimate=number(self, "cudagraph_memory_estimate"),
            budget=number(self, "requested_memory"),
            **load(self.vllm_config),
        )

    def cached(self, result, config, *rest, **named):
        tensors = getattr(config, "kv_cache_tensors", ())
        tensors = tensors.values() if isinstance(tensors, dict) else tensors
        here.serve("vllm", kv_bytes=sum(tensor.size for tensor in tensors), kv_blocks=number(config, "num_blocks"))

    def warm(self, *rest, **named):
        here.serve("vllm", allocated=here.torch.cuda.memory_allocated())
        serving.ready(here, settings)

    kind = module.Worker
    serving.around(here, kind, "init_device")
    serving.around(here, kind, "load_model", loaded)
    serving.around(here, kind, "determine_available_memory", measured)
    serving.around(here, kind, "initialize_from_config", cached)
    listen_to_graphs(here, kind)
    serving.around(here, kind, "compile_or_warm_up_model", warm)


def listen_to_profile(module):
    """What `memory_profiling` measures, as the worker leaves it."""
    profiled, profile = [], getattr(module, "memory_profiling", None)
    if profile is not None:

        @contextlib.contextmanager
        @functools.wraps(profile)
        def memory_profiling(*place, **named):
            with profile(*place, **named) as result:
                profiled.append(result)
                yield result

        module.memory_profiling = memory_profiling
    return profiled


def listen_to_graphs(here, kind):
    """What the capture of CUDA graphs took, as the runner tells its worker."""
    warm_up = kind.compile_or_warm_up_model

    @functools.wraps(warm_up)
    def compile_or_warm_up_model(self):
        capture = self.model_runner.capture_model

        def capture_model(*place, **named):
            took = capture(*place, **named)
            here.serve("vllm", graphs=took if isinstance(took, int) else None)
            return took

        self.model_runner.capture_model = capture_model
        try:
            return warm_up(self)
        finally:
            del self.model_runner.capture_model

    kind.compile_or_warm_up_model = compile_or_warm_up_model


# Two lines, or one for both, by version.
TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
CONCURRENCY = re.compile(r"Maximum concurrency for [\d,]+ tokens per request: ([\d,.]+)x")


def heard(here, record):
    """The engine's own words: the tokens of the cache, and how many requests of full length it holds at once."""
    said = record.getMessage()
    tokens, concurrency = TOKENS.search(said), CONCURRENCY.search(said)
    if tokens:
        here.serve("vllm", kv_tokens=int(tokens[1].replace(",", "")))
    if concurrency:
        here.serve("vllm", max_concurrency=float(concurrency[1].replace(",", "")))
    return True


def load(config):
    """What was asked for."""
    return {
        "max_model_len": number(config.model_config, "max_model_len"),
        "max_num_seqs": number(config.scheduler_config, "max_num_seqs"),
        "max_num_batched_tokens": number(config.scheduler_config, "max_num_batched_tokens"),
        "gpu_memory_utilization": getattr(config.cache_config, "gpu_memory_utilization", None),
        "kv_cache_dtype": str(config.cache_config.cache_dtype),
    }


def number(of, name):
    value = getattr(of, name, None)
    return int(value) if isinstance(value, (int, float)) else None
