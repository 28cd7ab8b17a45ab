"""Models of other libraries than transformers: torchvision's have a name alone, and diffusers' have a config."""

import inspect
import json
import platform
import re
import sys
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from . import __version__, build, loops, modules
from .loops import renumbered
from .program import condition_text, indented
from .recording import _listening, _unwrapped
from .symbols import CarryingInt, Integer, Number
from .tracer import Refusal, Tracer


class Family:
    """The models of a library for a task."""

    # Whether the models have gradient checkpointing.
    checkpoints = False

    def lists_of(self, name):
        """The lists of modules whose forwards are written once, with the key that says how long they are."""
        return {}

    def defaults(self, name):
        """The lines of the header that say what the constructor takes."""
        raise NotImplementedError

    def load(self, name):
        """Imports the model's class."""

    def make(self, name, sizes):
        """A model of these sizes."""
        raise NotImplementedError

    def batch(self, name, sizes):
        """The inputs of a call, by their names in a program."""
        raise NotImplementedError

    def answer(self, model, mode, **inputs):
        """The fields of what a script holds after a call, with the loss where it trains."""
        raise NotImplementedError


class Torchvision(Family):
    """The classifiers of torchvision."""

    task = "image-classification"
    # Some models do something else with images of another side, which they compare: those are recorded for one side.
    sizes = [
        [dict(batch=3, side=224), dict(batch=2, side=256), dict(batch=5, side=224)],
        [dict(batch=3, side=224), dict(batch=2, side=224), dict(batch=5, side=224)],
    ]
    # These two answer with several outputs while they are trained.
    _several = {"googlenet", "inception_v3"}

    def __init__(self):
        """Imports the library."""
        import torchvision

        self.library = torchvision
        names = torchvision.models.list_models(module=torchvision.models)
        self.names = [name for name in names if name not in self._several]

    def defaults(self, name):
        """All have as many outputs as there are classes."""
        return ["default num_classes 1000"]

    def make(self, name, sizes):
        """The model, which is the same at each size."""
        return getattr(self.library.models, name)(num_classes=Integer(1000, "num_classes"))

    def batch(self, name, sizes):
        """Images and a label for each."""
        images = torch.randn(sizes["batch"], 3, sizes["side"], sizes["side"])
        return dict(pixel_values=images, labels=torch.zeros(sizes["batch"], dtype=torch.long))

    def answer(self, model, mode, pixel_values, labels):
        """The loss is the script's, since the models have none."""
        logits = model(pixel_values)
        if mode == "eval":
            return dict(logits=logits)
        return dict(loss=nn.functional.cross_entropy(logits, labels), logits=logits)


