"""One recording: a model of one config, built and called in one way."""

import sys
from contextlib import ExitStack, contextmanager

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import ModelOutput
from transformers.pytorch_utils import Conv1D

from . import build, configs, dtypes, library, modules
from .symbols import GUARDS, Integer, numbers_carried
from .tasks import CAUSAL_LM, TARGETS, TASKS
from .tracer import Tracer


@contextmanager
def _listening(tracer, reads):
    """Inside, comparisons of symbols and reads of switches are the tracer's."""

    def check(text, result):
        if configs.model_code(_caller()):
            tracer.check(text, result)

    def read(key):
        if not tracer.paused and configs.model_code(_caller()):
            reads[key] = None

    GUARDS.on_check, GUARDS.on_read = check, read
    try:
        with configs.reads_logged(reads), configs.labels_counted(), numbers_carried():
            yield
    finally:
        GUARDS.on_check = GUARDS.on_read = None


def _caller():
    """The frame that compared, outside of the symbols' own code."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.endswith(
        ("symbols.py", "recording.py", "recorder/configs.py")
    ):
        frame = frame.f_back
    return frame


class Built:
    """A model and the lines of its constructor."""

    def __init__(self, config, attention, dtype, task=TASKS[CAUSAL_LM], orders_ties=False):
        """Builds the model of a plain config. `orders_ties` writes each tie of two parameters where it happens."""
        self.reads = {}
        # The modeling module must be there before its names are replaced.
        self.task, self.model_class, self.dtype = task, task.model_class(config), dtype
        task.prepare(config)
        configs.symbolise(config)
        tracer = build.BuildTracer(orders_ties)
        watched = build.watched(tracer, Conv1D)
        with torch.random.fork_rng(), _listening(tracer, self.reads), library.patched(tracer), watched, tracer:
            torch.manual_seed(0)
            dtype = dtypes.with_origin(dtype, "default")
            self.model = task.auto.from_config(config, attn_implementation=attention, dtype=dtype)
            tracer.poll()
        self.lines = build.finished(tracer, self.model)
        if task.has_encoder_and_decoder:
            self.lines += [f"inputs {path}" for path in _input_modules(self.model)]
        self.conditions = tracer.conditions
        self.ties = build.ties(self.model)
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.lists = {
            path: module
            for path, module in self.model.named_modules()
            if isinstance(module, torch.nn.ModuleList) and len(module) > 1
        }


def _input_modules(model):
    """The modules whose outputs `enable_input_require_grads` hooks: what each of the models in a model reads first."""
    paths = {id(module): path for path, module in reversed(list(model.named_modules(remove_duplicate=False)))}
    found = {}
    for module in model.modules():
        if not isinstance(module, PreTrainedModel):
            continue
        try:
            first = module.get_input_embeddings()
        except NotImplementedError:
            continue
        if first is not None:
            found[paths[id(first)]] = None
    return list(found)


class Call:
    """How a forward is called."""

    def __init__(self, mode, mask, cache, tokens=None, past=0, checkpointing=False):
        """The words of a program's `forward` head, and whether modules hear that layers are checkpointed."""
        self.mode, self.mask, self.cache, self.tokens, self.past = mode, mask, cache, tokens, past
        self.checkpointing = checkpointing

    def checkpointed(self):
        """The same call of a model whose layers are checkpointed."""
        return Call(self.mode, self.mask, self.cache, self.tokens, self.past, True)


# The names of what a call is given, whatever the task.
_INPUTS = (
    "input_ids",
    "pixel_values",
    "input_features",
    "decoder_input_ids",
    "attention_mask",
    *TARGETS,
    "past_key_values",
)