class Diffusers(Family):
    """The models of diffusers that take noise away."""

    task = "denoising"
    checkpoints = True
    names = ["DiTTransformer2DModel", "UNet2DConditionModel"]
    _configs = {
        "DiTTransformer2DModel": [
            dict(num_attention_heads=4, attention_head_dim=6, in_channels=4, out_channels=8, num_layers=4,
                 sample_size=16, patch_size=2, num_embeds_ada_norm=22),
            dict(num_attention_heads=3, attention_head_dim=12, in_channels=4, out_channels=8, num_layers=5,
                 sample_size=27, patch_size=3, num_embeds_ada_norm=30),
        ],
        "UNet2DConditionModel": [
            dict(in_channels=5, out_channels=3, cross_attention_dim=26, attention_head_dim=4, norm_num_groups=8,
                 block_out_channels=[16, 32, 48, 48], sample_size=16),
            dict(in_channels=4, out_channels=6, cross_attention_dim=30, attention_head_dim=2, norm_num_groups=4,
                 block_out_channels=[24, 32, 40, 40], sample_size=24),
        ],
    }  # fmt: skip

    def __init__(self):
        """Imports the library."""
        import diffusers
        import peft  # noqa: F401 - a script has it, and with it the modules that both libraries share

        self.library = diffusers
        self.sizes = [[dict(batch=3, words=11, at=0), dict(batch=2, words=7, at=1)]]

    def lists_of(self, name):
        """The blocks of a transformer."""
        return {"transformer_blocks": "num_layers"} if name.startswith("DiT") else {}

    def _parameters(self, name):
        parameters = list(inspect.signature(getattr(self.library, name).__init__).parameters.values())[1:]
        return {one.name: one.default for one in parameters}

    def defaults(self, name):
        """The arguments of the constructor; all that is no size holds for one value."""
        free, lines = self._configs[name][0], []
        for key, value in self._parameters(name).items():
            text = json.dumps(list(value) if isinstance(value, tuple) else value)
            lines.append(f"default {key} {text}")
            if key not in free and not isinstance(value, float):
                lines.append(f"require {key} {text}")
        return lines

    def load(self, name):
        """The library imports a class where it is asked for, which makes tensors of its modules."""
        getattr(self.library, name)

    def make(self, name, sizes):
        """A model whose sizes carry their keys."""
        config = {key: _carrying(value, key) for key, value in self._config(name, sizes).items()}
        return getattr(self.library, name)(**config)

    def _config(self, name, sizes):
        floats = {key: value for key, value in self._parameters(name).items() if isinstance(value, float)}
        return floats | self._configs[name][sizes["at"]]

    def batch(self, name, sizes):
        """Noisy images, the step of each, what they shall show, and their noise."""
        config, count = self._config(name, sizes), sizes["batch"]
        side = config["sample_size"]
        made = dict(
            sample=torch.randn(count, config["in_channels"], side, side),
            timestep=torch.zeros(count, 1, dtype=torch.long)[:, 0],
        )
        if "cross_attention_dim" in config:
            made["encoder_hidden_states"] = torch.randn(count, sizes["words"], config["cross_attention_dim"])
            made["noise"] = torch.randn(count, config["out_channels"], side, side)
        else:
            made["class_labels"] = torch.zeros(count, 1, dtype=torch.long)[:, 0]
            made["noise"] = torch.randn(count, config["in_channels"], side, side)
        return made

    def answer(self, model, mode, sample, timestep, noise, encoder_hidden_states=None, class_labels=None):
        """The loss is the mean square of what is left of the noise."""
        if class_labels is None:
            out = model(sample, timestep, encoder_hidden_states).sample
        else:
            out = model(sample, timestep=timestep, class_labels=class_labels).sample
            if mode == "train":
                # The other channels are the variance.
                out = out[:, :4]
        if mode == "eval":
            return dict(sample=out)
        return dict(loss=nn.functional.mse_loss(out.float(), noise.float()), sample=out)


def _carrying(value, key):
    if isinstance(value, list):
        return tuple(Integer(item, f"{key}[{at}]") for at, item in enumerate(value))
    return Number(value, key) if isinstance(value, float) else Integer(value, key)


LIBRARIES = {"torchvision": Torchvision, "diffusers": Diffusers}


def write(family, name, folder):
    """Records a model and writes its program."""
    failure = None
    for sizes in family.sizes:
        try:
            sections = _sections(family, name, sizes)
            break
        except Exception as error:  # noqa: BLE001 - sizes that the model does not take
            failure = failure or error
    else:
        raise failure
    path = folder / f"{name}.{family.task}.program"
    path.write_text("\n".join(_header(family, name) + [line for section in sections for line in section]) + "\n")
    return path


def _header(family, name):
    python = ".".join(platform.python_version_tuple()[:2])
    lists = family.lists_of(name)
    return [
        "brimful-program 1",
        f"library {family.library.__name__} {family.library.__version__.split('+')[0]}",
        f"recorded torch {torch.__version__.split('+')[0]} python {python} recorder {__version__}",
        f"model_type {family.library.__name__}.{name}",
        f"class {name}",
        f"task {family.task}",
        *family.defaults(name),
        "attention sdpa",
        "constructed f32",
        *(f"layers {path} {key}" for path, key in lists.items()),
        *(f"kind {path} A true" for path in lists),
    ]


def _sections(family, name, several):
    lists = family.lists_of(name)
    imported = _imported(family, name)
    built = [_built(family, name, lists, sizes) for sizes in several]
    conditions = dict(built[0][2])
    _agreed("build", [lines for _, lines, _ in built])
    made = [["", "build", *_conditions(conditions), *indented(renumbered(imported + built[0][1]))]]
    for mode, checkpointing in [("train", True), ("train", False), ("eval", False)]:
        if checkpointing and not family.checkpoints:
            continue
        called = [
            _called(family, name, one[0], (mode, checkpointing), lists, sizes) for one, sizes in zip(built, several)
        ]
        _agreed(mode, [lines for lines, _ in called])
        more = {text: result for text, result in called[0][1].items() if text not in conditions}
        head = [f"forward sdpa {mode} unmasked none", *(["when checkpointing"] if checkpointing else [])]
        made.append(["", *head, *_conditions(more), *indented(called[0][0])])
    return made


def _conditions(conditions):
    return [f"when {condition_text(text, result)}" for text, result in conditions.items()]


def _agreed(what, several):
    first, *others = several
    for other in others:
        if other != first:
            pair = next((pair for pair in zip(first, other) if pair[0] != pair[1]), (len(first), len(other)))
            raise Refusal(f"{what}: two sizes give `{pair[0]}` and `{pair[1]}`")


def _built(family, name, lists, sizes):
    tracer = build.BuildTracer()
    tracer.literal = True
    with torch.random.fork_rng(), _carried(), _listening(tracer, {}), build.watched(tracer), tracer:
        model = family.make(name, sizes)
        tracer.poll()
    lines = _folded(build.finished(tracer, model), lists, loops.fold_build)
    converted = [f"convert {path}" for path in _converted(model)]
    registered = [f"registered {path}" for path, _ in model.named_parameters()]
    lines += _each(converted, lists) + _each(registered, lists)
    return model, renumbered([line for line in lines if not line.startswith("write ")]), tracer.conditions


def _imported(family, name):
    """The import of a class, whose modules keep tensors: under the context of the device those are on the GPU."""
    tracer = build.BuildTracer()
    tracer.literal = True
    with tracer:
        family.load(name)
        tracer.poll()
        for number, kept in enumerate(list(tracer.names.values())):
            tracer.emit(f"buffer imported.{number} {kept}")
        tracer.paused = 1
    # Names of their own.
    return [re.sub(r"%(\d+)", r"%1000000\1", line) for line in tracer.lines]


@contextmanager
def _carried():
    """Inside, `int` of a size in the models' code is the same size."""
    models = [vars(module) for name, module in list(sys.modules.items()) if name.startswith("diffusers.models.")]
    for space in models:
        space["int"] = CarryingInt
    try:
        yield
    finally:
        for space in models:
            space.pop("int", None)


def _each(lines, lists):
    """Lines about parameters, those of a list's modules once."""
    made, opened = [], None
    for line in lines:
        path = next((path for path in lists if f" {path}." in line), None)
        if path is None:
            made += ["end"] if opened else []
            made.append(line)
        elif loops.template(line, path, 0) != line:
            made += [] if opened else [f"each {path} i", "kind A"]
            made.append(loops.template(line, path, 0))
        opened = path
    return made + (["end"] if opened else [])


def _converted(model, prefix=""):
    """What `model.to(dtype)` converts, in its order: the modules inside first, then parameters, then buffers."""
    for name, module in model.named_children():
        yield from _converted(module, f"{prefix}{name}.")
    for name, tensor in [*model._parameters.items(), *model._buffers.items()]:
        if tensor is not None and tensor.is_floating_point():
            yield prefix + name


def _folded(lines, lists, fold):
    count = [1_000_000]

    def new_name():
        count[0] += 1
        return f"%{count[0]}"

    for path in lists:
        made = []
        while fold.wanted(lines, path):
            before, bodies, _, lines = fold(lines, path, new_name, False)
            if len(bodies) != 1:
                raise Refusal(f"the blocks of {path} are not alike")
            made += [*before, f"each {path} i", "kind A", *bodies[0], "end"]
        lines = made + lines
    return lines


def _called(family, name, model, how, lists, sizes):
    mode, checkpointing = how
    model.train(mode == "train")
    model.requires_grad_(False)
    tracer = Tracer()

    def checkpointed(module, *args):
        tracer.checkpointed = module
        return module(*args)

    if checkpointing:
        model.enable_gradient_checkpointing(checkpointed)
    elif family.checkpoints:
        model.disable_gradient_checkpointing()
    for path, value in [*model.named_parameters(), *model.named_buffers()]:
        tracer.fix(value, path)
    inputs = family.batch(name, sizes)
    for key, value in inputs.items():
        tracer.fix(value, key)
    undo = _unwrapped(model)
    try:
        with ExitStack() as stack:
            modules.watch(tracer, model)
            stack.enter_context(_carried())
            stack.enter_context(_listening(tracer, {}))
            stack.enter_context(tracer)
            fields = family.answer(model, mode, **inputs)
            tracer.emit("return " + " ".join(f"{key}={tracer.name(value)}" for key, value in fields.items()))
            tracer.paused = 1
    finally:
        undo()
    return renumbered(_folded(list(tracer.lines), lists, loops.fold)), tracer.conditions


__all__ = ["LIBRARIES", "Family", "write"]