class Forward:
    """The lines of one call."""

    def __init__(self, built, call, sizes):
        """Calls the model once."""
        self.reads = {}
        model = built.model.train(call.mode == "train")
        # A classifier notes in its config which loss its first labels asked for.
        if hasattr(model.config, "problem_type"):
            model.config.problem_type = None
        tracer = Tracer()
        for path, value in [*model.named_parameters(), *model.named_buffers()]:
            tracer.fix(value, path)
        for path, value in model.named_parameters(remove_duplicate=False):
            tracer.places.setdefault(id(value), []).append(path)
        tracer.unmasked = call.mask == "unmasked"
        tracer.hides_use_cache = built.task.has_encoder_and_decoder
        inputs = self._inputs(built, call, sizes)
        for name in _INPUTS:
            if inputs.get(name) is not None:
                tracer.fix(inputs[name], name)
        undo = _unwrapped(model)
        try:
            with ExitStack() as stack:
                stack.enter_context(_checkpointing(model, call.checkpointing))
                stack.enter_context(library.patched(tracer))
                modules.watch(tracer, model, GradientCheckpointingLayer)
                stack.enter_context(_listening(tracer, self.reads))
                if built.task.has_encoder_and_decoder:
                    stack.enter_context(_dtypes_differing(tracer))
                stack.enter_context(tracer)
                output = model(**inputs)
                tracer.emit("return " + _returned(tracer, output))
                tracer.paused = 1
        finally:
            undo()
        self.lines, self.conditions, self.count = list(tracer.lines), tracer.conditions, tracer.count

    def _inputs(self, built, call, sizes):
        model, task = built.model, built.task
        if task.reads_speech:
            return self._speech(built, call, sizes)
        images = self._images(built, call, sizes) if task.reads_images else {}
        if not task.reads_text:
            return images
        generator = torch.Generator().manual_seed(0)
        tokens = call.tokens or sizes["tokens"]
        ids = torch.randint(3, sizes["words"], (sizes["batch"], call.past + tokens), generator=generator)
        inputs = dict(input_ids=ids[:, call.past :].clone()) | images
        if task.reads_images:
            # The loss is that of texts and images that belong together, which needs no labels.
            inputs["return_loss"] = True
        if task.has_decoder:
            inputs["use_cache"] = call.cache != "none"
        if call.mask == "masked":
            mask = torch.ones_like(ids)
            mask[0, :2] = 0
            inputs["attention_mask"] = mask
        if call.mode == "train":
            inputs |= task.labels(inputs["input_ids"])
        elif task.has_encoder_and_decoder:
            inputs["decoder_input_ids"] = task.labels(inputs["input_ids"])["labels"]
        elif task.is_causal and "logits_to_keep" in _parameters(model):
            inputs["logits_to_keep"] = Integer(0, "logits_to_keep")
        if call.cache == "given":
            inputs["past_key_values"] = DynamicCache(config=model.config)
            if call.past:
                before = dict(input_ids=ids[:, : call.past], past_key_values=inputs["past_key_values"], use_cache=True)
                with torch.no_grad():
                    model(**before)
        return inputs

    def _speech(self, built, call, sizes):
        """A batch of spectrograms in the dtype of the model's weights, each as long as the model wants it."""
        config, task = built.model.config, built.task
        # Two steps of the spectrogram become one position (`WhisperEncoder.forward`).
        shape = (sizes["batch"], int(config.num_mel_bins), 2 * int(config.max_source_positions))
        dtype = next(built.model.parameters()).dtype
        features = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
        targets = task.labels(torch.zeros(sizes["batch"], sizes["tokens"], dtype=torch.long))
        if call.mode != "train":
            targets = {"decoder_input_ids": targets["labels"]}
        return dict(input_features=features, use_cache=call.cache != "none") | targets

    def _images(self, built, call, sizes):
        """A batch of images in the dtype of the model's weights, which is what the scripts of predictions pass."""
        shape = (sizes["batch"], sizes["channels"], sizes["image"], sizes["image"])
        dtype = next(built.model.parameters()).dtype
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
        return dict(pixel_values=images) | (built.task.labels(images) if call.mode == "train" else {})


@contextmanager
def _dtypes_differing(tracer):
    """Inside, a model that asks whether two tensors' dtypes differ hears that they do."""
    dtypes.DIFFERING.append(lambda: not tracer.paused and configs.model_code(sys._getframe(2)))
    try:
        yield
    finally:
        dtypes.DIFFERING.pop()


@contextmanager
def _checkpointing(model, enabled):
    """Inside, the modules around and in the layers hear that the layers are checkpointed, while none of them is."""
    heard = []
    for module in model.modules() if enabled else []:
        if hasattr(module, "gradient_checkpointing") and not isinstance(module, GradientCheckpointingLayer):
            heard.append((module, module.gradient_checkpointing))
            module.gradient_checkpointing = True
    try:
        yield
    finally:
        for module, before in heard:
            module.gradient_checkpointing = before


def _parameters(model):
    import inspect

    return inspect.signature(type(model).forward).parameters


def _unwrapped(model):
    """Returns what takes the wrappers off all modules again."""

    def undo():
        for module in model.modules():
            module.__dict__.pop("forward", None)

    return undo


def _flattened(output):
    """The fields of an output, those of an output in it included, in the order in which they are dropped."""
    for key, value in output.items():
        if isinstance(value, ModelOutput):
            yield from ((f"{key}_{inner}", item) for inner, item in _flattened(value))
        else:
            yield key, value


def _returned(tracer, output):
    shown = []
    for key, value in _flattened(output):
        if key == "router_logits" and value:
            # The routers' hooks have collected them, and the name holds them to the end of the call.
            shown.append("router_logits=router_logits")
        elif isinstance(value, torch.Tensor) or id(value) in tracer.names:
            shown.append(f"{key}={tracer.text(value)}")
    return " ".join(shown)
